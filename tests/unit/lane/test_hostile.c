/* What can a worker that writes anything anywhere in W do to the supervisor's end? Be refused. Each test scribbles over
 * one field of an otherwise honest result; the last ones over everything. */
#include "tests/unit/lane/support.h"

#include <errno.h>
#include <string.h>

#define ITEMS      3u
#define MAX_RESULT 1000u

/* One finished chunk: the honest state that each test spoils. */
struct finished {
    struct ends ends;
    uint32_t position;
    struct layout_result *slot;
};

static int setup(void **state)
{
    static struct finished f;
    struct lane_job job = test_job(42);
    uint8_t bytes[MAX_RESULT];
    size_t room;

    ends_open(&f.ends, false);
    job.flags = LANE_JOB_CHUNK;
    job.items = ITEMS;
    job.max_result = MAX_RESULT;
    assert_int_equal(lane_place(f.ends.lane, &job, NULL, 0, &f.position), 0);
    lane_post(f.ends.lane);
    assert_int_equal(ends_claim(&f.ends), f.position);
    pattern_fill(bytes, sizeof(bytes), 42);
    memcpy(worker_lane_result_space(f.ends.worker, &room), bytes, sizeof(bytes));
    worker_lane_partial(f.ends.worker, ITEMS, sizeof(bytes));
    assert_true(worker_lane_finish(
        f.ends.worker, &(struct worker_outcome){.items_done = ITEMS, .size = sizeof(bytes), .run_ns = 1}));
    f.slot = ends_slot(&f.ends, f.position);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    ends_close(&((struct finished *)*state)->ends);
    return 0;
}

static void assert_accepted(struct finished *f)
{
    struct lane_result result;

    assert_int_equal(lane_collect(f->ends.lane, &result), 1);
}

static void assert_refused(struct finished *f)
{
    struct lane_result result;

    assert_int_equal(lane_collect(f->ends.lane, &result), -EBADMSG);
    /* For good, whatever the worker writes next. */
    atomic_store(&f->slot->claim, claim_word(f->position, LANE_STARTED));
    assert_int_equal(lane_collect(f->ends.lane, &result), -EBADMSG);
}

static void honest_result_is_accepted(void **state)
{
    assert_accepted(*state);
}

static void claim_of_another_position_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, claim_word(f->position + LANE_SLOTS, LANE_DONE));
    assert_int_equal(lane_peek(f->ends.lane, f->position), LANE_EMPTY);
    assert_refused(f);
}

static void claim_in_an_unknown_state_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, (uint64_t)f->position << 32 | 6);
    assert_int_equal(lane_peek(f->ends.lane, f->position), LANE_EMPTY);
    assert_refused(f);
}

static void claim_that_is_empty_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, claim_word(f->position, LANE_EMPTY));
    assert_refused(f);
}

static void reclaim_by_the_worker_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, claim_word(f->position, LANE_RECLAIMED));
    assert_int_equal(lane_peek(f->ends.lane, f->position), LANE_EMPTY);
    assert_refused(f);
}

static void kill_by_the_worker_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, claim_word(f->position, LANE_KILLING));
    assert_int_equal(lane_peek(f->ends.lane, f->position), LANE_EMPTY);
    assert_refused(f);
}

static void result_after_the_kill_began_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, claim_word(f->position, LANE_STARTED));
    assert_true(lane_begin_kill(f->ends.lane, f->position));
    atomic_store(&f->slot->claim, claim_word(f->position, LANE_DONE));
    assert_int_equal(lane_peek(f->ends.lane, f->position), LANE_EMPTY);
    assert_refused(f);
}

static void result_after_the_reclaim_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->claim, claim_word(f->position, LANE_READY));
    assert_true(lane_reclaim(f->ends.lane, f->position));
    atomic_store(&f->slot->claim, claim_word(f->position, LANE_DONE));
    assert_refused(f);
}

static void another_task_id_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->task_id, 43);
    assert_refused(f);
}

static void another_generation_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->generation, TEST_GENERATION - 1);
    assert_refused(f);
}

static void unknown_outcome_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->outcome, 3);
    assert_refused(f);
}

static void unknown_place_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->place, 0);
    assert_refused(f);
}

static void more_items_than_the_job_has_are_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->items_done, ITEMS + 1);
    assert_refused(f);
}

static void more_bytes_than_the_job_allows_are_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->size, MAX_RESULT + 1);
    assert_refused(f);
}

static void larger_memfd_than_the_job_allows_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->place, LAYOUT_MEMFD);
    atomic_store(&f->slot->size, MAX_RESULT + 1);
    assert_refused(f);
}

static void more_bytes_than_lie_in_a_slot_are_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->place, LAYOUT_INLINE);
    atomic_store(&f->slot->size, LANE_INLINE_MAX + 1);
    assert_refused(f);
}

static void offset_outside_the_ring_is_refused(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->offset, LANE_AREA_BYTES);
    assert_refused(f);
}

/* The last byte of the ring is a legal start: what follows is the ring's beginning again, mapped. */
static void offset_at_the_end_of_the_ring_is_read_without_a_fault(void **state)
{
    struct finished *f = *state;
    struct lane_result result;
    unsigned sum = 0;

    atomic_store(&f->slot->offset, LANE_AREA_BYTES - 1);
    assert_int_equal(lane_collect(f->ends.lane, &result), 1);
    for (size_t i = 0; i < result.size; i++)
        sum += result.data[i];
    assert_true(sum > 0);
}

static void failure_text_may_exceed_a_small_result_limit_but_not_its_own(void **state)
{
    struct finished *f = *state;

    atomic_store(&f->slot->outcome, LANE_OUTCOME_FAILED);
    atomic_store(&f->slot->size, LANE_FAILURE_MAX);
    assert_accepted(f);
    atomic_store(&f->slot->size, LANE_FAILURE_MAX + 1);
    assert_refused(f);
}

static void block_larger_than_the_ring_allows_is_refused(void **state)
{
    struct finished *f = *state;
    struct lane_job job = test_job(7);
    uint32_t position;

    job.max_result = UINT64_MAX;
    assert_accepted(f);
    lane_release(f->ends.lane);
    assert_int_equal(lane_place(f->ends.lane, &job, NULL, 0, &position), 0);
    lane_post(f->ends.lane);
    ends_work(&f->ends, "x", 1);
    f->position = position;
    f->slot = ends_slot(&f->ends, position);
    atomic_store(&f->slot->place, LAYOUT_RING);
    atomic_store(&f->slot->size, LANE_BLOCK_MAX + 1);
    assert_refused(f);
}

static void slot_spoiled_before_it_is_used_is_reported(void **state)
{
    struct finished *f = *state;
    struct lane_result result;

    atomic_store(&ends_slot(&f->ends, f->position + 1)->claim, claim_word(f->position + 1, LANE_DONE));
    assert_int_equal(ends_place(&f->ends, 43, NULL, 0), f->position + 1);
    assert_int_equal(lane_collect(f->ends.lane, &result), -EBADMSG);
}

static void partial_result_that_cannot_be_is_not_used(void **state)
{
    struct finished *f = *state;
    const uint8_t *data;
    uint64_t bytes;
    static const struct {
        uint32_t items, size, offset;
        uint32_t usable;
    } cases[] = {
        {ITEMS, MAX_RESULT, 0, ITEMS},
        {1, 0, LANE_AREA_BYTES - 1, 1},
        {0, 10, 0, 0},
        {ITEMS + 1, 10, 0, 0},
        {UINT32_MAX, 10, 0, 0},
        {1, MAX_RESULT + 1, 0, 0},
        {1, UINT32_MAX, 0, 0},
        {1, 10, LANE_AREA_BYTES, 0},
        {1, 10, UINT32_MAX, 0},
    };

    atomic_store(&f->slot->claim, claim_word(f->position, LANE_STARTED));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        atomic_store(&f->slot->offset, cases[i].offset);
        atomic_store(&f->slot->partial, (uint64_t)cases[i].items << 32 | cases[i].size);
        assert_int_equal(lane_partial(f->ends.lane, f->position, &data, &bytes), cases[i].usable);
    }
}

/* Random words everywhere, some of them near the truth, against every call. Whatever is accepted must be readable and
 * within the job's bounds; run under AddressSanitizer for the rest. */
static void no_bit_pattern_in_w_breaks_the_supervisor(void **state)
{
    struct finished *f = *state;
    uint64_t seed = 7;

    ends_close(&f->ends);
    for (unsigned round = 0; round < 300; round++) {
        ends_open(&f->ends, false);
        struct layout_w_head *w = ends_w(&f->ends);
        struct lane_job job = test_job(42);
        uint32_t position;

        job.flags = round & 1 ? LANE_JOB_CHUNK : 0;
        job.items = ITEMS;
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(lane_place(f->ends.lane, &job, NULL, 0, &position), 0);
        lane_post(f->ends.lane);
        for (uint64_t i = 0; i < sizeof(*w) / sizeof(uint32_t); i++)
            atomic_store((_Atomic uint32_t *)(void *)w + i, random_next(&seed) >> (random_next(&seed) & 31));
        for (uint32_t p = lane_head(f->ends.lane), n = 0; n < 16; n++) {
            struct layout_result *slot = ends_slot(&f->ends, p + n);
            atomic_store(&slot->claim, claim_word(p + n, random_next(&seed) % 7));
            if (random_next(&seed) & 7)
                atomic_store(&slot->task_id, 42);
            if (random_next(&seed) & 7)
                atomic_store(&slot->generation, TEST_GENERATION);
        }
        for (uint32_t p = lane_head(f->ends.lane), n = 0; n < 16; n++) {
            const uint8_t *data;
            uint64_t bytes, total;
            unsigned sum = 0;

            (void)lane_peek(f->ends.lane, p + n);
            if (lane_partial(f->ends.lane, p + n, &data, &bytes))
                for (uint64_t i = 0; i < bytes; i += 512)
                    sum += data[i];
            if (random_next(&seed) & 1)
                (void)lane_reclaim(f->ends.lane, p + n);
            if (random_next(&seed) & 1)
                (void)lane_begin_kill(f->ends.lane, p + n);
            lane_cancel(f->ends.lane, p + n, 1);
            lane_progress(f->ends.lane, &bytes, &total);
            assert_true(sum < UINT32_MAX);
        }
        struct lane_result result;
        while (lane_collect(f->ends.lane, &result) == 1) {
            assert_true(result.reclaimed || result.size <= LANE_BLOCK_MAX);
            if (result.data && result.size)
                assert_true(result.data[0] + result.data[result.size - 1] < 511);
            lane_release(f->ends.lane);
        }
        if (round != 299)
            ends_close(&f->ends);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(honest_result_is_accepted),
        TEST(claim_of_another_position_is_refused),
        TEST(claim_in_an_unknown_state_is_refused),
        TEST(claim_that_is_empty_is_refused),
        TEST(reclaim_by_the_worker_is_refused),
        TEST(kill_by_the_worker_is_refused),
        TEST(result_after_the_kill_began_is_refused),
        TEST(result_after_the_reclaim_is_refused),
        TEST(another_task_id_is_refused),
        TEST(another_generation_is_refused),
        TEST(unknown_outcome_is_refused),
        TEST(unknown_place_is_refused),
        TEST(more_items_than_the_job_has_are_refused),
        TEST(more_bytes_than_the_job_allows_are_refused),
        TEST(larger_memfd_than_the_job_allows_is_refused),
        TEST(more_bytes_than_lie_in_a_slot_are_refused),
        TEST(offset_outside_the_ring_is_refused),
        TEST(offset_at_the_end_of_the_ring_is_read_without_a_fault),
        TEST(failure_text_may_exceed_a_small_result_limit_but_not_its_own),
        TEST(block_larger_than_the_ring_allows_is_refused),
        TEST(slot_spoiled_before_it_is_used_is_reported),
        TEST(partial_result_that_cannot_be_is_not_used),
        TEST(no_bit_pattern_in_w_breaks_the_supervisor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
