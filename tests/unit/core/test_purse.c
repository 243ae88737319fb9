/* What the channels of one owner hold together: a share that is kept, and nobody who waits for it in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/channel.h"

enum { CHANNELS = 5, LARGEST = 3 * PURSE_STEP, WAITS_MAX = 8 };
#define FREE PURSE_STEP

struct putter {
    struct channel_wait wait;
    bool waits;
};

static struct purse purse;
static struct core_timers timers;
static struct channel channels[CHANNELS];
static struct channel_client parties[CHANNELS];
static struct putter putters[CHANNELS][WAITS_MAX];
static uint64_t tickets[CHANNELS][4096];
static uint32_t ticket_count[CHANNELS];
static uint8_t bytes[LARGEST];
static unsigned rounds;

static void freed(struct purse *p)
{
    assert_ptr_equal(p, &purse);
    rounds++;
}

static void ended(struct channel_wait *w, enum channel_end end)
{
    struct putter *p = (struct putter *)(void *)((char *)w - offsetof(struct putter, wait));
    assert_int_equal(end, CHANNEL_READY);
    assert_true(p->waits);
    p->waits = false;
}

/* The last two of them hand out tickets. */
static void start(uint64_t max)
{
    memset(channels, 0, sizeof channels);
    memset(putters, 0, sizeof putters);
    memset(ticket_count, 0, sizeof ticket_count);
    timers = (struct core_timers){0};
    rounds = 0;
    purse_init(&purse, max, freed);
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct channel_options o = {.max_items = 4096,
            .max_bytes = 1 << 30,
            .max_waits = WAITS_MAX,
            .purse = &purse,
            .paid_for = FREE,
            .at_least_once = i >= CHANNELS - 2};
        assert_int_equal(channel_init(&channels[i], &o, &timers, 0, ended), 0);
        channel_client_init(&parties[i]);
    }
}

static int put(unsigned at, size_t length)
{
    struct channel_item item = channel_item_of(bytes, length);
    int r = channel_put(&channels[at], &item);
    channel_settle(&channels[at]);
    return r;
}

static bool take(unsigned at)
{
    uint64_t ticket;
    if (channel_items(&channels[at]) == 0)
        return false;
    assert_int_equal(channel_take(&channels[at], &parties[at], false, &ticket), 0);
    if (ticket)
        tickets[at][ticket_count[at]++] = ticket;
    channel_settle(&channels[at]);
    return true;
}

static bool confirm(unsigned at)
{
    if (ticket_count[at] == 0)
        return false;
    assert_int_equal(channel_confirm(&channels[at], &parties[at], tickets[at][--ticket_count[at]]), 0);
    channel_settle(&channels[at]);
    return true;
}

/* Items of this length, which did not go in. */
static struct putter *await(unsigned at, size_t length, uint32_t count)
{
    for (struct putter *p = putters[at]; p < putters[at] + WAITS_MAX; p++) {
        if (p->waits)
            continue;
        memset(p, 0, sizeof *p);
        struct channel_item item = channel_item_of(bytes, length);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(channel_log_add(&p->wait.rest, &item), 0);
        p->waits = true;
        assert_int_equal(channel_wait(&channels[at], &p->wait, CHANNEL_PUT, &parties[at], UINT64_MAX), 0);
        return p;
    }
    return NULL;
}

static unsigned make_round(void)
{
    struct channel *ch;
    unsigned tried = 0;
    while ((ch = purse_next(&purse))) {
        channel_settle(ch);
        tried++;
    }
    return tried;
}

static void finish(void)
{
    bool more = true;
    while (more) {
        more = make_round() > 0;
        for (unsigned i = 0; i < CHANNELS; i++)
            while (take(i) || confirm(i))
                more = true;
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        for (unsigned k = 0; k < WAITS_MAX; k++)
            assert_false(putters[i][k].waits);
        channel_client_gone(&channels[i], &parties[i]);
        channel_deinit(&channels[i]);
    }
    assert_int_equal(purse.used, 0);
    assert_int_equal(purse.line_length, 0);
}

static void what_is_small_costs_the_purse_nothing(void **state)
{
    (void)state;
    start(0);
    for (unsigned i = 0; i < CHANNELS; i++)
        for (unsigned k = 0; k < 100; k++)
            assert_int_equal(put(i, 100), 0);
    assert_int_equal(purse.used, 0);
    assert_int_equal(put(0, FREE), -EMSGSIZE);
    assert_int_equal(put(0, FREE - 1000), -EDQUOT);
    finish();
}

static void a_channel_pays_in_steps_and_gets_them_back(void **state)
{
    (void)state;
    start(4 * PURSE_STEP);
    for (unsigned k = 0; k < 4; k++)
        assert_int_equal(put(0, PURSE_STEP), 0);
    assert_int_equal(purse.used, 4 * PURSE_STEP);
    assert_int_equal(put(0, PURSE_STEP), -EDQUOT);
    assert_int_equal(put(1, PURSE_STEP), -EDQUOT);
    assert_int_equal(put(1, PURSE_STEP / 2), 0);
    for (unsigned k = 4; k-- > 0;) {
        assert_true(take(0));
        assert_true(purse.used <= k * PURSE_STEP);
    }
    assert_int_equal(purse.used, 0);
    assert_int_equal(rounds, 0); /* as nobody waited */
    finish();
}

static void many_tiny_items_cost_more_than_their_bytes(void **state)
{
    uint32_t in[2] = {0};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        unsigned at = i ? CHANNELS - 1 : 0;
        start(0);
        while (put(at, 1) == 0)
            in[i]++;
        assert_true(in[i] <= 4096);
        finish();
    }
    assert_true(in[1] <= FREE / 128); /* one that is held lies in a block of its own */
    assert_true(in[0] > in[1]);
}

static void what_one_channel_gives_back_goes_to_those_that_wait(void **state)
{
    (void)state;
    start(3 * PURSE_STEP);
    for (unsigned k = 0; k < 3; k++)
        assert_int_equal(put(0, PURSE_STEP), 0);
    struct putter *large = await(1, LARGEST, 1), *small = await(2, PURSE_STEP, 1);
    assert_int_equal(purse.line_length, 2);
    assert_int_equal(put(1, 1), -EDQUOT); /* nobody overtakes one who waits in the same channel */
    assert_int_equal(put(3, 1), 0);
    assert_true(take(0));
    assert_int_equal(rounds, 1);
    assert_int_equal(make_round(), 2);
    assert_true(large->waits);
    assert_false(small->waits); /* the large one before it bars it not */
    assert_true(take(0));
    assert_true(take(0));
    make_round();
    assert_true(large->waits);
    assert_true(take(2));
    make_round();
    assert_false(large->waits);
    finish();
}

static void those_who_wait_go_in_as_far_as_the_share_goes(void **state)
{
    (void)state;
    start(2 * PURSE_STEP);
    struct putter *p = await(0, PURSE_STEP / 2, 20);
    assert_int_equal(purse.line_length, 0); /* there is room for the first */
    channel_settle(&channels[0]);
    assert_true(p->waits);
    assert_in_range(p->wait.in, 5, 6);
    assert_int_equal(purse.line_length, 1);
    uint32_t in = p->wait.in;
    while (p->waits) {
        assert_true(take(0));
        make_round();
        assert_true(purse.used <= purse.max);
        assert_true(p->wait.in <= in + 1);
        in = p->wait.in;
    }
    finish();
}

static void a_larger_limit_lets_them_in(void **state)
{
    (void)state;
    start(0);
    struct putter *p = await(0, PURSE_STEP, 1);
    assert_true(make_round() == 0 && p->waits);
    purse_set_max(&purse, 2 * PURSE_STEP);
    assert_int_equal(rounds, 1);
    make_round();
    assert_false(p->waits);
    purse_set_max(&purse, 0);
    assert_int_equal(put(1, PURSE_STEP - 1000), 0);
    assert_int_equal(put(1, PURSE_STEP / 2), -EDQUOT);
    assert_int_equal(channel_may_hold(&channels[1], PURSE_STEP), false);
    finish();
}

/* After each step and its round: nobody waits for whom there is room, and nothing is held that nobody has paid for. */
static void check(void)
{
    uint64_t paid = 0;
    uint32_t in_line = 0;
    for (unsigned i = 0; i < CHANNELS; i++) {
        const struct channel *ch = &channels[i];
        const struct channel_wait *w = TAILQ_FIRST(&ch->puts);
        struct channel_item first;
        paid += ch->paid;
        in_line += ch->is_short;
        uint64_t held = channel_bytes(ch) + ch->held_bytes;
        assert_true(held <= FREE + ch->paid);
        if (w && channel_log_first(&w->rest, &first)) {
            uint64_t needs = held + first.weight, has = FREE + ch->paid + purse_left(&purse) / PURSE_STEP * PURSE_STEP;
            uint64_t heads = (uint64_t)(channel_items(ch) + ch->held_count + 1) * 128;
            assert_true(needs + heads > has);
        }
    }
    assert_int_equal(paid, purse.used);
    assert_true(purse.used <= purse.max);
    assert_int_equal(in_line, purse.line_length);
}

static void random_histories_keep_the_share_and_leave_nobody_waiting(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 30; seed++) {
        srand(seed);
        start((uint64_t)(rand() % 12) * PURSE_STEP + (uint64_t)(rand() % 1000));
        for (unsigned step = 0; step < 2000; step++) {
            unsigned at = (unsigned)rand() % CHANNELS;
            size_t length = (size_t)rand() % (rand() % 4 ? 2000 : LARGEST);
            switch (rand() % 5) {
            case 0:
            case 1:
                if (put(at, length) == -EDQUOT && rand() % 2)
                    await(at, length, 1 + (uint32_t)rand() % 5);
                break;
            case 2: take(at); break;
            case 3:
                take(at);
                confirm(at);
                break;
            case 4:
                if (rand() % 8 == 0) { /* its holder is gone: what it held is in again */
                    channel_client_gone(&channels[at], &parties[at]);
                    ticket_count[at] = 0;
                }
                break;
            }
            make_round();
            check();
        }
        purse_set_max(&purse, (uint64_t)(CHANNELS * WAITS_MAX * 5 * 2) * LARGEST); /* all get in */
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_small_costs_the_purse_nothing),
        cmocka_unit_test(a_channel_pays_in_steps_and_gets_them_back),
        cmocka_unit_test(many_tiny_items_cost_more_than_their_bytes),
        cmocka_unit_test(what_one_channel_gives_back_goes_to_those_that_wait),
        cmocka_unit_test(those_who_wait_go_in_as_far_as_the_share_goes),
        cmocka_unit_test(a_larger_limit_lets_them_in),
        cmocka_unit_test(random_histories_keep_the_share_and_leave_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
