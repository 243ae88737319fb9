/* Do the two ends race? Both as threads of one process on one mapping, so that ThreadSanitizer can judge every access;
 * without it the same runs look for lost wake-ups, lost jobs and overwritten payloads. */
#include "tests/unit/lane/support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define SLOWER 20u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLOWER 20u
#endif
#endif
#ifndef SLOWER
#define SLOWER 1u
#endif

#define LAST UINT64_MAX /* the task that ends the worker's thread */

struct run {
    struct ends ends;
    uint64_t tasks;
    uint32_t depth;
    bool large; /* results that fill the ring, so that the worker sleeps for room */
    bool reclaim;
    uint32_t spin_ns;      /* how long the worker waits awake */
    bool brim;             /* a full lane of results that just fit, then the largest ones */
    unsigned spoiled, ran; /* the worker's; read after it was joined */
};

static size_t args_size(const struct run *run, uint64_t task)
{
    return run->large ? (task * 7919) % 40000 : task % 29 == 0 ? 257 + task % 4000 : task % 100;
}

static size_t result_size(const struct run *run, uint64_t task)
{
    if (run->brim)
        return task < LANE_SLOTS - 1 ? 8000 : LANE_BLOCK_MAX;
    return run->large ? (task * 104729) % 200000 : task % 31 == 0 ? 257 + task % 4000 : task % 90;
}

static void *worker_main(void *data)
{
    struct run *run = data;
    struct worker_job job;
    size_t room;

    for (;;) {
        if (worker_lane_next(run->ends.worker, &job, -1) != 1)
            continue;
        uint64_t task = job.job.task_id;
        if (task == LAST)
            break;
        run->ran++;
        if (job.args_length != args_size(run, task) || !pattern_check(job.args, job.args_length, task))
            run->spoiled++;
        pattern_fill(worker_lane_result_space(run->ends.worker, &room), result_size(run, task), task);
        worker_lane_progress(run->ends.worker, 1, 2);
        if (worker_lane_cancelled(run->ends.worker) && !run->reclaim)
            run->spoiled++;
        if (!worker_lane_finish(run->ends.worker, &(struct worker_outcome){.size = result_size(run, task)}))
            run->spoiled++;
    }
    worker_lane_finish(run->ends.worker, &(struct worker_outcome){.size = 0});
    return NULL;
}

static void place(struct run *run, uint64_t *next)
{
    static uint8_t bytes[65536];

    while (*next < run->tasks && lane_outstanding(run->ends.lane) < run->depth) {
        struct lane_job job = test_job(*next);
        struct iovec args = {bytes, args_size(run, *next)};
        uint32_t position;

        pattern_fill(bytes, args.iov_len, *next);
        if (lane_place(run->ends.lane, &job, &args, 1, &position) < 0)
            break;
        ++*next;
    }
    lane_post(run->ends.lane);
}

/* The worker's thread ends, having done its part of all tasks. */
static void finish(struct run *run, pthread_t thread, unsigned reclaimed)
{
    struct lane_job last = test_job(LAST);
    uint32_t position;

    assert_int_equal(lane_place(run->ends.lane, &last, NULL, 0, &position), 0);
    lane_post(run->ends.lane);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(run->spoiled, 0);
    assert_int_equal(run->ran + reclaimed, run->tasks);
    ends_close(&run->ends);
}

static void collect_and_check(struct run *run, uint64_t task)
{
    struct lane_result result = ends_collect(&run->ends);

    assert_int_equal(result.task_id, task);
    assert_int_equal(result.size, result_size(run, task));
    assert_true(pattern_check(result.data, result.size, task));
    lane_release(run->ends.lane);
}

static void play(struct run *run)
{
    uint64_t next = 0, expected = 0, seed = 1;
    uint32_t position;
    unsigned reclaimed = 0, sleeps = 0;
    struct lane_result result;
    pthread_t thread;
    int n;

    ends_open(&run->ends, true);
    lane_set_spin(run->ends.lane, run->spin_ns);
    assert_int_equal(pthread_create(&thread, NULL, worker_main, run), 0);
    while (expected < run->tasks) {
        place(run, &next);
        if (run->reclaim && lane_outstanding(run->ends.lane)) {
            position = lane_head(run->ends.lane) + random_next(&seed) % lane_outstanding(run->ends.lane);
            if (random_next(&seed) % 4 == 0)
                (void)lane_reclaim(run->ends.lane, position);
            lane_cancel(run->ends.lane, position, 1);
        }
        uint64_t before = expected;
        while ((n = lane_collect(run->ends.lane, &result)) == 1) {
            if (result.reclaimed) {
                reclaimed++;
            } else {
                assert_int_equal(result.task_id, expected);
                assert_int_equal(result.size, result_size(run, expected));
                assert_true(pattern_check(result.data, result.size, expected));
            }
            lane_release(run->ends.lane);
            expected++;
        }
        assert_int_equal(n, 0);
        if (expected == before) {
            sleeps++;
            if (!ends_sleep(&run->ends, -1))
                fail_msg("no doorbell after %u results", (unsigned)expected);
        }
    }
    finish(run, thread, reclaimed);
    print_message("# %u ran, %u taken back, the supervisor slept %u times\n", run->ran, reclaimed, sleeps);
}

/* 64 results uncollected, the ring nearly full; one is released, and a job comes whose result may become as large as
 * any: the worker must wait, or it overwrites the oldest. */
static void oldest_results_of_a_full_lane_are_not_overwritten(void **state)
{
    struct run run = {.tasks = LANE_SLOTS + 1, .depth = LANE_SLOTS, .brim = true};
    uint64_t next = 0;
    pthread_t thread;

    (void)state;
    ends_open(&run.ends, true);
    assert_int_equal(pthread_create(&thread, NULL, worker_main, &run), 0);
    place(&run, &next);
    uint32_t first = lane_head(run.ends.lane);
    while (lane_peek(run.ends.lane, first + LANE_SLOTS - 1) != LANE_DONE)
        sched_yield();
    collect_and_check(&run, 0);
    place(&run, &next);
    assert_int_equal(next, LANE_SLOTS + 1);
    while (lane_peek(run.ends.lane, first + LANE_SLOTS) != LANE_DONE &&
           atomic_load(&ends_w(&run.ends)->sleep) != LAYOUT_SLEEP_ROOM)
        sched_yield();
    for (uint64_t task = 1; task < LANE_SLOTS; task++)
        collect_and_check(&run, task);
    while (lane_peek(run.ends.lane, first + LANE_SLOTS) != LANE_DONE)
        sched_yield();
    collect_and_check(&run, LANE_SLOTS);
    finish(&run, thread, 0);
}

static void one_task_at_a_time_loses_no_wake_up(void **state)
{
    (void)state;
    play(&(struct run){.tasks = 20000 / SLOWER, .depth = 1});
}

static void a_worker_that_waits_awake_loses_no_wake_up(void **state)
{
    (void)state;
    /* So short that it mostly falls asleep just when the next one comes, and so long that it seldom does. */
    play(&(struct run){.tasks = 20000 / SLOWER, .depth = 1, .spin_ns = 2000});
    play(&(struct run){.tasks = 20000 / SLOWER, .depth = 1, .spin_ns = 200000});
    play(&(struct run){.tasks = 20000 / SLOWER, .depth = 3, .spin_ns = 2000, .reclaim = true});
}

static void pipelined_tasks_arrive_whole_and_in_order(void **state)
{
    (void)state;
    play(&(struct run){.tasks = 500000 / SLOWER, .depth = LANE_SLOTS});
}

static void shallow_pipeline_with_reclaims_loses_and_doubles_nothing(void **state)
{
    (void)state;
    play(&(struct run){.tasks = 200000 / SLOWER, .depth = 4, .reclaim = true});
}

static void full_result_ring_holds_the_worker_until_there_is_room(void **state)
{
    (void)state;
    play(&(struct run){.tasks = 8000 / SLOWER, .depth = LANE_SLOTS, .large = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_task_at_a_time_loses_no_wake_up),
        cmocka_unit_test(a_worker_that_waits_awake_loses_no_wake_up),
        cmocka_unit_test(pipelined_tasks_arrive_whole_and_in_order),
        cmocka_unit_test(shallow_pipeline_with_reclaims_loses_and_doubles_nothing),
        cmocka_unit_test(oldest_results_of_a_full_lane_are_not_overwritten),
        cmocka_unit_test(full_result_ring_holds_the_worker_until_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
