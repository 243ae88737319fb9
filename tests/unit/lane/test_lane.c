/* Does a job go through the lane and its result come back, whole and in order, and is it refused where it must be?
 * Both ends in one process, with two mappings of the same memory. */
#include "tests/unit/lane/support.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static int setup(void **state)
{
    static struct ends ends;

    ends_open(&ends, false);
    *state = &ends;
    return 0;
}

static int teardown(void **state)
{
    ends_close(*state);
    return 0;
}

static void job_arrives_with_every_field_and_its_arguments(void **state)
{
    struct ends *ends = *state;
    struct lane_job job = {.task_id = 1ull << 52,
        .function = 3,
        .flags = LANE_JOB_CHUNK | LANE_JOB_OUTPUT,
        .attempt = 2,
        .items = 5,
        .budget_us = 777,
        .max_result = 1 << 20};
    char a[] = "hello, ", b[] = "lane";
    struct iovec args[] = {{a, strlen(a)}, {NULL, 0}, {b, strlen(b)}};
    uint32_t position;
    struct worker_job got;

    assert_int_equal(lane_place(ends->lane, &job, args, 3, &position), 0);
    lane_post(ends->lane);
    assert_int_equal(worker_lane_next(ends->worker, &got, 0), 1);
    assert_int_equal(got.position, position);
    assert_int_equal(got.generation, TEST_GENERATION);
    assert_memory_equal(&got.job, &job, sizeof(job));
    assert_int_equal(got.args_length, 11);
    assert_memory_equal(got.args, "hello, lane", 11);
}

static void result_comes_back_with_every_field(void **state)
{
    struct ends *ends = *state;
    struct lane_job job = test_job(42);
    struct worker_outcome outcome = {
        .outcome = LANE_OUTCOME_FAILED_RETRYABLE, .items_done = 2, .run_ns = 123456789, .size = 5};
    uint32_t position;
    size_t room;

    job.flags = LANE_JOB_CHUNK;
    job.items = 3;
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), 0);
    lane_post(ends->lane);
    ends_claim(ends);
    memcpy(worker_lane_result_space(ends->worker, &room), "sorry", 5);
    assert_int_equal(room, LANE_BLOCK_MAX);
    assert_true(worker_lane_finish(ends->worker, &outcome));

    struct lane_result result = ends_collect(ends);
    assert_int_equal(result.position, position);
    assert_false(result.reclaimed);
    assert_int_equal(result.task_id, 42);
    assert_int_equal(result.outcome, LANE_OUTCOME_FAILED_RETRYABLE);
    assert_int_equal(result.items_done, 2);
    assert_int_equal(result.run_ns, 123456789);
    assert_false(result.memfd);
    assert_int_equal(result.size, 5);
    assert_memory_equal(result.data, "sorry", 5);
    lane_release(ends->lane);
    assert_int_equal(lane_outstanding(ends->lane), 0);
}

static void job_is_invisible_until_posted(void **state)
{
    struct ends *ends = *state;
    struct worker_job job;
    uint32_t position = ends_place(ends, 1, "x", 1);

    assert_int_equal(worker_lane_next(ends->worker, &job, 0), 0);
    assert_int_equal(lane_peek(ends->lane, position), LANE_READY);
    lane_post(ends->lane);
    assert_int_equal(worker_lane_next(ends->worker, &job, 0), 1);
    assert_int_equal(lane_peek(ends->lane, position), LANE_STARTED);
}

static void memfd_job_and_result_carry_no_bytes_in_the_lane(void **state)
{
    struct ends *ends = *state;
    struct lane_job job = test_job(9);
    struct worker_outcome outcome = {.memfd = true, .size = 1ull << 33};
    struct worker_job got;
    uint32_t position;

    job.flags = LANE_JOB_MEMFD;
    job.args_size = 1ull << 32;
    job.max_result = 1ull << 33;
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), 0);
    lane_post(ends->lane);
    assert_int_equal(worker_lane_next(ends->worker, &got, 0), 1);
    assert_null(got.args);
    assert_int_equal(got.job.args_size, 1ull << 32);
    assert_true(worker_lane_finish(ends->worker, &outcome));

    struct lane_result result = ends_collect(ends);
    assert_true(result.memfd);
    assert_null(result.data);
    assert_int_equal(result.size, 1ull << 33);
}

static void place_is_refused_when_all_slots_are_taken(void **state)
{
    struct ends *ends = *state;
    struct lane_job job = test_job(0);
    uint32_t position;

    for (uint64_t i = 0; i < LANE_SLOTS; i++)
        ends_place(ends, i, "x", 1);
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), -EAGAIN);
    lane_post(ends->lane);
    ends_work(ends, "y", 1);
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), -EAGAIN);
    ends_collect(ends);
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), -EAGAIN);
    lane_release(ends->lane);
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), 0);
}

static void place_is_refused_when_the_ring_is_full_or_the_arguments_too_large(void **state)
{
    struct ends *ends = *state;
    struct lane_job job = test_job(0);
    uint8_t *block = calloc(1, LANE_BLOCK_MAX + 1);
    struct iovec large = {block, LANE_BLOCK_MAX + 1}, huge[] = {{block, SIZE_MAX}, {block, 2}},
                 max = {block, LANE_BLOCK_MAX}, small = {block, LANE_INLINE_MAX + 1};
    uint32_t position;

    assert_int_equal(lane_place(ends->lane, &job, &large, 1, &position), -EMSGSIZE);
    assert_int_equal(lane_place(ends->lane, &job, huge, 2, &position), -EMSGSIZE);
    assert_int_equal(lane_place(ends->lane, &job, &max, 1, &position), 0);
    assert_int_equal(lane_place(ends->lane, &job, &max, 1, &position), 0);
    assert_int_equal(lane_place(ends->lane, &job, &small, 1, &position), -EAGAIN);
    small.iov_len = LANE_INLINE_MAX; /* needs no ring */
    assert_int_equal(lane_place(ends->lane, &job, &small, 1, &position), 0);
    free(block);
}

/* Sizes around every boundary, both rings going round many times, positions wrapping 2^32 on the way. */
static void payloads_survive_many_rounds_of_both_rings(void **state)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, LANE_INLINE_MAX, LANE_INLINE_MAX + 1, 5000, 65537, 200003,
        LANE_BLOCK_MAX - 1, LANE_BLOCK_MAX};
    const size_t kinds = sizeof(sizes) / sizeof(sizes[0]);
    struct ends *ends = *state;
    uint8_t *block = malloc(LANE_BLOCK_MAX);
    uint32_t first = lane_head(ends->lane);

    for (uint64_t id = 0; id < 2000; id++) {
        size_t in = sizes[id % kinds], out = sizes[id * 7 / 3 % kinds], room;
        struct worker_job job;

        pattern_fill(block, in, id);
        ends_place(ends, id, block, in);
        lane_post(ends->lane);
        assert_int_equal(worker_lane_next(ends->worker, &job, 0), 1);
        assert_int_equal(job.args_length, in);
        assert_true(pattern_check(job.args, in, id));
        pattern_fill(worker_lane_result_space(ends->worker, &room), out, id);
        assert_true(worker_lane_finish(ends->worker, &(struct worker_outcome){.size = out}));
        /* One result stays uncollected, so that no ring ever starts afresh. */
        if (id == 0)
            continue;
        struct lane_result result = ends_collect(ends);
        assert_int_equal(result.task_id, id - 1);
        assert_true(pattern_check(result.data, result.size, id - 1));
        lane_release(ends->lane);
    }
    assert_true(lane_head(ends->lane) < first);
    assert_true(lane_position_before(first, lane_head(ends->lane)));
    free(block);
}

/* A full lane of results that all lie in the ring: the one being built must not touch the oldest. */
static void results_of_a_full_lane_do_not_overwrite_each_other(void **state)
{
    const size_t size = 8000;
    struct ends *ends = *state;
    size_t room;
    uint64_t placed = 0, worked = 0;

    for (uint64_t id = 0; id < 6 * LANE_SLOTS; id++) {
        while (lane_outstanding(ends->lane) < LANE_SLOTS)
            ends_place(ends, placed++, NULL, 0);
        lane_post(ends->lane);
        while (worked < placed) {
            ends_claim(ends);
            pattern_fill(worker_lane_result_space(ends->worker, &room), size, worked++);
            assert_true(worker_lane_finish(ends->worker, &(struct worker_outcome){.size = size}));
        }
        struct lane_result result = ends_collect(ends);
        assert_int_equal(result.task_id, id);
        assert_true(pattern_check(result.data, size, id));
        lane_release(ends->lane);
    }
}

static void results_are_collected_in_order_and_once(void **state)
{
    struct ends *ends = *state;
    struct lane_result result;

    for (uint64_t id = 1; id <= 3; id++)
        ends_place(ends, id, NULL, 0);
    lane_post(ends->lane);
    assert_int_equal(lane_collect(ends->lane, &result), 0);
    ends_work(ends, "a", 1);
    ends_work(ends, "b", 1);
    for (uint64_t id = 1; id <= 2; id++) {
        assert_int_equal(ends_collect(ends).task_id, id);
        assert_int_equal(ends_collect(ends).task_id, id); /* until released */
        lane_release(ends->lane);
    }
    assert_int_equal(lane_collect(ends->lane, &result), 0);
}

static void reclaimed_job_never_starts(void **state)
{
    struct ends *ends = *state;
    uint32_t a = ends_place(ends, 1, NULL, 0), b = ends_place(ends, 2, NULL, 0), c = ends_place(ends, 3, NULL, 0);

    lane_post(ends->lane);
    assert_true(lane_reclaim(ends->lane, b));
    assert_false(lane_reclaim(ends->lane, b));
    assert_int_equal(lane_peek(ends->lane, b), LANE_RECLAIMED);
    assert_int_equal(ends_work(ends, NULL, 0), a);
    assert_int_equal(ends_work(ends, NULL, 0), c);
    for (uint32_t position = a; position != c + 1; position++) {
        struct lane_result result = ends_collect(ends);
        assert_int_equal(result.position, position);
        assert_int_equal(result.reclaimed, position == b);
        lane_release(ends->lane);
    }
}

static void started_job_cannot_be_reclaimed_and_ready_one_not_killed(void **state)
{
    struct ends *ends = *state;
    uint32_t a = ends_place(ends, 1, NULL, 0), b = ends_place(ends, 2, NULL, 0);

    lane_post(ends->lane);
    ends_claim(ends);
    assert_false(lane_reclaim(ends->lane, a));
    assert_false(lane_begin_kill(ends->lane, b));
    assert_true(ends_finish(ends, NULL, 0));
    assert_false(lane_begin_kill(ends->lane, a)); /* the worker was faster: its result stands */
    assert_int_equal(lane_peek(ends->lane, a), LANE_DONE);
}

static void worker_that_is_being_killed_cannot_finish(void **state)
{
    struct ends *ends = *state;
    struct lane_result result;
    uint32_t a = ends_place(ends, 1, NULL, 0);

    lane_post(ends->lane);
    ends_claim(ends);
    assert_true(lane_begin_kill(ends->lane, a));
    assert_false(ends_finish(ends, "late", 4));
    assert_int_equal(lane_peek(ends->lane, a), LANE_KILLING);
    assert_int_equal(lane_collect(ends->lane, &result), 0);
}

/* The worker looks at a slot long after the supervisor has taken it back, collected it and filled it anew. */
static void stale_worker_claims_only_what_is_published_now(void **state)
{
    struct ends *ends = *state;
    struct worker_job job;

    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t id = 0; id < LANE_SLOTS; id++)
            ends_place(ends, id, NULL, 0);
        lane_post(ends->lane);
        for (unsigned i = 0; i < LANE_SLOTS; i++) {
            assert_true(lane_reclaim(ends->lane, lane_head(ends->lane)));
            assert_true(ends_collect(ends).reclaimed);
            lane_release(ends->lane);
        }
    }
    uint32_t last = ends_place(ends, 77, "x", 1);
    lane_post(ends->lane);
    assert_int_equal(worker_lane_next(ends->worker, &job, 0), 1);
    assert_int_equal(job.position, last);
    assert_int_equal(job.job.task_id, 77);
}

static void cancel_reaches_that_position_alone(void **state)
{
    struct ends *ends = *state;
    uint32_t a = ends_place(ends, 1, NULL, 0), b = ends_place(ends, 2, NULL, 0);

    lane_post(ends->lane);
    assert_int_equal(ends_claim(ends), a);
    assert_false(worker_lane_cancelled(ends->worker));
    lane_cancel(ends->lane, b, 1);
    assert_false(worker_lane_cancelled(ends->worker));
    lane_cancel(ends->lane, a, 1);
    assert_true(worker_lane_cancelled(ends->worker));
    assert_true(ends_finish(ends, NULL, 0));
    assert_int_equal(ends_claim(ends), b);
    assert_true(worker_lane_cancelled(ends->worker));
    assert_true(ends_finish(ends, NULL, 0));

    /* The slot's next task starts uncancelled. */
    for (unsigned i = 0; i < 2; i++) {
        ends_collect(ends);
        lane_release(ends->lane);
    }
    for (uint64_t id = 3; id < 3 + LANE_SLOTS; id++)
        ends_place(ends, id, NULL, 0);
    lane_post(ends->lane);
    for (unsigned i = 0; i < LANE_SLOTS; i++) {
        ends_claim(ends);
        assert_false(worker_lane_cancelled(ends->worker));
        assert_true(ends_finish(ends, NULL, 0));
    }
}

static void positions_outside_the_lane_are_refused_everywhere(void **state)
{
    struct ends *ends = *state;
    uint32_t head = lane_head(ends->lane), position = ends_place(ends, 1, NULL, 0);
    const uint8_t *data;
    uint64_t size;

    assert_int_equal(position, head);
    for (uint32_t step = 1; step <= LANE_SLOTS; step += LANE_SLOTS - 1)
        for (int sign = -1; sign <= 1; sign += 2) {
            uint32_t other = head + (uint32_t)sign * step;
            assert_int_equal(lane_peek(ends->lane, other), LANE_EMPTY);
            assert_false(lane_reclaim(ends->lane, other));
            assert_false(lane_begin_kill(ends->lane, other));
            assert_int_equal(lane_partial(ends->lane, other, &data, &size), 0);
            lane_cancel(ends->lane, other, 1);
        }
    lane_post(ends->lane);
    ends_claim(ends);
    assert_false(worker_lane_cancelled(ends->worker));
}

static void partial_results_of_a_started_chunk_can_be_read(void **state)
{
    struct ends *ends = *state;
    struct lane_job job = test_job(5);
    const uint8_t *data;
    uint64_t bytes;
    uint32_t position;
    size_t room;

    job.flags = LANE_JOB_CHUNK;
    job.items = 4;
    assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), 0);
    lane_post(ends->lane);
    assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 0);
    ends_claim(ends);
    assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 0);
    uint8_t *space = worker_lane_result_space(ends->worker, &room);
    memcpy(space, "onetwo", 6);
    worker_lane_partial(ends->worker, 1, 3);
    worker_lane_partial(ends->worker, 2, 6);
    assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 2);
    assert_int_equal(bytes, 6);
    assert_memory_equal(data, "onetwo", 6);
    assert_true(lane_begin_kill(ends->lane, position));
    assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 2);
}

static void partial_results_of_an_earlier_position_are_not_taken_for_a_later_ones(void **state)
{
    struct ends *ends = *state;
    const uint8_t *data;
    uint64_t bytes;
    size_t room;

    for (unsigned round = 0; round < LANE_SLOTS + 1; round++) {
        struct lane_job job = test_job(round);
        uint32_t position;

        job.flags = LANE_JOB_CHUNK;
        job.items = 2;
        assert_int_equal(lane_place(ends->lane, &job, NULL, 0, &position), 0);
        lane_post(ends->lane);
        ends_claim(ends);
        assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 0);
        worker_lane_result_space(ends->worker, &room);
        worker_lane_partial(ends->worker, 1, 1);
        assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 1);
        assert_true(worker_lane_finish(ends->worker, &(struct worker_outcome){.items_done = 2, .size = 1}));
        assert_int_equal(lane_partial(ends->lane, position, &data, &bytes), 0);
        assert_int_equal(ends_collect(ends).items_done, 2);
        lane_release(ends->lane);
    }
}

static void progress_is_shown_and_starts_anew_with_each_job(void **state)
{
    struct ends *ends = *state;
    uint64_t done, total;

    ends_place(ends, 1, NULL, 0);
    ends_place(ends, 2, NULL, 0);
    lane_post(ends->lane);
    ends_claim(ends);
    worker_lane_progress(ends->worker, 3, 7);
    lane_progress(ends->lane, &done, &total);
    assert_int_equal(done, 3);
    assert_int_equal(total, 7);
    assert_true(ends_finish(ends, NULL, 0));
    ends_claim(ends);
    lane_progress(ends->lane, &done, &total);
    assert_int_equal(done, 0);
    assert_int_equal(total, 0);
}

static void doorbell_rings_once_for_each_sleep_and_never_while_awake(void **state)
{
    struct ends *ends = *state;

    for (uint64_t id = 0; id < 7; id++)
        ends_place(ends, id, NULL, 0);
    lane_post(ends->lane);
    ends_work(ends, NULL, 0);
    assert_int_equal(ends_bells(ends), 0);
    for (unsigned i = 0; i < 2; i++) {
        sleep_word_declare(ends->sleep_word);
        ends_work(ends, NULL, 0);
        ends_work(ends, NULL, 0);
        assert_int_equal(ends_bells(ends), 1);
        sleep_word_clear(ends->sleep_word);
        ends_work(ends, NULL, 0);
        assert_int_equal(ends_bells(ends), 0);
    }
}

static void doorbell_that_is_full_is_no_error_and_still_readable(void **state)
{
    struct ends *ends = *state;
    unsigned sent = 0;

    while (send(ends->bells[1], "flood", 5, MSG_DONTWAIT) == 5)
        sent++;
    assert_int_equal(errno, EAGAIN);
    ends_place(ends, 1, NULL, 0);
    lane_post(ends->lane);
    sleep_word_declare(ends->sleep_word);
    ends_work(ends, NULL, 0);
    sleep_word_clear(ends->sleep_word);
    char buffer[8];
    for (; sent; sent--)
        assert_int_equal(recv(ends->bells[0], buffer, sizeof(buffer), MSG_DONTWAIT), 5);
    assert_int_equal(ends_collect(ends).task_id, 1);
}

static void next_times_out_when_nothing_comes(void **state)
{
    struct ends *ends = *state;
    struct worker_job job;

    assert_int_equal(worker_lane_next(ends->worker, &job, 20), 0);
    ends_place(ends, 1, NULL, 0);
    lane_post(ends->lane);
    assert_int_equal(worker_lane_next(ends->worker, &job, 20), 1);
}

static void ignore_signal(int number)
{
    (void)number;
}

static void next_returns_when_a_signal_interrupts_it(void **state)
{
    struct ends *ends = *state;
    struct worker_job job;
    struct sigaction action = {.sa_handler = ignore_signal}, saved;
    /* Repeated: the first may come before the worker sleeps. */
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};

    assert_int_equal(sigaction(SIGALRM, &action, &saved), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_int_equal(worker_lane_next(ends->worker, &job, -1), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &saved, NULL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(job_arrives_with_every_field_and_its_arguments),
        TEST(result_comes_back_with_every_field),
        TEST(job_is_invisible_until_posted),
        TEST(memfd_job_and_result_carry_no_bytes_in_the_lane),
        TEST(place_is_refused_when_all_slots_are_taken),
        TEST(place_is_refused_when_the_ring_is_full_or_the_arguments_too_large),
        TEST(payloads_survive_many_rounds_of_both_rings),
        TEST(results_of_a_full_lane_do_not_overwrite_each_other),
        TEST(results_are_collected_in_order_and_once),
        TEST(reclaimed_job_never_starts),
        TEST(started_job_cannot_be_reclaimed_and_ready_one_not_killed),
        TEST(worker_that_is_being_killed_cannot_finish),
        TEST(stale_worker_claims_only_what_is_published_now),
        TEST(cancel_reaches_that_position_alone),
        TEST(positions_outside_the_lane_are_refused_everywhere),
        TEST(partial_results_of_a_started_chunk_can_be_read),
        TEST(partial_results_of_an_earlier_position_are_not_taken_for_a_later_ones),
        TEST(progress_is_shown_and_starts_anew_with_each_job),
        TEST(doorbell_rings_once_for_each_sleep_and_never_while_awake),
        TEST(doorbell_that_is_full_is_no_error_and_still_readable),
        TEST(next_times_out_when_nothing_comes),
        TEST(next_returns_when_a_signal_interrupts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
