/* The queue of items: random histories beside a naive model. */
#include "tests/unit/core/channel_bench.h"

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
        cmocka_unit_test(random_histories_agree_with_the_model),
        cmocka_unit_test(random_lines_keep_the_order_and_every_item),
    };
    return cmocka_run_group_tests_name("channel_histories", tests, NULL, NULL);
}
