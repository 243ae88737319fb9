/* Do events, conditions and barriers do what sync.h says, when somebody dies, too? */
#include "tests/unit/sync/support.h"

#include <sched.h>

enum { ANN = 1, BOB = 2, EVE = 3 };

static int event_wait(struct sync_user *user)
{
    return sync_event_wait(user, -1);
}

static int barrier_wait(struct sync_user *user)
{
    return sync_barrier_wait(user, -1);
}

/* On the condition's own lock. */
static int condition_wait(struct sync_user *user)
{
    int r = sync_rlock_take(user, -1);

    if (r < 0)
        return r;
    r = sync_condition_wait(user, user, true, -1);
    if (r >= 0 && sync_rlock_release(user) < 0)
        return -EPERM;
    return r;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void an_event_is_set_and_cleared(void **state)
{
    struct page page = page_new(MPOOL_KIND_EVENT, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    assert_false(sync_event_is_set(&ann));
    assert_int_equal(sync_event_wait(&ann, 0), -ETIMEDOUT);
    assert_int_equal(sync_event_wait(&ann, 1), -ETIMEDOUT);
    sync_event_set(&ann);
    sync_event_set(&ann);
    assert_true(sync_event_is_set(&ann));
    assert_int_equal(sync_event_wait(&ann, -1), 0);
    sync_event_clear(&ann);
    assert_false(sync_event_is_set(&ann));
    assert_int_equal(sync_event_wait(&ann, 0), -ETIMEDOUT);
    page_free(&page);
}

static void an_event_can_begin_set(void **state)
{
    struct page page = page_new(MPOOL_KIND_EVENT, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    assert_int_equal(sync_page_init(page.area, page.kind, &(struct sync_setup){.set = true}), 0);
    assert_int_equal(sync_event_wait(&ann, 0), 0);
    page_free(&page);
}

static void an_event_wakes_all_who_wait(void **state)
{
    struct page page = page_new(MPOOL_KIND_EVENT, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (int round = 0; round < 200; round++) {
        struct waiter bob, eve;
        uint32_t before = page.area->event;
        waiter_start(&bob, &page, BOB, event_wait);
        waiter_start(&eve, &page, EVE, event_wait);
        until_not(&page.area->event, before); /* one has said that it sleeps; the other may come later */
        sync_event_set(&ann);
        assert_int_equal(waiter_join(&bob), 0);
        assert_int_equal(waiter_join(&eve), 0);
        sync_event_clear(&ann);
    }
    page_free(&page);
}

static void a_set_and_a_clear_end_a_wait(void **state)
{
    struct page page = page_new(MPOOL_KIND_EVENT, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (int round = 0; round < 500; round++) {
        struct waiter bob;
        uint32_t before = page.area->event;
        waiter_start(&bob, &page, BOB, event_wait);
        until_not(&page.area->event, before); /* it has said that it sleeps */
        sync_event_set(&ann);
        sync_event_clear(&ann);
        assert_int_equal(waiter_join(&bob), 0);
    }
    page_free(&page);
}

static void an_event_ends_with_the_daemon(void **state)
{
    struct page page = page_new(MPOOL_KIND_EVENT, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, event_wait);
    until_not(&page.area->event, 0);
    sync_close(page.area, page.kind);
    assert_int_equal(waiter_join(&bob), -ECONNRESET);
    assert_int_equal(sync_event_wait(&ann, -1), -ECONNRESET);
    page_free(&page);
}

static void a_setter_that_died_before_its_wake_leaves_nobody_asleep(void **state)
{
    struct page page = page_new(MPOOL_KIND_EVENT, 0, 0);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, event_wait);
    until_not(&page.area->event, 0);
    atomic_store(&page.area->event, 5); /* the next generation, set, and no wake */
    page_gone(&page, ANN);
    assert_int_equal(waiter_join(&bob), 0);
    page_free(&page);
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

static void a_condition_wants_its_lock(void **state)
{
    struct page page = page_new(MPOOL_KIND_CONDITION, 0, 0), lock_page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), lock = page_user(&lock_page, ANN);
    (void)state;

    assert_int_equal(sync_condition_wait(&ann, &ann, true, 0), -EPERM);
    assert_int_equal(sync_condition_notify(&ann, &ann, true, 1), -EPERM);
    assert_int_equal(sync_condition_wait(&ann, &lock, false, 0), -EPERM);
    assert_int_equal(sync_take(&lock, 0), 0);
    assert_int_equal(sync_condition_wait(&ann, &lock, false, 1), -ETIMEDOUT);
    assert_true(sync_lock_mine(&lock));
    assert_int_equal(sync_condition_notify(&ann, &lock, false, 1), 0);
    page_free(&page);
    page_free(&lock_page);
}

static void a_wait_gives_an_rlock_up_in_whole_and_takes_it_back(void **state)
{
    struct page page = page_new(MPOOL_KIND_CONDITION, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (int i = 0; i < 3; i++)
        assert_int_equal(sync_rlock_take(&ann, 0), 0);
    assert_int_equal(sync_condition_wait(&ann, &ann, true, 1), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sync_rlock_release(&ann), 0);
    assert_int_equal(sync_rlock_release(&ann), -EPERM);
    page_free(&page);
}

static void a_notification_wakes_who_waits(void **state)
{
    struct page page = page_new(MPOOL_KIND_CONDITION, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob, eve;
    (void)state;

    waiter_start(&bob, &page, BOB, condition_wait);
    waiter_start(&eve, &page, EVE, condition_wait);
    /* Each has the lock from its take to its wait. Two takes, and the lock free: both wait. */
    struct sync_snapshot snapshot;
    do {
        sched_yield();
        sync_inspect(page.area, page.kind, 0, &snapshot);
    } while (snapshot.fence < 2);
    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    assert_int_equal(sync_condition_notify(&ann, &ann, true, UINT32_MAX), 0);
    assert_int_equal(page.area->sleepers, 0);
    assert_int_equal(sync_rlock_release(&ann), 0);
    assert_int_equal(waiter_join(&bob), 0);
    assert_int_equal(waiter_join(&eve), 0);
    /* Without waiters nothing moves. */
    uint32_t sequence = page.area->sequence;
    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    assert_int_equal(sync_condition_notify(&ann, &ann, true, 1), 0);
    assert_int_equal(page.area->sequence, sequence);
    page_free(&page);
}

static void a_waiter_hears_that_the_locks_owner_died(void **state)
{
    struct page page = page_new(MPOOL_KIND_CONDITION, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, condition_wait);
    until_not(&page.area->sleepers, 0);
    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    assert_int_equal(page_gone(&page, ANN), 1); /* and so everybody looks again */
    assert_int_equal(waiter_join(&bob), 1);
    page_free(&page);
}

static void a_condition_ends_with_the_daemon(void **state)
{
    struct page page = page_new(MPOOL_KIND_CONDITION, 0, 0);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, condition_wait);
    until_not(&page.area->sleepers, 0);
    sync_close(page.area, page.kind);
    assert_int_equal(waiter_join(&bob), -ECONNRESET);
    page_free(&page);
}

/* ---- barriers ---------------------------------------------------------------------------------------------------- */

#define PARTIES 5u

static void all_pass_a_barrier_together_each_with_a_place(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, PARTIES, 0);
    (void)state;

    for (int round = 0; round < 100; round++) {
        struct waiter waiters[PARTIES];
        uint32_t places = 0;
        for (uint32_t i = 0; i < PARTIES; i++)
            waiter_start(&waiters[i], &page, 1 + i, barrier_wait);
        for (uint32_t i = 0; i < PARTIES; i++) {
            int place = waiter_join(&waiters[i]);
            assert_in_range(place, 0, PARTIES - 1);
            places |= 1u << place;
        }
        assert_int_equal(places, (1u << PARTIES) - 1);
    }
    page_free(&page);
}

static void a_time_out_breaks_a_barrier_until_it_is_reset(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 3, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, barrier_wait);
    while (sync_barrier_waiting(&ann) == 0)
        sched_yield();
    assert_int_equal(sync_barrier_wait(&ann, 1), -ETIMEDOUT);
    assert_int_equal(waiter_join(&bob), -EPIPE);
    assert_true(sync_barrier_broken(&ann));
    assert_int_equal(sync_barrier_waiting(&ann), 0);
    assert_int_equal(sync_barrier_wait(&ann, -1), -EPIPE);
    sync_barrier_reset(&ann);
    assert_false(sync_barrier_broken(&ann));
    assert_int_equal(sync_barrier_wait(&ann, 0), -ETIMEDOUT);
    page_free(&page);
}

static void an_abort_and_a_reset_end_all_waits(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 3, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (int by_reset = 0; by_reset < 2; by_reset++) {
        struct waiter bob, eve;
        waiter_start(&bob, &page, BOB, barrier_wait);
        waiter_start(&eve, &page, EVE, barrier_wait);
        while (sync_barrier_waiting(&ann) < 2)
            sched_yield();
        if (by_reset)
            sync_barrier_reset(&ann);
        else
            sync_barrier_abort(&ann);
        assert_int_equal(waiter_join(&bob), -EPIPE);
        assert_int_equal(waiter_join(&eve), -EPIPE);
        assert_true(sync_barrier_broken(&ann) == !by_reset);
        sync_barrier_reset(&ann);
    }
    page_free(&page);
}

static void a_barrier_can_be_used_again_after_a_reset(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 2, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (int round = 0; round < 20; round++) {
        struct waiter bob;
        sync_barrier_abort(&ann);
        sync_barrier_reset(&ann);
        waiter_start(&bob, &page, BOB, barrier_wait);
        int mine = sync_barrier_wait(&ann, -1), his = waiter_join(&bob);
        assert_true(mine + his == 1 && (mine == 0 || mine == 1));
    }
    page_free(&page);
}

static void the_death_of_one_who_waits_breaks_a_barrier(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 3, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct sync_snapshot snapshot;
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, barrier_wait);
    while (sync_barrier_waiting(&ann) == 0)
        sched_yield();
    page_gone(&page, ANN); /* has not come */
    assert_false(sync_barrier_broken(&ann));
    sync_inspect(page.area, page.kind, page.capacity, &snapshot);
    assert_int_equal(snapshot.owner_count, 1);
    assert_int_equal(snapshot.owners[0], BOB);
    /* As if it had died: the rest of it is a thread that hears of it. */
    assert_int_equal(page_gone(&page, BOB), 1);
    assert_int_equal(waiter_join(&bob), -EPIPE);
    assert_true(sync_barrier_broken(&ann));
    page_free(&page);
}

static void who_has_passed_a_barrier_may_die(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 2, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, barrier_wait);
    assert_true(sync_barrier_wait(&ann, -1) >= 0);
    assert_true(waiter_join(&bob) >= 0);
    assert_int_equal(page_gone(&page, BOB), 0);
    assert_false(sync_barrier_broken(&ann));
    page_free(&page);
}

static void one_that_died_between_its_slot_and_its_count_breaks_a_barrier(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 2, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    page.area->slots[7] = BOB; /* of round 0 */
    assert_int_equal(page_gone(&page, BOB), 1);
    assert_int_equal(sync_barrier_wait(&ann, -1), -EPIPE);
    page_free(&page);
}

static void the_last_that_died_before_its_wake_leaves_nobody_asleep(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 2, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, barrier_wait);
    while (sync_barrier_waiting(&ann) == 0)
        sched_yield();
    atomic_store(&page.area->state, (uint64_t)1 << 32 | (uint64_t)0xffff << 16); /* the next round, and no wake */
    page_gone(&page, ANN);
    assert_int_equal(waiter_join(&bob), 0);
    page_free(&page);
}

static void a_barrier_of_one_holds_up_nobody(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 1, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (int i = 0; i < 1000; i++)
        assert_int_equal(sync_barrier_wait(&ann, -1), 0);
    page_free(&page);
}

static void a_barrier_ends_with_the_daemon(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 2, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    waiter_start(&bob, &page, BOB, barrier_wait);
    while (sync_barrier_waiting(&ann) == 0)
        sched_yield();
    sync_close(page.area, page.kind);
    assert_int_equal(waiter_join(&bob), -ECONNRESET);
    assert_int_equal(sync_barrier_wait(&ann, -1), -ECONNRESET);
    page_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_set_and_cleared),
        cmocka_unit_test(an_event_can_begin_set),
        cmocka_unit_test(an_event_wakes_all_who_wait),
        cmocka_unit_test(a_set_and_a_clear_end_a_wait),
        cmocka_unit_test(an_event_ends_with_the_daemon),
        cmocka_unit_test(a_setter_that_died_before_its_wake_leaves_nobody_asleep),
        cmocka_unit_test(a_condition_wants_its_lock),
        cmocka_unit_test(a_wait_gives_an_rlock_up_in_whole_and_takes_it_back),
        cmocka_unit_test(a_notification_wakes_who_waits),
        cmocka_unit_test(a_waiter_hears_that_the_locks_owner_died),
        cmocka_unit_test(a_condition_ends_with_the_daemon),
        cmocka_unit_test(all_pass_a_barrier_together_each_with_a_place),
        cmocka_unit_test(a_time_out_breaks_a_barrier_until_it_is_reset),
        cmocka_unit_test(an_abort_and_a_reset_end_all_waits),
        cmocka_unit_test(a_barrier_can_be_used_again_after_a_reset),
        cmocka_unit_test(the_death_of_one_who_waits_breaks_a_barrier),
        cmocka_unit_test(who_has_passed_a_barrier_may_die),
        cmocka_unit_test(one_that_died_between_its_slot_and_its_count_breaks_a_barrier),
        cmocka_unit_test(the_last_that_died_before_its_wake_leaves_nobody_asleep),
        cmocka_unit_test(a_barrier_of_one_holds_up_nobody),
        cmocka_unit_test(a_barrier_ends_with_the_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
