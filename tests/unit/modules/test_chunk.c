/* A chunk of a map: many items, one job. */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int fn_square(mpool_task *t)
{
    int64_t n;
    if (mpool_arg_i64(t, 0, &n) < 0)
        return -1;
    return mpool_reply_i64(t, n * n);
}

static int fn_subtract(mpool_task *t)
{
    int64_t a, b;
    if (mpool_arg_i64(t, 0, &a) < 0 || mpool_arg_i64(t, 1, &b) < 0)
        return -1;
    return mpool_reply_i64(t, a - b);
}

static void chunk(struct world *w, uint32_t items, uint32_t flags)
{
    w->job.job.flags = LANE_JOB_CHUNK | flags;
    w->job.job.items = items;
}

static void a_chunk_gives_one_result_per_item(void **state)
{
    struct world *w = *state;
    chunk(w, 4, 0);
    world_run(w, world_add(w, "t.square", fn_square), "[1, 2, 3, 4]");
    assert_result(w, "[1, 4, 9, 16]");
    assert_int_equal(w->outcome.items_done, 4);
    assert_int_equal(w->space[0], 0xdd);
}

static void each_finished_item_is_published(void **state)
{
    struct world *w = *state;
    chunk(w, 4, 0);
    world_run(w, world_add(w, "t.square", fn_square), "[1, 2, 3, 4]");
    assert_int_equal(w->partial_calls, 4);
    assert_int_equal(w->partial_items, 4);
    assert_int_equal(w->partial_size, w->outcome.size);
}

static void an_empty_chunk_gives_an_empty_list(void **state)
{
    struct world *w = *state;
    chunk(w, 0, 0);
    world_run(w, world_add(w, "t.square", fn_square), "[]");
    assert_result(w, "[]");
}

static void with_star_an_item_is_the_argument_list(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.subtract", fn_subtract);
    chunk(w, 2, LANE_JOB_STAR);
    world_run(w, f, "[[5, 3], [1, 10]]");
    assert_result(w, "[2, -9]");
    chunk(w, 3, LANE_JOB_STAR | LANE_JOB_PAIRS);
    world_run(w, f, "[[5, 3], 7, [5]]");
    assert_result(w, "[[nil, 2], [[0, \"E_BAD_ARGS: expected an array of arguments, got integer\"], nil], "
                     "[[0, \"E_BAD_ARGS: argument 2 is missing: 1 given\"], nil]]");
    chunk(w, 2, LANE_JOB_STAR);
    world_run(w, f, "[[5, 3], 7]");
    assert_failed(w, "E_BAD_ARGS: expected an array of arguments, got integer");
    assert_int_equal(w->outcome.items_done, 1);
}

static void the_first_item_that_fails_fails_the_chunk(void **state)
{
    struct world *w = *state;
    chunk(w, 4, 0);
    world_run(w, world_add(w, "t.square", fn_square), "[1, 2, \"x\", 4]");
    assert_failed(w, "E_BAD_ARGS: argument 1: expected integer, got string");
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED);
    assert_int_equal(w->outcome.items_done, 2);
    /* What was published is taken back before the error overwrites it. */
    assert_int_equal(w->partial_items, 0);
}

static void with_pairs_a_bad_item_fails_alone(void **state)
{
    struct world *w = *state;
    chunk(w, 4, LANE_JOB_PAIRS);
    world_run(w, world_add(w, "t.square", fn_square), "[1, \"x\", 3, null]");
    assert_result(w, "[[nil, 1], [[0, \"E_BAD_ARGS: argument 1: expected integer, got string\"], nil], [nil, 9], "
                     "[[0, \"E_BAD_ARGS: argument 1: expected integer, got nil\"], nil]]");
    assert_int_equal(w->outcome.items_done, 4);
}

static void a_wrong_count_of_items_is_refused(void **state)
{
    struct world *w = *state;
    chunk(w, 3, LANE_JOB_PAIRS);
    world_run(w, world_add(w, "t.square", fn_square), "[1, 2]");
    assert_failed(w, "E_BAD_ARGS: a chunk of 3 items came with 2");
}

static int fn_slow(mpool_task *t)
{
    struct timespec wait = {.tv_nsec = 3000000};
    nanosleep(&wait, NULL);
    return fn_square(t);
}

static void a_spent_budget_hands_the_rest_back(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.slow", fn_slow);
    chunk(w, 4, 0);
    w->job.job.budget_us = 1;
    world_run(w, f, "[1, 2, 3, 4]");
    assert_result(w, "[1]");
    assert_int_equal(w->outcome.items_done, 1);
    w->job.job.budget_us = 4000;
    world_run(w, f, "[1, 2, 3, 4]");
    assert_in_range(w->outcome.items_done, 1, 2);
    assert_true(w->outcome.run_ns >= 3000000);
}

static void a_cancelled_chunk_stops_after_its_item(void **state)
{
    struct world *w = *state;
    chunk(w, 5, 0);
    w->cancel_after = 3;
    world_run(w, world_add(w, "t.square", fn_square), "[1, 2, 3, 4, 5]");
    assert_result(w, "[1, 4, 9]");
    assert_int_equal(w->outcome.items_done, 3);
}

static int fn_blob(mpool_task *t)
{
    uint64_t size;
    if (mpool_arg_u64(t, 0, &size) < 0)
        return -1;
    uint8_t *p = mpool_reply_bin_reserve(t, size);
    if (!p)
        return -1;
    memset(p, 0x5a, size);
    return 0;
}

static void a_chunk_ends_with_the_item_that_leaves_the_space(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.blob", fn_blob);
    chunk(w, 4, LANE_JOB_PAIRS);
    world_run(w, f, "[200000, 200000, 200000, 200000]");
    assert_true(w->outcome.memfd);
    assert_int_equal(w->outcome.items_done, 3);
    assert_int_equal(w->outcome.size, 5 + 3 * (2 + 5 + 200000));
    assert_memory_equal(w->memfd, "\xdd\x00\x00\x00\x03\x92\xc0\xc6", 8);
    /* The two before it stay published in the space, for a supervisor that finds this worker dead. */
    assert_int_equal(w->partial_items, 2);
    assert_memory_equal(w->space, "\xdd\x00\x00\x00\x00\x92\xc0\xc6", 8);
}

static void an_item_too_big_for_max_result_fails_alone_with_pairs(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.blob", fn_blob);
    chunk(w, 3, LANE_JOB_PAIRS);
    w->job.job.max_result = 10000;
    world_run(w, f, "[10, 20000, 12]");
    assert_result(w, world_show(w));
    assert_int_equal(w->outcome.items_done, 3);
    assert_non_null(strstr(w->shown, "[0, \"E_RESULT_TOO_BIG"));
    w->job.job.flags = LANE_JOB_CHUNK;
    world_run(w, f, "[10, 20000, 12]");
    assert_failed_like(w, "E_RESULT_TOO_BIG");
    assert_int_equal(w->outcome.items_done, 1);
}

static void a_chunk_whose_results_add_up_ends_before_max_result(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.blob", fn_blob);
    w->job.job.max_result = 20000;
    chunk(w, 5, LANE_JOB_PAIRS);
    world_run(w, f, "[6000, 6000, 6000, 6000, 6000]");
    assert_result(w, world_show(w));
    assert_int_equal(w->outcome.items_done, 3);
    assert_true(w->outcome.size <= 20000);
}

/* Not even an error has room: the smallest max_result that a caller may ask for. */
static void a_tiny_max_result_still_gets_a_definite_answer(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.blob", fn_blob);
    for (uint32_t max = 0; max < 200; max++) {
        w->job.job.max_result = max;
        chunk(w, 2, LANE_JOB_PAIRS);
        world_run(w, f, "[300, 300]");
        world_show(w);
        w->job.job.flags = 0;
        world_run(w, f, "[300]");
        assert_failed_like(w, "E_RESULT_TOO_BIG");
    }
}

static void a_hundred_thousand_items_run_in_one_job(void **state)
{
    struct world *w = *state;
    const uint32_t count = 100000;
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint32(&pk, i % 16);
    chunk(w, count, 0);
    world_run_bytes(w, world_add(w, "t.square", fn_square), wire_buf_at(&b), wire_buf_length(&b));
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_OK);
    assert_int_equal(w->outcome.items_done, count);
    assert_false(w->outcome.memfd);
    assert_memory_equal(w->space, "\xdd\x00\x01\x86\xa0\x00\x01\x04\x09", 9);
    print_message("# 100000 items in %.2f ms\n", (double)w->outcome.run_ns / 1e6);
}

static void every_length_of_space_gives_the_same_chunk(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.square", fn_square);
    for (w->room = 0; w->room < 64; w->room++) {
        char expected[256] = "[";
        size_t done;
        chunk(w, 4, LANE_JOB_PAIRS);
        world_run(w, f, "[1, 2, 3, 4]");
        done = w->outcome.items_done;
        assert_in_range(done, 1, 4);
        for (size_t i = 1; i <= done; i++)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s[nil, %zu]", i > 1 ? ", " : "",
                i * i);
        strcat(expected, "]");
        assert_result(w, expected);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_chunk_gives_one_result_per_item),
        T(each_finished_item_is_published),
        T(an_empty_chunk_gives_an_empty_list),
        T(with_star_an_item_is_the_argument_list),
        T(the_first_item_that_fails_fails_the_chunk),
        T(with_pairs_a_bad_item_fails_alone),
        T(a_wrong_count_of_items_is_refused),
        T(a_spent_budget_hands_the_rest_back),
        T(a_cancelled_chunk_stops_after_its_item),
        T(a_chunk_ends_with_the_item_that_leaves_the_space),
        T(an_item_too_big_for_max_result_fails_alone_with_pairs),
        T(a_chunk_whose_results_add_up_ends_before_max_result),
        T(a_tiny_max_result_still_gets_a_definite_answer),
        T(a_hundred_thousand_items_run_in_one_job),
        T(every_length_of_space_gives_the_same_chunk),
    };
    return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
