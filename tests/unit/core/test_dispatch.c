/* Who gets the next task, and how many may lie ahead. */
#include "tests/unit/core/support.h"

#include "daemon/core/core_private.h"

static void a_task_goes_to_an_idle_worker(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct job *j = desk_submit(d);
    assert_int_equal(j->placed, 0); /* only core_run() dispatches */
    desk_run(d);
    assert_int_equal(j->placed, 1);
    assert_int_equal(j->core.state, MPOOL_STATE_PLACED);
    assert_ptr_equal(j->core.worker, &j->hand->core);
}

static void the_worker_that_was_idle_last_comes_first(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 3);
    struct job *j[3];
    for (int i = 0; i < 3; i++) {
        j[i] = desk_submit(d);
        desk_run(d);
    }
    struct hand *warm = j[1]->hand;
    desk_end(d, j[0], CORE_RESULT_OK, US);
    desk_end(d, j[2], CORE_RESULT_OK, US);
    desk_end(d, j[1], CORE_RESULT_OK, US);
    desk_run(d);
    struct job *next = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(next->hand, warm);
}

static void the_queue_is_first_in_first_out(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    d->function.mean_ns = 2 * MS;
    struct job *j[4];
    for (int i = 0; i < 4; i++)
        j[i] = desk_submit(d);
    for (int i = 0; i < 4; i++) {
        desk_run(d);
        assert_int_equal(j[i]->placed, 1);
        for (int later = i + 1; later < 4; later++)
            assert_int_equal(j[later]->placed, 0);
        desk_end(d, j[i], CORE_RESULT_OK, 2 * MS);
    }
}

static void a_task_submitted_to_the_front_goes_first(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    d->function.mean_ns = 2 * MS;
    struct job *running = desk_submit(d);
    desk_run(d);
    struct job *back = desk_submit(d), *front = desk_job(d);
    core_submit_front(&front->core, d->now_ns);
    desk_end(d, running, CORE_RESULT_OK, 2 * MS);
    desk_run(d);
    assert_int_equal(front->placed, 1);
    assert_int_equal(back->placed, 0);
}

static void lanes_are_filled_as_deep_as_the_measured_time_allows(void **state)
{
    static const struct {
        uint64_t mean_ns;
        uint32_t depth;
    } steps[] = {{0, 1}, {10 * US, 64}, {10 * US + 1, 16}, {50 * US, 16}, {50 * US + 1, 4}, {200 * US, 4},
        {200 * US + 1, 2}, {MS, 2}, {MS + 1, 1}, {S, 1}};
    struct desk *d = *state;
    desk_workers(d, 1);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        d->job_count = 0; /* all of the round before are finished */
        for (int n = 0; n < 70; n++) {
            d->jobs[n] = (struct job){0};
            desk_submit(d);
        }
        d->function.mean_ns = steps[i].mean_ns;
        desk_run(d);
        assert_int_equal(d->hands[0].core.placed, steps[i].depth);
        for (int n = 0; n < 70; n++)
            core_cancel(&d->jobs[n].core, CORE_WHY_CANCEL, d->now_ns);
        desk_run(d);
    }
}

static void the_slower_of_task_and_head_decides(void **state)
{
    struct desk *d = *state;
    struct core_function fast = {.mean_ns = 5 * US, .runs = 1}, slow = {.mean_ns = 5 * MS, .runs = 1};
    desk_workers(d, 1);
    struct job *head = desk_job(d), *second = desk_job(d), *third = desk_job(d);
    head->core.function = &fast;
    second->core.function = &fast;
    third->core.function = &slow;
    desk_submit_job(d, head);
    desk_submit_job(d, second);
    desk_submit_job(d, third);
    desk_run(d);
    assert_int_equal(second->placed, 1);
    assert_int_equal(third->placed, 0); /* slow behind fast: waits for an idle worker */
    desk_end(d, head, CORE_RESULT_OK, 5 * US);
    desk_end(d, second, CORE_RESULT_OK, 5 * US);
    desk_run(d);
    assert_int_equal(third->placed, 1);
    struct job *behind = desk_job(d);
    behind->core.function = &fast;
    desk_submit_job(d, behind);
    desk_run(d);
    assert_int_equal(behind->placed, 0); /* fast behind slow: the same */
}

static void the_shortest_lane_is_joined(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 3);
    d->function.mean_ns = 20 * US;
    for (int i = 0; i < 7; i++)
        desk_submit(d);
    desk_run(d);
    unsigned min = 64, max = 0;
    for (int i = 0; i < 3; i++) {
        min = d->hands[i].core.placed < min ? d->hands[i].core.placed : min;
        max = d->hands[i].core.placed > max ? d->hands[i].core.placed : max;
    }
    assert_int_equal(min, 2);
    assert_int_equal(max, 3);
}

static void tiny_tasks_wake_no_second_worker_until_they_would_wait_longer_than_that_takes(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    d->function.mean_ns = 1 * US;
    for (int i = 0; i < 11; i++)
        desk_submit(d);
    desk_run(d);
    uint32_t first = d->hands[0].core.placed, second = d->hands[1].core.placed;
    assert_int_equal(first + second, 11);
    assert_true(first == 0 || second == 0);
    desk_submit(d);
    desk_run(d);
    assert_int_equal(d->hands[0].core.placed + d->hands[1].core.placed, 12);
    assert_true(d->hands[0].core.placed == 1 || d->hands[1].core.placed == 1);
}

static void a_head_that_turned_slow_gets_nothing_behind_it(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    desk_submit(d);
    desk_run(d);
    d->function.mean_ns = 5 * MS; /* another worker has measured it */
    struct core_function fast = {.mean_ns = 5 * US, .runs = 1};
    struct job *j = desk_job(d);
    j->core.function = &fast;
    desk_submit_job(d, j);
    desk_run(d);
    assert_int_equal(j->placed, 0);
}

static void means_are_kept_apart_for_chunks(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *chunk = desk_job(d);
    chunk->core.chunk = true;
    desk_submit_job(d, chunk);
    desk_run(d);
    desk_end(d, chunk, CORE_RESULT_OK, 7 * MS);
    assert_int_equal(d->function.mean_ns, 0);
    assert_int_equal(d->function.chunk_mean_ns, 7 * MS);
    desk_run(d);
    struct job *single = desk_submit(d);
    desk_run(d);
    desk_end(d, single, CORE_RESULT_OK, 8 * US);
    assert_int_equal(d->function.mean_ns, 8 * US);
    desk_run(d);
    single = desk_submit(d);
    desk_run(d);
    desk_end(d, single, CORE_RESULT_OK, 16 * US);
    assert_int_equal(d->function.mean_ns, 9 * US); /* an eighth of the way */
    assert_int_equal(d->function.runs, 2);
}

static void a_run_time_longer_than_the_workers_life_is_not_believed(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_pass(d, 3 * US);
    desk_end(d, j, CORE_RESULT_OK, UINT64_MAX);
    assert_int_equal(d->function.mean_ns, 3 * US);
}

static void an_alone_task_goes_to_an_idle_worker_and_nothing_behind_it(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    d->function.mean_ns = 5 * US;
    struct job *alone = desk_job(d);
    alone->core.alone = true;
    desk_submit_job(d, alone);
    for (int i = 0; i < 10; i++)
        desk_submit(d);
    desk_run(d);
    assert_int_equal(alone->placed, 1);
    assert_int_equal(alone->hand->core.placed, 1);
    for (int i = 1; i <= 10; i++)
        assert_ptr_not_equal(d->jobs[i].hand, alone->hand);
}

static void an_alone_task_is_overtaken_by_nobody_and_takes_the_first_worker_that_runs_dry(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    d->function.mean_ns = 5 * US;
    for (int i = 0; i < 4; i++)
        desk_submit(d);
    desk_run(d);
    struct job *alone = desk_job(d), *later;
    alone->core.alone = true;
    desk_submit_job(d, alone);
    later = desk_submit(d);
    desk_run(d);
    assert_int_equal(alone->placed + later->placed, 0);
    struct hand *h = d->jobs[0].hand;
    for (int i = 0; i < 4; i++)
        if (d->jobs[i].hand == h)
            desk_end(d, &d->jobs[i], CORE_RESULT_OK, 5 * US);
    desk_run(d);
    assert_ptr_equal(alone->hand, h);
    assert_int_equal(later->placed, 1); /* in the same pass, on the other one */
    assert_ptr_not_equal(later->hand, h);
}

static void a_worker_that_refuses_is_left_until_something_of_it_is_collected(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    d->function.mean_ns = MS; /* two in a lane */
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    a->hand->refuses = true;
    struct job *third = desk_submit(d), *fourth = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(third->hand, b->hand); /* the other one is tried */
    assert_int_equal(fourth->placed, 0);
    a->hand->refuses = false;
    desk_run(d);
    assert_int_equal(fourth->placed, 0);
    desk_end(d, a, CORE_RESULT_OK, US);
    desk_run(d);
    assert_ptr_equal(fourth->hand, a->hand);
}

static void an_idle_worker_that_refuses_is_asked_again_after_a_millisecond(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    d->hands[0].refuses = true;
    struct job *j = desk_submit(d);
    desk_run(d);
    d->hands[0].refuses = false;
    desk_pass(d, MS - 1);
    assert_int_equal(j->placed, 0);
    desk_pass(d, 1);
    assert_int_equal(j->placed, 1);
}

static void a_worker_never_gets_more_than_its_remaining_runs(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_tasks = 3}, true);
    struct hand *h = desk_ready_one(d);
    d->function.mean_ns = 5 * US;
    for (int i = 0; i < 10; i++)
        desk_submit(d);
    desk_run(d);
    assert_int_equal(h->core.placed, 3);
    for (int i = 0; i < 3; i++)
        desk_end(d, &d->jobs[i], CORE_RESULT_OK, 5 * US);
    assert_true(h->retired);
    assert_int_equal(d->jobs[3].placed, 0);
}

static void every_legal_move_of_a_task_is_in_the_table_and_no_other(void **state)
{
    static const char legal[MPOOL_STATE_COUNT][MPOOL_STATE_COUNT + 1] = {
        /*                       QPRBYDFLTCSX */
        [MPOOL_STATE_QUEUED] = ".P....F..CSX",
        [MPOOL_STATE_PLACED] = "Q..B.DFLTCSX",
        [MPOOL_STATE_RUNNING] = "............",
        [MPOOL_STATE_BACKOFF] = "Q...Y.F..CS.",
        [MPOOL_STATE_DELAYED] = "Q........CSX",
        [MPOOL_STATE_DONE] = "............",
        [MPOOL_STATE_FAILED] = "............",
        [MPOOL_STATE_LOST] = "............",
        [MPOOL_STATE_TIMEOUT] = "............",
        [MPOOL_STATE_CANCELLED] = "............",
        [MPOOL_STATE_SHUTDOWN] = "............",
        [MPOOL_STATE_EXPIRED] = "............",
    };
    (void)state;
    for (unsigned from = 0; from < MPOOL_STATE_COUNT; from++)
        for (unsigned to = 0; to < MPOOL_STATE_COUNT; to++)
            assert_int_equal(
                core_state_may_follow((enum mpool_state)from, (enum mpool_state)to), legal[from][to] != '.');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_goes_to_an_idle_worker),
        TEST(the_worker_that_was_idle_last_comes_first),
        TEST(the_queue_is_first_in_first_out),
        TEST(a_task_submitted_to_the_front_goes_first),
        TEST(lanes_are_filled_as_deep_as_the_measured_time_allows),
        TEST(the_slower_of_task_and_head_decides),
        TEST(the_shortest_lane_is_joined),
        TEST(tiny_tasks_wake_no_second_worker_until_they_would_wait_longer_than_that_takes),
        TEST(a_head_that_turned_slow_gets_nothing_behind_it),
        TEST(means_are_kept_apart_for_chunks),
        TEST(a_run_time_longer_than_the_workers_life_is_not_believed),
        TEST(an_alone_task_goes_to_an_idle_worker_and_nothing_behind_it),
        TEST(an_alone_task_is_overtaken_by_nobody_and_takes_the_first_worker_that_runs_dry),
        TEST(a_worker_that_refuses_is_left_until_something_of_it_is_collected),
        TEST(an_idle_worker_that_refuses_is_asked_again_after_a_millisecond),
        TEST(a_worker_never_gets_more_than_its_remaining_runs),
        cmocka_unit_test(every_legal_move_of_a_task_is_in_the_table_and_no_other),
    };
    return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
