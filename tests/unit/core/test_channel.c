/* The queue of items: its rules by name, and random histories beside a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "daemon/core/channel.h"

/* ---- a bench: a channel whose items are numbers
 * ----------------------------------------------------------------------------- */

enum { PARTIES = 4, MOST = 4096 };

struct user {
    struct channel_party party;
    uint64_t tickets[MOST]; /* of what it holds, oldest first */
    uint32_t numbers[MOST];
    uint32_t holds;
};

struct waiting {
    struct channel_wait wait;
    struct user *user;
    uint32_t want, ended, got, number; /* of a get: how many it takes at most, how many it took, the last of them */
    enum channel_end end;
};

static struct bench {
    struct channel ch;
    struct core_timers timers;
    struct user users[PARTIES];
    bool ascending; /* numbers were put in their order, and must be taken so */
    uint32_t last;
} b;

static void start(struct channel_options o);

static uint32_t take_one(struct user *u)
{
    struct channel_item item;
    uint32_t number;
    uint64_t ticket;
    assert_true(channel_first(&b.ch, &item));
    assert_true(item.length >= sizeof number);
    memcpy(&number, item.bytes, sizeof number);
    for (size_t i = sizeof number; i < item.length; i++)
        assert_int_equal(item.bytes[i], (uint8_t)number);
    if (b.ascending)
        assert_true(number > b.last);
    b.last = number;
    assert_int_equal(channel_take(&b.ch, &u->party, &ticket), 0);
    assert_int_equal(ticket != 0, b.ch.options.at_least_once);
    if (b.ch.options.at_least_once) {
        u->tickets[u->holds] = ticket;
        u->numbers[u->holds++] = number;
    }
    return number;
}

static void ended(struct channel_wait *w, enum channel_end end)
{
    struct waiting *waiting = (struct waiting *)(void *)((char *)w - offsetof(struct waiting, wait));
    waiting->ended++;
    waiting->end = end;
    if (w->want == CHANNEL_GET && end == CHANNEL_READY)
        while (waiting->got < waiting->want && channel_items(&b.ch) > 0) {
            waiting->number = take_one(waiting->user);
            waiting->got++;
        }
}

static void start(struct channel_options o)
{
    if (o.max_items == 0)
        o.max_items = 8;
    if (o.max_bytes == 0)
        o.max_bytes = 1 << 20;
    if (o.max_waits == 0)
        o.max_waits = 8;
    memset(&b, 0, sizeof b);
    assert_int_equal(channel_init(&b.ch, &o, &b.timers, 7, ended), 0);
    for (int i = 0; i < PARTIES; i++)
        channel_party_init(&b.users[i].party);
}

static void finish(void)
{
    for (int i = 0; i < PARTIES; i++)
        channel_party_gone(&b.ch, &b.users[i].party);
    assert_null(core_timer_first(&b.timers));
    channel_deinit(&b.ch);
}

static int put_sized(uint32_t number, size_t length)
{
    uint8_t bytes[MOST];
    memset(bytes, (int)(number & 0xff), length);
    memcpy(bytes, &number, sizeof number);
    struct channel_item item = channel_item_of(bytes, length);
    return channel_put(&b.ch, &item);
}

static int put(uint32_t number)
{
    int r = put_sized(number, sizeof number);
    channel_settle(&b.ch);
    return r;
}

static uint32_t take(struct user *u)
{
    uint32_t number = take_one(u);
    channel_settle(&b.ch);
    return number;
}

static int confirm(struct user *u, uint32_t at)
{
    int r = channel_confirm(&b.ch, &u->party, u->tickets[at]);
    if (r == 0) {
        u->holds--;
        memmove(u->tickets + at, u->tickets + at + 1, (u->holds - at) * sizeof u->tickets[0]);
        memmove(u->numbers + at, u->numbers + at + 1, (u->holds - at) * sizeof u->numbers[0]);
    }
    channel_settle(&b.ch);
    return r;
}

static void gone(struct user *u)
{
    u->holds = 0;
    channel_party_gone(&b.ch, &u->party);
}

static int wait_put(struct waiting *w, struct user *u, uint32_t first, uint32_t count, uint64_t at_ns)
{
    memset(w, 0, sizeof *w);
    w->user = u;
    for (uint32_t i = 0, n = first; i < count; i++, n++) {
        struct channel_item item = channel_item_of(&n, sizeof n);
        assert_int_equal(channel_log_add(&w->wait.rest, &item), 0);
    }
    int r = channel_wait(&b.ch, &w->wait, CHANNEL_PUT, &u->party, at_ns);
    if (r < 0)
        channel_log_deinit(&w->wait.rest, b.ch.options.dispose);
    return r;
}

static int wait_for(struct waiting *w, struct user *u, enum channel_want want, uint32_t count, uint64_t at_ns)
{
    memset(w, 0, sizeof *w);
    w->user = u;
    w->want = count;
    return channel_wait(&b.ch, &w->wait, want, &u->party, at_ns);
}

/* ---- the rules
 * -------------------------------------------------------------------------------------------------------------- */

static void items_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    start((struct channel_options){0});
    for (uint32_t round = 0; round < 1000; round++) {
        for (uint32_t i = 0; i < 8; i++)
            assert_int_equal(put(round * 8 + i), 0);
        for (uint32_t i = 0; i < 8; i++)
            assert_int_equal(take(&b.users[0]), round * 8 + i);
    }
    assert_int_equal(channel_bytes(&b.ch), 0);
    finish();
}

static void a_full_channel_says_so_by_items_and_by_bytes(void **state)
{
    (void)state;
    start((struct channel_options){.max_items = 3, .max_bytes = 100});
    assert_int_equal(put_sized(1, 60), 0);
    assert_int_equal(put_sized(2, 41), -EAGAIN);
    assert_int_equal(put_sized(2, 40), 0);
    assert_int_equal(put_sized(3, 4), -EAGAIN);
    assert_int_equal(put_sized(3, 101), -EMSGSIZE);
    take(&b.users[0]);
    assert_int_equal(put(3), 0);
    assert_int_equal(put(4), 0);
    assert_int_equal(put(5), -EAGAIN);
    finish();
}

static void putters_that_wait_go_in_one_after_the_other(void **state)
{
    struct waiting w1, w2;
    (void)state;
    start((struct channel_options){.max_items = 2});
    assert_int_equal(put(1), 0);
    assert_int_equal(put(2), 0);
    assert_int_equal(wait_put(&w1, &b.users[0], 3, 3, UINT64_MAX), 0);
    assert_int_equal(wait_put(&w2, &b.users[1], 6, 1, UINT64_MAX), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(w1.ended, 0);
        assert_int_equal(take(&b.users[2]), i);
        assert_int_equal(put(100), -EAGAIN);
    }
    assert_int_equal(w1.ended, 1);
    assert_int_equal(w1.end, CHANNEL_READY);
    assert_int_equal(w1.wait.in, 3);
    assert_int_equal(w2.ended, 0);
    for (uint32_t i = 4; i <= 6; i++)
        assert_int_equal(take(&b.users[2]), i);
    assert_int_equal(w2.ended, 1);
    finish();
}

static void getters_that_wait_are_served_in_their_order(void **state)
{
    struct waiting w[3];
    (void)state;
    start((struct channel_options){0});
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_for(&w[i], &b.users[i], CHANNEL_GET, 1, UINT64_MAX), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(w[i].ended, 0);
        assert_int_equal(put(10 + i), 0);
        assert_int_equal(w[i].ended, 1);
        assert_int_equal(w[i].number, 10 + i);
    }
    finish();
}

static void a_wait_that_is_too_long_ends_with_what_it_has(void **state)
{
    struct waiting w, g;
    (void)state;
    start((struct channel_options){.max_items = 1});
    assert_int_equal(put(1), 0);
    assert_int_equal(wait_put(&w, &b.users[0], 2, 3, 500), 0);
    assert_int_equal(core_timer_first(&b.timers)->at_ns, 500);
    assert_int_equal(core_timer_first(&b.timers)->kind, 7);
    assert_int_equal(take(&b.users[1]), 1);
    channel_late(&w.wait);
    assert_int_equal(w.end, CHANNEL_LATE);
    assert_int_equal(w.wait.in, 1);
    assert_int_equal(take(&b.users[1]), 2);
    assert_int_equal(channel_items(&b.ch), 0);
    assert_int_equal(wait_for(&g, &b.users[1], CHANNEL_GET, 1, 700), 0);
    channel_late(&g.wait);
    assert_int_equal(g.end, CHANNEL_LATE);
    assert_int_equal(put(5), 0);
    assert_int_equal(g.got, 0);
    finish();
}

static void one_who_leaves_the_line_lets_the_next_one_in(void **state)
{
    struct waiting w1, w2;
    (void)state;
    start((struct channel_options){.max_items = 4, .max_bytes = 16});
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(put(i), 0);
    memset(&w1, 0, sizeof w1);
    w1.user = &b.users[0];
    uint8_t large[12] = {0};
    struct channel_item item = channel_item_of(large, sizeof large);
    assert_int_equal(channel_log_add(&w1.wait.rest, &item), 0);
    assert_int_equal(channel_wait(&b.ch, &w1.wait, CHANNEL_PUT, &b.users[0].party, UINT64_MAX), 0);
    assert_int_equal(wait_put(&w2, &b.users[1], 3, 1, UINT64_MAX), 0);
    channel_settle(&b.ch);
    assert_int_equal(w2.ended, 0);
    channel_leave(&w1.wait);
    channel_settle(&b.ch);
    assert_int_equal(w1.ended, 0);
    assert_int_equal(w2.ended, 1);
    finish();
}

static void too_many_cannot_wait(void **state)
{
    struct waiting w[3];
    (void)state;
    start((struct channel_options){.max_waits = 2});
    assert_int_equal(wait_for(&w[0], &b.users[0], CHANNEL_GET, 1, UINT64_MAX), 0);
    assert_int_equal(wait_for(&w[1], &b.users[0], CHANNEL_GET, 1, UINT64_MAX), 0);
    assert_int_equal(wait_for(&w[2], &b.users[0], CHANNEL_GET, 1, UINT64_MAX), -EBUSY);
    channel_leave(&w[0].wait);
    channel_leave(&w[1].wait);
    channel_leave(&w[1].wait);
    finish();
}

static void after_the_finish_the_rest_comes_and_then_the_end(void **state)
{
    struct waiting p, g;
    (void)state;
    start((struct channel_options){.max_items = 1});
    assert_int_equal(put(1), 0);
    assert_int_equal(wait_put(&p, &b.users[0], 2, 1, UINT64_MAX), 0);
    channel_finish(&b.ch);
    assert_int_equal(p.end, CHANNEL_FINISHED);
    assert_int_equal(p.wait.in, 0);
    assert_int_equal(put(3), -EPIPE);
    assert_false(channel_at_end(&b.ch, &b.users[1].party));
    assert_int_equal(take(&b.users[1]), 1);
    assert_true(channel_at_end(&b.ch, &b.users[1].party));
    finish();
    start((struct channel_options){0});
    assert_int_equal(wait_for(&g, &b.users[1], CHANNEL_GET, 1, UINT64_MAX), 0);
    channel_finish(&b.ch);
    assert_int_equal(g.end, CHANNEL_FINISHED);
    finish();
}

static void a_break_throws_away_what_is_in(void **state)
{
    struct waiting p, j;
    (void)state;
    start((struct channel_options){.max_items = 1, .joinable = true});
    assert_int_equal(put(1), 0);
    assert_int_equal(wait_put(&p, &b.users[0], 2, 1, UINT64_MAX), 0);
    assert_int_equal(wait_for(&j, &b.users[0], CHANNEL_JOIN, 0, UINT64_MAX), 0);
    channel_break(&b.ch);
    assert_int_equal(p.end, CHANNEL_FINISHED);
    assert_int_equal(j.end, CHANNEL_READY);
    assert_int_equal(channel_items(&b.ch), 0);
    assert_int_equal(b.ch.stats.lost, 1);
    finish();
}

static void what_was_not_confirmed_returns_to_its_old_place(void **state)
{
    struct user *u = b.users;
    (void)state;
    start((struct channel_options){.at_least_once = true});
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(put(i), 0);
    assert_int_equal(take(&u[0]), 0);
    assert_int_equal(take(&u[1]), 1);
    assert_int_equal(take(&u[0]), 2);
    assert_int_equal(take(&u[1]), 3);
    assert_int_equal(take(&u[0]), 4);
    assert_int_equal(confirm(&u[0], 1), 0);
    gone(&u[0]);
    assert_int_equal(take(&u[2]), 0);
    gone(&u[1]);
    assert_int_equal(take(&u[2]), 1);
    gone(&u[2]);
    static const uint32_t order[] = {0, 1, 3, 4, 5, 6, 7};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        assert_int_equal(take(&u[3]), order[i]);
    finish();
}

static void a_ticket_is_good_once_and_for_its_taker_alone(void **state)
{
    struct user *u = b.users;
    (void)state;
    start((struct channel_options){.at_least_once = true});
    assert_int_equal(put(1), 0);
    take(&u[0]);
    uint64_t old = u[0].tickets[0];
    assert_true(old < UINT64_C(1) << 53);
    assert_int_equal(channel_confirm(&b.ch, &u[1].party, old), -ENOENT);
    gone(&u[0]);
    take(&u[0]);
    assert_int_equal(channel_confirm(&b.ch, &u[0].party, old), -ENOENT);
    assert_int_equal(channel_confirm(&b.ch, &u[0].party, 0), -ENOENT);
    assert_int_equal(channel_confirm(&b.ch, &u[0].party, UINT64_MAX), -ENOENT);
    assert_int_equal(confirm(&u[0], 0), 0);
    finish();
}

static void held_items_count_against_the_caps(void **state)
{
    struct user *u = b.users;
    (void)state;
    start((struct channel_options){.max_items = 2, .at_least_once = true});
    assert_int_equal(put(1), 0);
    assert_int_equal(put(2), 0);
    take(&u[0]);
    take(&u[0]);
    assert_int_equal(put(3), -EAGAIN);
    assert_int_equal(confirm(&u[0], 0), 0);
    assert_int_equal(put(3), 0);
    gone(&u[0]);
    assert_int_equal(channel_items(&b.ch), 2);
    finish();
}

static void the_end_waits_for_what_others_may_give_back(void **state)
{
    struct user *u = b.users;
    struct waiting g;
    (void)state;
    start((struct channel_options){.at_least_once = true});
    assert_int_equal(put(1), 0);
    assert_int_equal(put(2), 0);
    take(&u[0]);
    take(&u[0]);
    channel_finish(&b.ch);
    assert_true(channel_at_end(&b.ch, &u[0].party));
    assert_false(channel_at_end(&b.ch, &u[1].party));
    assert_int_equal(wait_for(&g, &u[1], CHANNEL_GET, 9, UINT64_MAX), 0);
    assert_int_equal(confirm(&u[0], 0), 0);
    assert_int_equal(g.ended, 0);
    gone(&u[0]);
    assert_int_equal(g.ended, 1);
    assert_int_equal(g.got, 1);
    assert_int_equal(g.number, 2);
    finish();
}

static void joiners_wait_until_all_is_done(void **state)
{
    struct user *u = b.users;
    struct waiting j;
    (void)state;
    start((struct channel_options){.joinable = true});
    assert_int_equal(put(1), 0);
    assert_int_equal(put(2), 0);
    assert_int_equal(wait_for(&j, &u[0], CHANNEL_JOIN, 0, UINT64_MAX), 0);
    assert_int_equal(channel_done(&b.ch, &u[1].party, 1), -ERANGE);
    take(&u[1]);
    take(&u[1]);
    assert_int_equal(channel_done(&b.ch, &u[1].party, 3), -ERANGE);
    assert_int_equal(channel_done(&b.ch, &u[1].party, 1), 0);
    channel_settle(&b.ch);
    assert_int_equal(j.ended, 0);
    assert_int_equal(channel_done(&b.ch, &u[1].party, 1), 0);
    channel_settle(&b.ch);
    assert_int_equal(j.ended, 1);
    finish();
}

static void nobody_joins_on_the_dead(void **state)
{
    struct user *u = b.users;
    struct waiting j;
    (void)state;
    start((struct channel_options){.joinable = true});
    assert_int_equal(put(1), 0);
    take(&u[1]);
    assert_int_equal(wait_for(&j, &u[0], CHANNEL_JOIN, 0, UINT64_MAX), 0);
    gone(&u[1]);
    assert_int_equal(j.ended, 1);
    assert_int_equal(b.ch.stats.lost, 1);
    finish();
    start((struct channel_options){.joinable = true, .at_least_once = true});
    assert_int_equal(put(1), 0);
    take(&u[1]);
    assert_int_equal(wait_for(&j, &u[0], CHANNEL_JOIN, 0, UINT64_MAX), 0);
    gone(&u[1]);
    assert_int_equal(j.ended, 0);
    take(&u[2]);
    assert_int_equal(channel_done(&b.ch, &u[2].party, 1), 0);
    channel_settle(&b.ch);
    assert_int_equal(j.ended, 1);
    finish();
}

/* ---- tokens
 * ----------------------------------------------------------------------------------------------------------------- */

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
    return channel_wait(&b.ch, &w->wait, CHANNEL_PUT, &u->party, 100);
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
    assert_int_equal(channel_done(&b.ch, &b.users[1].party, 1), 0);
    b.users[1].holds = 0;
    assert_int_equal(disposed[1], 1);
    finish();
    assert_int_equal(disposed[2] + disposed[3], 2);
}

/* Whatever happens, each token that went in is either taken by somebody or disposed of, and once. */
static void no_token_is_lost_or_disposed_of_twice(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        bool at_least_once = seed % 2;
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
                    uint32_t number = take(u);
                    if (was && !at_least_once)
                        handed_out[number]++;
                }
                break;
            case 5:
                if (u->holds > 0 && rand() % 2)
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

static void options_out_of_bounds_are_refused(void **state)
{
    struct channel ch;
    (void)state;
    struct channel_options none = {.max_items = 0, .max_bytes = 1},
                           many = {.max_items = CHANNEL_ITEMS_MAX + 1, .max_bytes = 1},
                           empty = {.max_items = 1, .max_bytes = 0};
    assert_int_equal(channel_init(&ch, &none, &b.timers, 0, ended), -EINVAL);
    assert_int_equal(channel_init(&ch, &many, &b.timers, 0, ended), -EINVAL);
    assert_int_equal(channel_init(&ch, &empty, &b.timers, 0, ended), -EINVAL);
}

/* ---- random histories
 * ------------------------------------------------------------------------------------------------------- */

/* The model: all items in one array by their place, each with where it is; everything is found by looking at all. */
enum where { IN, WITH, AWAY };
static struct {
    struct {
        uint32_t number, length;
        enum where where;
        int user;
    } items[1 << 17];
    uint32_t count;
} model;

static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static uint32_t model_first(void)
{
    for (uint32_t i = 0; i < model.count; i++)
        if (model.items[i].where == IN)
            return i;
    return UINT32_MAX;
}

static void model_sums(uint32_t *items, uint64_t *bytes, uint32_t *held, uint64_t *held_bytes)
{
    *items = *held = 0;
    *bytes = *held_bytes = 0;
    for (uint32_t i = 0; i < model.count; i++) {
        if (model.items[i].where == IN) {
            ++*items;
            *bytes += model.items[i].length;
        } else if (model.items[i].where == WITH) {
            ++*held;
            *held_bytes += model.items[i].length;
        }
    }
}

static uint32_t number_of_ticket(const struct user *u, uint32_t at)
{
    return u->numbers[at];
}

static void one_history(uint64_t seed)
{
    uint32_t next = 0;
    random_state = seed;
    struct channel_options o = {
        .max_items = 1 + pick(40), .max_bytes = 64 + pick(4000), .at_least_once = pick(2), .joinable = pick(2)};
    start(o);
    o = b.ch.options;
    model.count = 0;
    for (uint32_t step = 0; step < 400; step++) {
        uint32_t items, held, at;
        uint64_t bytes, held_bytes;
        int user = (int)pick(PARTIES);
        struct user *u = &b.users[user];
        model_sums(&items, &bytes, &held, &held_bytes);
        switch (pick(10)) {
        default: { /* put */
            uint32_t length = 4 + (pick(8) ? pick(40) : pick(2000));
            int expected = length > o.max_bytes                                                       ? -EMSGSIZE
                           : items + held >= o.max_items || bytes + held_bytes + length > o.max_bytes ? -EAGAIN
                                                                                                      : 0;
            assert_int_equal(put_sized(next, length), expected);
            channel_settle(&b.ch);
            if (expected == 0) {
                model.items[model.count].number = next;
                model.items[model.count].length = length;
                model.items[model.count++].where = IN;
            }
            next++;
            break;
        }
        case 5:
        case 6:
        case 7: /* take */
            at = model_first();
            if (at == UINT32_MAX) {
                struct channel_item none;
                assert_false(channel_first(&b.ch, &none));
                break;
            }
            assert_int_equal(take(u), model.items[at].number);
            model.items[at].where = o.at_least_once ? WITH : AWAY;
            model.items[at].user = user;
            break;
        case 8: /* confirm one of its own */
            if (u->holds == 0)
                break;
            at = pick(u->holds);
            for (uint32_t i = 0; i < model.count; i++)
                if (model.items[i].where == WITH && model.items[i].number == number_of_ticket(u, at))
                    model.items[i].where = AWAY;
            assert_int_equal(confirm(u, at), 0);
            break;
        case 9: /* gone */
            for (uint32_t i = 0; i < model.count; i++)
                if (model.items[i].where == WITH && model.items[i].user == user)
                    model.items[i].where = IN;
            gone(u);
            break;
        }
        model_sums(&items, &bytes, &held, &held_bytes);
        assert_int_equal(channel_items(&b.ch), items);
        assert_int_equal(channel_bytes(&b.ch), bytes);
        assert_int_equal(b.ch.held_count, held);
        assert_int_equal(b.ch.held_bytes, held_bytes);
    }
    finish();
}

static void random_histories_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++)
        one_history(seed);
}

/* Putters and getters that wait, leave and are late: whatever happens, what comes out is what went in, in order. */
static void random_lines_keep_the_order_and_every_item(void **state)
{
    enum { WAITS = 12 };
    static struct waiting w[WAITS];
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        random_state = seed;
        start((struct channel_options){.max_items = 1 + pick(6), .max_waits = WAITS});
        b.ascending = true;
        memset(w, 0, sizeof w);
        uint64_t put_in = 0, got = 0;
        bool busy[WAITS] = {false};
        for (uint32_t step = 0; step < 300; step++) {
            uint32_t i = pick(WAITS);
            if (busy[i] && w[i].ended == 0) {
                assert_false(w[i].wait.want == CHANNEL_GET && channel_items(&b.ch) > 0);
                if (pick(3) == 0)
                    channel_late(&w[i].wait);
                else if (pick(8) == 0) {
                    channel_leave(&w[i].wait);
                    channel_settle(&b.ch);
                    w[i].ended = 1;
                }
            }
            if (busy[i] && w[i].ended) {
                assert_int_equal(w[i].ended, 1);
                *(w[i].wait.want == CHANNEL_PUT ? &put_in : &got) +=
                    w[i].wait.want == CHANNEL_PUT ? w[i].wait.in : w[i].got;
                busy[i] = false;
            }
            if (!busy[i]) {
                bool puts = pick(2);
                int r =
                    puts ? wait_put(&w[i], &b.users[0], step * 64 + 1, 1 + pick(9), pick(2) ? UINT64_MAX : pick(1000))
                         : wait_for(&w[i], &b.users[1], CHANNEL_GET, 1 + pick(9), UINT64_MAX);
                assert_int_equal(r, 0);
                busy[i] = true;
                channel_settle(&b.ch);
            }
            assert_true(channel_items(&b.ch) <= b.ch.options.max_items);
        }
        for (int i = 0; i < WAITS; i++)
            if (busy[i]) {
                channel_leave(&w[i].wait);
                *(w[i].wait.want == CHANNEL_PUT ? &put_in : &got) +=
                    w[i].wait.want == CHANNEL_PUT ? w[i].wait.in : w[i].got;
            }
        assert_int_equal(b.ch.waits, 0);
        assert_int_equal(put_in, got + channel_items(&b.ch));
        assert_int_equal(b.ch.stats.put, put_in);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_they_went_in),
        cmocka_unit_test(a_full_channel_says_so_by_items_and_by_bytes),
        cmocka_unit_test(putters_that_wait_go_in_one_after_the_other),
        cmocka_unit_test(getters_that_wait_are_served_in_their_order),
        cmocka_unit_test(a_wait_that_is_too_long_ends_with_what_it_has),
        cmocka_unit_test(one_who_leaves_the_line_lets_the_next_one_in),
        cmocka_unit_test(too_many_cannot_wait),
        cmocka_unit_test(after_the_finish_the_rest_comes_and_then_the_end),
        cmocka_unit_test(a_break_throws_away_what_is_in),
        cmocka_unit_test(what_was_not_confirmed_returns_to_its_old_place),
        cmocka_unit_test(a_ticket_is_good_once_and_for_its_taker_alone),
        cmocka_unit_test(held_items_count_against_the_caps),
        cmocka_unit_test(the_end_waits_for_what_others_may_give_back),
        cmocka_unit_test(joiners_wait_until_all_is_done),
        cmocka_unit_test(nobody_joins_on_the_dead),
        cmocka_unit_test(a_token_counts_what_it_weighs),
        cmocka_unit_test(a_token_waits_for_room_and_is_disposed_of_when_it_waits_in_vain),
        cmocka_unit_test(a_held_token_stays_until_it_is_confirmed),
        cmocka_unit_test(no_token_is_lost_or_disposed_of_twice),
        cmocka_unit_test(options_out_of_bounds_are_refused),
        cmocka_unit_test(random_histories_agree_with_the_model),
        cmocka_unit_test(random_lines_keep_the_order_and_every_item),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
