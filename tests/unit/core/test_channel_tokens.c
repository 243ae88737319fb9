/* Items that lie elsewhere: what they count, and who throws them away. */
#include "tests/unit/core/channel_bench.h"

enum { TOKENS = 64 };

static uint32_t disposed[TOKENS], handed_out[TOKENS];

static void dispose(const uint8_t *token, size_t length)
{
    uint32_t number;
    assert_int_equal(length, sizeof number);
    memcpy(&number, token, sizeof number);
    assert_true(number < TOKENS);
    disposed[number]++;
}

static struct channel_item token(const uint32_t *number, uint64_t weight)
{
    struct channel_item item = channel_item_of(number, sizeof *number);
    item.token = true;
    item.weight = weight;
    return item;
}

static int put_token(uint32_t number, uint64_t weight)
{
    struct channel_item item = token(&number, weight);
    int r = channel_put(&b.ch, &item);
    channel_settle(&b.ch);
    return r;
}

static int wait_put_token(struct waiting *w, struct user *u, uint32_t number, uint64_t weight)
{
    struct channel_item item = token(&number, weight);
    memset(w, 0, sizeof *w);
    w->user = u;
    assert_int_equal(channel_log_add(&w->wait.rest, &item), 0);
    return channel_wait(&b.ch, &w->wait, CHANNEL_PUT, &u->client, 100);
}

static void a_token_counts_what_it_weighs(void **state)
{
    struct channel_item first;
    (void)state;
    memset(disposed, 0, sizeof disposed);
    start((struct channel_options){.max_bytes = 1000, .max_tokens = 2, .dispose = dispose});
    assert_int_equal(put_token(0, 1001), -EMSGSIZE);
    assert_int_equal(put_token(1, 900), 0);
    assert_int_equal(put_token(2, 101), -EAGAIN);
    assert_int_equal(put(7), 0);
    assert_true(channel_first(&b.ch, &first));
    assert_true(first.token);
    assert_int_equal(first.weight, 900);
    assert_int_equal(channel_bytes(&b.ch), 904);
    assert_int_equal(take(&b.users[0]), 1); /* the taker's now */
    assert_int_equal(disposed[1], 0);
    assert_int_equal(channel_bytes(&b.ch), 4);
    assert_int_equal(put_token(3, 10), 0);
    assert_int_equal(put_token(4, 10), 0);
    assert_int_equal(put_token(5, 10), -EAGAIN); /* too many of them, though there is room for other items */
    assert_int_equal(put(8), 0);
    finish();
    assert_int_equal(disposed[3] + disposed[4], 2);
    assert_int_equal(disposed[5], 0); /* it never went in */
}

static void a_token_waits_for_room_and_is_disposed_of_when_it_waits_in_vain(void **state)
{
    struct waiting w1, w2;
    (void)state;
    memset(disposed, 0, sizeof disposed);
    start((struct channel_options){.max_tokens = 1, .dispose = dispose});
    assert_int_equal(put_token(0, 5), 0);
    assert_int_equal(wait_put_token(&w1, &b.users[1], 1, 5), 0);
    assert_int_equal(wait_put_token(&w2, &b.users[2], 2, 5), 0);
    channel_settle(&b.ch);
    assert_int_equal(w1.ended, 0);
    assert_int_equal(take(&b.users[0]), 0);
    assert_int_equal(w1.ended, 1);
    assert_int_equal(w1.end, CHANNEL_READY);
    channel_late(&w2.wait);
    assert_int_equal(w2.end, CHANNEL_LATE);
    assert_int_equal(disposed[2], 1);
    channel_break(&b.ch);
    assert_int_equal(disposed[1], 1);
    finish();
    assert_int_equal(disposed[0] + disposed[1] + disposed[2], 2);
}

static void a_held_token_stays_until_it_is_confirmed(void **state)
{
    (void)state;
    memset(disposed, 0, sizeof disposed);
    start((struct channel_options){.max_tokens = 3, .at_least_once = true, .dispose = dispose});
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(put_token(i, 100), 0);
    assert_int_equal(take(&b.users[0]), 0);
    assert_int_equal(take(&b.users[0]), 1);
    assert_int_equal(b.ch.held_bytes, 200);
    assert_int_equal(put_token(3, 100), -EAGAIN); /* what is held counts */
    assert_int_equal(confirm(&b.users[0], 0), 0);
    assert_int_equal(disposed[0], 1);
    assert_int_equal(put_token(3, 100), 0);
    gone(&b.users[0]); /* returns the second */
    assert_int_equal(disposed[1], 0);
    assert_int_equal(channel_bytes(&b.ch), 300);
    assert_int_equal(take(&b.users[1]), 1);
    assert_int_equal(channel_done(&b.ch, &b.users[1].client, 1), 0);
    b.users[1].holds = 0;
    assert_int_equal(disposed[1], 1);
    finish();
    assert_int_equal(disposed[2] + disposed[3], 2);
}

static void a_lease_is_confirmed_or_comes_back_or_goes_with_its_taker(void **state)
{
    for (int joinable = 0; joinable < 2; joinable++) {
        (void)state;
        memset(disposed, 0, sizeof disposed);
        start((struct channel_options){.max_tokens = 4, .joinable = joinable, .dispose = dispose});
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(put_token(i, 100), 0);
        b.leases = true;
        struct user *one = &b.users[0], *two = &b.users[1];
        assert_int_equal(take(one), 0);
        assert_int_equal(take(two), 1);
        assert_int_equal(take(one), 2);
        assert_int_equal(b.ch.held_bytes, 300);
        assert_int_equal(channel_owed(&b.ch, &one->client), 0); /* it does not have them yet */
        assert_int_equal(channel_confirm(&b.ch, &two->client, one->tickets[0]), -ENOENT);
        assert_int_equal(give_back(one, 1), 0);
        assert_int_equal(give_back(two, 0), 0);
        assert_int_equal(give_back(one, 0), 0);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(take(two), i); /* in the old order */
        assert_int_equal(confirm(two, 0), 0);
        assert_int_equal(disposed[0], 1);
        assert_int_equal(channel_owed(&b.ch, &two->client), joinable);
        assert_int_equal(channel_done(&b.ch, &two->client, 2), -ERANGE);
        assert_int_equal(give_back(two, 0), 0);
        gone(two); /* with the third */
        assert_int_equal(disposed[2], 1);
        assert_int_equal(b.ch.stats.lost, 1 + (uint32_t)joinable); /* the first was not done */
        b.leases = false;
        assert_int_equal(take(one), 1); /* one that came back, for good */
        assert_int_equal(disposed[1], 0);
        assert_int_equal(b.ch.unfinished, 2 * (uint32_t)joinable);
        assert_int_equal(b.ch.out_tokens, 0);
        finish();
        assert_int_equal(disposed[3], 1);
    }
}

/* Whatever happens, each token that went in is either taken by somebody or disposed of, and once. */
static void no_token_is_lost_or_disposed_of_twice(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        bool at_least_once = seed % 3 == 1, leases = seed % 3 == 2;
        uint32_t in[TOKENS] = {0}, next = 0;
        srand(seed);
        memset(disposed, 0, sizeof disposed);
        memset(handed_out, 0, sizeof handed_out);
        start((struct channel_options){
            .max_items = 6, .max_tokens = 4, .max_bytes = 50, .at_least_once = at_least_once, .dispose = dispose});
        while (next < TOKENS) {
            struct user *u = &b.users[rand() % PARTIES];
            struct channel_item first;
            switch (rand() % 6) {
            default:
                if (put_token(next, (uint64_t)(rand() % 20)) == 0)
                    in[next]++;
                next++;
                break;
            case 3:
                if (put(TOKENS + next) == 0 && rand() % 50 == 0)
                    next++;
                break;
            case 4:
                if (channel_first(&b.ch, &first)) {
                    bool was = first.token;
                    b.leases = leases && rand() % 2;
                    uint32_t number = take(u);
                    if (was && !at_least_once && !b.leases)
                        handed_out[number]++;
                }
                break;
            case 5:
                if (u->holds > 0 && rand() % 4 == 0)
                    assert_int_equal(give_back(u, (uint32_t)rand() % u->holds), 0);
                else if (u->holds > 0 && rand() % 2)
                    assert_int_equal(confirm(u, (uint32_t)rand() % u->holds), 0);
                else if (rand() % 4 == 0)
                    gone(u);
                break;
            }
        }
        finish();
        for (uint32_t i = 0; i < TOKENS; i++)
            assert_int_equal(disposed[i] + handed_out[i], in[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_counts_what_it_weighs),
        cmocka_unit_test(a_token_waits_for_room_and_is_disposed_of_when_it_waits_in_vain),
        cmocka_unit_test(a_held_token_stays_until_it_is_confirmed),
        cmocka_unit_test(a_lease_is_confirmed_or_comes_back_or_goes_with_its_taker),
        cmocka_unit_test(no_token_is_lost_or_disposed_of_twice),
    };
    return cmocka_run_group_tests_name("channel_tokens", tests, NULL, NULL);
}
