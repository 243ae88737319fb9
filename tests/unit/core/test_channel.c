/* The queue of items: its rules by name. */
#include "tests/unit/core/channel_bench.h"

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
    assert_int_equal(channel_wait(&b.ch, &w1.wait, CHANNEL_PUT, &b.users[0].client, UINT64_MAX), 0);
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
    assert_false(channel_at_end(&b.ch, &b.users[1].client));
    assert_int_equal(take(&b.users[1]), 1);
    assert_true(channel_at_end(&b.ch, &b.users[1].client));
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
    assert_int_equal(channel_confirm(&b.ch, &u[1].client, old), -ENOENT);
    gone(&u[0]);
    take(&u[0]);
    assert_int_equal(channel_confirm(&b.ch, &u[0].client, old), -ENOENT);
    assert_int_equal(channel_confirm(&b.ch, &u[0].client, 0), -ENOENT);
    assert_int_equal(channel_confirm(&b.ch, &u[0].client, UINT64_MAX), -ENOENT);
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
    assert_true(channel_at_end(&b.ch, &u[0].client));
    assert_false(channel_at_end(&b.ch, &u[1].client));
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
    assert_int_equal(channel_done(&b.ch, &u[1].client, 1), -ERANGE);
    take(&u[1]);
    take(&u[1]);
    assert_int_equal(channel_done(&b.ch, &u[1].client, 3), -ERANGE);
    assert_int_equal(channel_done(&b.ch, &u[1].client, 1), 0);
    channel_settle(&b.ch);
    assert_int_equal(j.ended, 0);
    assert_int_equal(channel_done(&b.ch, &u[1].client, 1), 0);
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
    assert_int_equal(channel_done(&b.ch, &u[2].client, 1), 0);
    channel_settle(&b.ch);
    assert_int_equal(j.ended, 1);
    finish();
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
        cmocka_unit_test(options_out_of_bounds_are_refused),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
