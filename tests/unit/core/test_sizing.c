/* How many workers a pool has. */
#include "tests/unit/core/support.h"

static void the_minimum_is_spawned_when_the_pool_opens(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 3, .max = 8}, false);
    assert_int_equal(d->asked, 0);
    core_pool_open(d->pool);
    desk_run(d);
    assert_int_equal(d->asked, 3);
}

static void a_suspended_pool_spawns_nothing_until_it_is_opened_again(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    core_pool_suspend(d->pool);
    desk_die(d, &d->hands[0]);
    desk_submit(d);
    desk_run(d);
    assert_int_equal(d->asked, 0);
    core_pool_open(d->pool);
    desk_run(d);
    assert_int_equal(d->asked, 1);
}

static void workers_are_spawned_for_what_waits_and_no_more(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 8}, true);
    desk_ready_one(d);
    d->function.mean_ns = 5 * MS;
    for (int i = 0; i < 4; i++)
        desk_submit(d);
    desk_run(d);
    assert_int_equal(d->asked, 3); /* one runs, three wait */
    desk_run(d);
    assert_int_equal(d->asked, 3); /* and those that come will take them */
    desk_submit(d);
    desk_run(d);
    assert_int_equal(d->asked, 4);
}

static void there_are_never_more_workers_than_max(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 3}, true);
    desk_ready_one(d);
    for (int i = 0; i < 20; i++)
        desk_submit(d);
    desk_run(d);
    assert_int_equal(d->asked, 2);
}

static void the_coldest_idle_worker_above_min_is_retired_after_its_time(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 3, .idle_timeout_ms = 100}, true);
    desk_ready_one(d);
    d->function.mean_ns = 5 * MS;
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    desk_ready_one(d);
    desk_end(d, a, CORE_RESULT_OK, 0);
    desk_pass(d, 10 * MS);
    desk_end(d, b, CORE_RESULT_OK, 0);
    desk_run(d);
    desk_pass(d, 90 * MS - 1);
    assert_false(a->hand->retired);
    desk_pass(d, 1);
    assert_true(a->hand->retired);
    desk_pass(d, S);
    assert_false(b->hand->retired); /* the last one is the minimum */
    desk_die(d, a->hand);
    desk_run(d);
    assert_true(core_next_ns(d->core) == UINT64_MAX);
}

static void a_healthy_worker_that_dies_idle_is_replaced_at_once(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_end(d, j, CORE_RESULT_OK, US);
    desk_run(d);
    for (int i = 0; i < 5; i++) {
        desk_pass(d, S); /* living for a second proves it, too */
        desk_die(d, &d->hands[i]);
        desk_run(d);
        assert_int_equal(d->asked, 1);
        desk_ready_one(d);
    }
}

static void a_worker_that_dies_in_a_task_is_replaced_at_once(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    for (int i = 0; i < 5; i++) {
        struct job *j = desk_submit(d);
        desk_run(d);
        desk_claim(j);
        desk_die(d, j->hand);
        desk_run(d);
        assert_int_equal(d->asked, 1);
        desk_ready_one(d);
    }
}

static uint64_t throttled_for(struct desk *d)
{
    struct core_pool_counts counts;
    core_pool_counts(d->pool, &counts);
    return counts.throttled_until_ns > d->now_ns ? counts.throttled_until_ns - d->now_ns : 0;
}

static void deaths_before_the_first_task_throttle_the_spawns(void **state)
{
    static const uint64_t ms[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1}, true);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        struct hand *h = desk_ready_one(d);
        desk_pass(d, 999 * MS);
        desk_die(d, h);
        desk_run(d);
        assert_true(throttled_for(d) == ms[i] * MS);
        if (ms[i] == 0)
            continue;
        desk_pass(d, ms[i] * MS - 1);
        assert_int_equal(d->asked, 0);
        desk_pass(d, 1);
        assert_int_equal(d->asked, 1);
    }
}

static void failed_spawns_throttle_like_deaths_and_a_batch_counts_once(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 4, .max = 4}, true);
    for (int i = 0; i < 4; i++)
        desk_spawn_fails(d);
    desk_run(d);
    assert_int_equal(d->asked, 0);
    assert_true(throttled_for(d) == 100 * MS);
    desk_pass(d, 100 * MS);
    assert_int_equal(d->asked, 1); /* one at a time */
    desk_pass(d, S);
    assert_int_equal(d->asked, 1);
}

static void fail_at_once(struct desk *d)
{
    desk_spawn_fails(d);
}

static void a_spawn_that_fails_from_inside_does_not_spin(void **state)
{
    struct desk *d = *state;
    d->on_spawn = fail_at_once;
    desk_pool(d, (struct core_pool_config){.min = 4, .max = 4}, true);
    assert_int_equal(d->asked, 0);
    assert_true(throttled_for(d) == 100 * MS);
}

static void the_throttle_ends_when_a_worker_finishes_a_task(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 3, .max = 3}, true);
    for (int i = 0; i < 3; i++)
        desk_spawn_fails(d);
    desk_run(d);
    desk_pass(d, 100 * MS);
    desk_ready_one(d);
    assert_int_equal(d->asked, 1); /* still one at a time */
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_end(d, j, CORE_RESULT_OK, US);
    desk_run(d);
    assert_int_equal(d->asked, 2);
    assert_true(throttled_for(d) == 0);
}

static void the_throttle_ends_when_a_worker_has_lived_for_a_second(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 2, .max = 2}, true);
    for (int i = 0; i < 8; i++) { /* up to 6.4 s */
        desk_spawn_fails(d);
        desk_run(d);
        desk_pass(d, 7 * S);
    }
    desk_ready_one(d);
    assert_int_equal(d->asked, 1);
    desk_spawn_fails(d);
    desk_run(d);
    assert_int_equal(d->asked, 0);
    assert_true(throttled_for(d) > S);
    desk_pass(d, S);
    assert_int_equal(d->asked, 1);
    assert_true(throttled_for(d) == 0);
}

/* Lets that many births fail in a row, each as soon as it is tried. */
static void fail_births(struct desk *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned tries = 0; d->asked == 0 && tries < 200; tries++)
            desk_pass(d, 10 * MS);
        desk_spawn_fails(d);
        desk_run(d);
    }
}

static void assert_down(const struct job *j)
{
    assert_int_equal(j->finished, 1);
    assert_int_equal(j->why, CORE_WHY_DOWN);
    assert_int_equal(j->state, MPOOL_STATE_FAILED);
}

static void what_waits_is_answered_when_births_keep_failing(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1}, true);
    struct job *first = desk_submit(d), *second = desk_submit(d);
    uint64_t began_ns = d->now_ns;
    fail_births(d, CORE_DOWN_BIRTHS - 1);
    assert_int_equal(first->finished, 0);
    assert_false(core_pool_is_down(d->pool, d->now_ns));
    fail_births(d, 1);
    assert_down(first);
    assert_down(second);
    assert_true(core_pool_is_down(d->pool, d->now_ns));
    assert_true(d->now_ns - began_ns < S);
    struct job *later = desk_submit(d); /* is not kept waiting for the next try */
    desk_run(d);
    assert_down(later);
}

static void a_pool_that_was_down_serves_as_soon_as_a_worker_is_ready(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1}, true);
    fail_births(d, CORE_DOWN_BIRTHS + 2);
    desk_pass(d, 10 * S);
    assert_int_equal(d->asked, 1); /* it is tried on */
    desk_ready_one(d);
    assert_false(core_pool_is_down(d->pool, d->now_ns));
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_end(d, j, CORE_RESULT_OK, US);
    assert_int_equal(j->why, CORE_WHY_RESULT);
}

static void where_a_worker_lives_what_waits_waits_for_it(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 3, .max_nested = 1}, true);
    desk_ready_one(d);
    struct job *running = desk_submit(d);
    desk_run(d);
    desk_claim(running);
    d->function.mean_ns = S;
    struct job *waiting = desk_submit(d);
    desk_run(d);
    fail_births(d, CORE_DOWN_BIRTHS + 2);
    assert_int_equal(waiting->finished, 0);
    /* But what it runs may wait for this very task, and then nobody is left. */
    core_worker_waiting(&running->hand->core, true, d->now_ns);
    desk_run(d);
    assert_down(waiting);
    desk_end(d, running, CORE_RESULT_OK, US);
    assert_int_equal(running->why, CORE_WHY_RESULT);
}

static void a_birth_that_takes_too_long_is_as_bad_as_many_that_fail(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .start_timeout_ms = 300000}, true);
    struct job *j = desk_submit(d);
    struct hand *h = desk_born(d);
    desk_pass(d, 300 * S - 1);
    assert_false(h->killed);
    desk_pass(d, 1);
    assert_true(h->killed);
    assert_down(j);
}

static void a_birth_may_take_for_ever_where_that_is_allowed(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct core_pool_config config = {.min = 1, .max = 2};
    core_pool_reconfigure(d->pool, &config, d->now_ns);
    desk_run(d);
    struct hand *h = desk_born(d);
    desk_pass(d, 1000000 * S);
    assert_false(h->killed);
    core_worker_ready(&h->core, d->now_ns);
    desk_run(d);
}

static void a_process_is_tried_for_each_task_even_when_the_pool_is_down(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.max = 4, .max_tasks = 1, .once = true}, true);
    struct job *j = desk_submit(d);
    desk_run(d);
    fail_births(d, CORE_DOWN_BIRTHS);
    assert_down(j);
    desk_pass(d, 10 * S);
    assert_int_equal(d->asked, 0);
    j = desk_submit(d);
    desk_run(d);
    assert_int_equal(j->finished, 0);
    assert_int_equal(d->asked, 1);
    desk_spawn_fails(d);
    desk_run(d);
    assert_down(j);
    desk_pass(d, 10 * S);
    j = desk_submit(d);
    desk_run(d);
    desk_ready_one(d);
    assert_int_equal(j->placed, 1);
    desk_end(d, j, CORE_RESULT_OK, US);
}

static void a_pool_whose_forkserver_is_given_up_is_down_once_it_has_no_worker(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    core_pool_suspend(d->pool);
    core_pool_give_up(d->pool);
    struct job *running = desk_submit(d);
    desk_run(d);
    d->function.mean_ns = S;
    struct job *waiting = desk_submit(d);
    desk_run(d);
    desk_claim(running);
    assert_int_equal(waiting->finished, 0);
    desk_die(d, running->hand);
    desk_run(d);
    assert_int_equal(running->why, CORE_WHY_LOST);
    assert_down(waiting);
    core_pool_open(d->pool);
    struct job *j = desk_submit(d);
    desk_run(d);
    assert_int_equal(j->finished, 0);
    desk_ready_one(d);
    assert_int_equal(j->placed, 1);
    desk_end(d, j, CORE_RESULT_OK, US);
}

static void a_large_pool_is_replaced_a_quarter_at_a_time(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 64);
    struct core_pool_config config = {.min = 64, .max = 64, .start_timeout_ms = 60000};
    core_pool_reconfigure(d->pool, &config, d->now_ns);
    desk_run(d);
    for (unsigned replaced = 0; replaced < 64; replaced++) {
        assert_int_equal(d->asked, replaced < 48 ? 16 : 64 - replaced);
        desk_ready_one(d);
        assert_true(d->hands[replaced].retired); /* one for one, and no more of them go than have come */
        assert_true(replaced == 63 || !d->hands[replaced + 1].retired);
    }
}

static void a_worker_that_never_gets_ready_is_killed(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1}, true);
    struct hand *h = desk_born(d);
    desk_run(d);
    desk_pass(d, 60 * S - 1);
    assert_false(h->killed);
    desk_pass(d, 1);
    assert_true(h->killed);
    /* The kill may have come too early to find a process. */
    core_worker_ready(&h->core, d->now_ns);
    assert_int_equal(h->kills, 2);
}

static void an_outdated_worker_works_on_until_its_replacement_is_ready(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct hand *old = &d->hands[0];
    core_worker_outdate(&old->core, d->now_ns);
    desk_run(d);
    assert_int_equal(d->asked, 1);
    struct job *j = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(j->hand, old); /* no task waits for it */
    desk_end(d, j, CORE_RESULT_OK, US);
    desk_run(d);
    struct hand *new = desk_ready_one(d);
    assert_true(old->retired);
    j = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(j->hand, new);
}

static void a_replacement_stands_by_while_the_old_one_still_runs(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct hand *old = &d->hands[0];
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_claim(j);
    core_worker_outdate(&old->core, d->now_ns);
    desk_run(d);
    struct hand *new = desk_ready_one(d);
    assert_int_equal(old->core.state, CORE_WORKER_RETIRING);
    assert_true(new->core.standby);
    struct job *next = desk_submit(d);
    desk_run(d);
    assert_int_equal(next->placed, 0); /* max is one at a time */
    desk_end(d, j, CORE_RESULT_OK, US);
    desk_run(d);
    assert_true(old->retired);
    assert_ptr_equal(next->hand, new);
}

static void a_replacement_is_spawned_ahead_when_the_runs_come_to_an_end(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_tasks = 100}, true);
    struct hand *old = desk_ready_one(d);
    for (int i = 0; i < 100; i++) {
        struct job *j = desk_submit(d);
        desk_run(d);
        assert_ptr_equal(j->hand, old);
        /* A tenth before the end. */
        assert_int_equal(d->asked, i + 1 >= 90);
        desk_end(d, j, CORE_RESULT_OK, US);
        desk_run(d);
    }
    assert_true(old->retired); /* used up, though nobody came */
    assert_int_equal(d->asked, 1);
}

static void a_worker_for_one_task_is_replaced_while_it_runs_it(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_tasks = 1}, true);
    struct hand *old = desk_ready_one(d);
    assert_int_equal(d->asked, 0); /* not before it has got anything */
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    assert_int_equal(d->asked, 1);
    struct hand *new = desk_ready_one(d);
    assert_int_equal(b->placed, 0);
    assert_int_equal(d->asked, 0); /* and the replacement has none of its own yet */
    desk_end(d, a, CORE_RESULT_OK, US);
    desk_run(d);
    assert_true(old->retired);
    assert_ptr_equal(b->hand, new);
}

static void a_new_configuration_replaces_workers_one_for_one(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 3);
    core_pool_reconfigure(d->pool, &(struct core_pool_config){.min = 3, .max = 3}, d->now_ns);
    desk_run(d);
    assert_int_equal(d->asked, 3);
    for (unsigned i = 0; i < 3; i++) {
        desk_ready_one(d);
        unsigned retired = 0;
        for (unsigned k = 0; k < 3; k++)
            retired += d->hands[k].retired;
        assert_int_equal(retired, i + 1);
    }
    assert_int_equal(d->asked, 0);
}

static void a_smaller_max_retires_the_surplus_without_replacement(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 4);
    core_pool_reconfigure(d->pool, &(struct core_pool_config){.min = 1, .max = 1}, d->now_ns);
    desk_run(d);
    unsigned retired = 0;
    for (unsigned k = 0; k < 4; k++)
        retired += d->hands[k].retired;
    assert_int_equal(retired, 3);
    assert_int_equal(d->asked, 1);
}

static void the_counts_tell_what_there_is(void **state)
{
    struct desk *d = *state;
    struct core_pool_counts c;
    desk_pool(d, (struct core_pool_config){.min = 2, .max = 4}, true);
    d->function.mean_ns = MS; /* two in a lane */
    desk_born(d);
    core_pool_counts(d->pool, &c);
    assert_int_equal(c.workers, 2);
    assert_int_equal(c.starting, 2); /* one asked for, one born */
    core_worker_ready(&d->hands[0].core, d->now_ns);
    for (int i = 0; i < 5; i++)
        desk_submit(d);
    desk_run(d);
    core_pool_counts(d->pool, &c);
    assert_int_equal(c.busy, 1);
    assert_int_equal(c.idle, 0);
    assert_int_equal(c.placed, 2);
    assert_int_equal(c.queued, 3);
    assert_int_equal(c.workers, 4);
    assert_int_equal(core_pool_config(d->pool)->max, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_minimum_is_spawned_when_the_pool_opens),
        TEST(a_suspended_pool_spawns_nothing_until_it_is_opened_again),
        TEST(workers_are_spawned_for_what_waits_and_no_more),
        TEST(there_are_never_more_workers_than_max),
        TEST(the_coldest_idle_worker_above_min_is_retired_after_its_time),
        TEST(a_healthy_worker_that_dies_idle_is_replaced_at_once),
        TEST(a_worker_that_dies_in_a_task_is_replaced_at_once),
        TEST(deaths_before_the_first_task_throttle_the_spawns),
        TEST(failed_spawns_throttle_like_deaths_and_a_batch_counts_once),
        TEST(a_spawn_that_fails_from_inside_does_not_spin),
        TEST(the_throttle_ends_when_a_worker_finishes_a_task),
        TEST(the_throttle_ends_when_a_worker_has_lived_for_a_second),
        TEST(what_waits_is_answered_when_births_keep_failing),
        TEST(a_pool_that_was_down_serves_as_soon_as_a_worker_is_ready),
        TEST(where_a_worker_lives_what_waits_waits_for_it),
        TEST(a_birth_that_takes_too_long_is_as_bad_as_many_that_fail),
        TEST(a_birth_may_take_for_ever_where_that_is_allowed),
        TEST(a_process_is_tried_for_each_task_even_when_the_pool_is_down),
        TEST(a_pool_whose_forkserver_is_given_up_is_down_once_it_has_no_worker),
        TEST(a_large_pool_is_replaced_a_quarter_at_a_time),
        TEST(a_worker_that_never_gets_ready_is_killed),
        TEST(an_outdated_worker_works_on_until_its_replacement_is_ready),
        TEST(a_replacement_stands_by_while_the_old_one_still_runs),
        TEST(a_replacement_is_spawned_ahead_when_the_runs_come_to_an_end),
        TEST(a_worker_for_one_task_is_replaced_while_it_runs_it),
        TEST(a_new_configuration_replaces_workers_one_for_one),
        TEST(a_smaller_max_retires_the_surplus_without_replacement),
        TEST(the_counts_tell_what_there_is),
    };
    return cmocka_run_group_tests_name("sizing", tests, NULL, NULL);
}
