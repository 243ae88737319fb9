/* Functions that misuse every call: each task still ends with one whole value or one sentence, and the next is fine. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

static int fn_half(mpool_task *t)
{
    mpool_reply_map(t, 2);
    mpool_reply_str(t, "a", 1);
    mpool_reply_array(t, 7);
    return mpool_reply_nil(t);
}

static int fn_twice(mpool_task *t)
{
    mpool_reply_array(t, 1);
    mpool_reply_nil(t);
    mpool_reply_i64(t, 1);
    return 0;
}

static int fn_huge_count(mpool_task *t)
{
    return mpool_reply_array(t, UINT32_MAX);
}

static int fn_huge_map(mpool_task *t)
{
    return mpool_reply_map(t, (uint32_t)-1);
}

static int fn_endless(mpool_task *t)
{
    while (mpool_reply_array(t, 1) == 0)
        ;
    return 0;
}

static int fn_huge_bin(mpool_task *t)
{
    return mpool_reply_bin_reserve(t, SIZE_MAX) ? 0 : -1;
}

static int fn_negative_length(mpool_task *t)
{
    return mpool_reply_bin(t, "x", (size_t)-1);
}

static int fn_garbage(mpool_task *t)
{
    return mpool_reply_raw(t, "\xdd\xff\xff\xff\xff", 5);
}

static int fn_nothing_raw(mpool_task *t)
{
    return mpool_reply_raw(t, "", 0);
}

static int fn_two_raw(mpool_task *t)
{
    return mpool_reply_raw(t, "\x01\x02", 2);
}

static int fn_deep_raw(mpool_task *t)
{
    char deep[40];
    memset(deep, '\x91', sizeof deep);
    deep[sizeof deep - 1] = 0;
    return mpool_reply_raw(t, deep, sizeof deep);
}

static int fn_latin1(mpool_task *t)
{
    return mpool_reply_str(t, "gr\xfcn", 4);
}

static int fn_reply_after_fail(mpool_task *t)
{
    mpool_fail(t, 0, "no");
    assert_int_equal(mpool_reply_i64(t, 1), -1);
    assert_null(mpool_reply_bin_reserve(t, 1));
    return 0;
}

static int fn_positive(mpool_task *t)
{
    mpool_reply_nil(t);
    return 3;
}

static int fn_past_the_end(mpool_task *t)
{
    mpool_value v;
    if (mpool_arg(t, 0, &v) < 0)
        return -1;
    while (mpool_skip(t, &v) == 0)
        ;
    return 0;
}

static int fn_own_value(mpool_task *t)
{
    static const unsigned char bytes[] = {0xd9, 0xff, 'x'};
    mpool_value v = {bytes, bytes + sizeof bytes};
    const char *s;
    size_t n;
    return mpool_read_str(t, &v, &s, &n);
}

static int fn_bad_stream(mpool_task *t)
{
    return mpool_output(t, 17, "x", 1);
}

static int fn_forgets(mpool_task *t)
{
    int64_t n;
    mpool_arg_i64(t, 9, &n);
    return 0;
}

static const struct {
    mpool_function *run;
    const char *says;
} misuses[] = {
    {fn_half, "E_FAILED: t.f ended its reply too early: 8 values are missing"},
    {fn_twice, "E_FAILED: the function replied with more than one value"},
    {fn_huge_count, "E_RESULT_TOO_BIG: the result is larger than 67108864 bytes"},
    {fn_huge_map, "E_RESULT_TOO_BIG: the result is larger than 67108864 bytes"},
    {fn_endless, "E_FAILED: the reply is nested deeper than 32"},
    {fn_huge_bin, "E_RESULT_TOO_BIG: the result is larger than 67108864 bytes"},
    {fn_negative_length, "E_RESULT_TOO_BIG: the result is larger than 67108864 bytes"},
    {fn_garbage, "E_FAILED: the function replied with bytes that are not one MessagePack value"},
    {fn_nothing_raw, "E_FAILED: the function replied with bytes that are not one MessagePack value"},
    {fn_two_raw, "E_FAILED: the function replied with bytes that are not one MessagePack value"},
    {fn_deep_raw, "E_FAILED: the reply is nested deeper than 32"},
    {fn_latin1, "E_FAILED: the function replied with a string that is not UTF-8 (binary would do)"},
    {fn_reply_after_fail, "E_FAILED: no"},
    {fn_positive, "E_FAILED: t.f returned 3 without saying why"},
    {fn_past_the_end, "E_BAD_ARGS: expected a value, got nothing"},
    {fn_own_value, "E_BAD_ARGS: expected string, got string"},
    {fn_bad_stream, "E_FAILED: the function wrote to output stream 17: there are 1 and 2"},
    {fn_forgets, "E_BAD_ARGS: argument 10 is missing: 1 given"},
};

static void a_misuse_fails_its_task_with_a_sentence(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.f", NULL);
    for (size_t i = 0; i < ELEMENTS(misuses); i++) {
        w->own[f].run = misuses[i].run;
        world_run(w, f, "[1]");
        assert_failed(w, misuses[i].says);
        assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED);
    }
}

static void a_misuse_in_a_chunk_fails_its_item_alone(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.f", NULL);
    w->job.job.flags = LANE_JOB_CHUNK | LANE_JOB_PAIRS;
    w->job.job.items = 2;
    for (size_t i = 0; i < ELEMENTS(misuses); i++) {
        w->own[f].run = misuses[i].run;
        world_run(w, f, "[1, 1]");
        assert_result(w, world_show(w));
        assert_int_equal(w->outcome.items_done, 2);
        assert_memory_equal(w->shown, "[[[0, \"E_", 9);
    }
}

/* Calls at random, for a while: whatever comes out is one whole value, in the limits. */
static unsigned seed;

static unsigned dice(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

static int fn_monkey(mpool_task *t)
{
    unsigned calls = dice(60);
    for (unsigned i = 0; i < calls; i++) {
        switch (dice(12)) {
        case 0: mpool_reply_nil(t); break;
        case 1: mpool_reply_bool(t, (int)dice(2)); break;
        case 2: mpool_reply_i64(t, -(int64_t)dice(1u << 20)); break;
        case 3: mpool_reply_u64(t, dice(1u << 20)); break;
        case 4: mpool_reply_f64(t, dice(9)); break;
        case 5: mpool_reply_str(t, "abcdefgh", dice(9)); break;
        case 6: mpool_reply_bin(t, "abcdefgh", dice(9)); break;
        case 7: mpool_reply_array(t, dice(5)); break;
        case 8: mpool_reply_map(t, dice(3)); break;
        case 9: mpool_reply_raw(t, "\x92\x01\x02", 3); break;
        case 10: {
            size_t n = dice(3000);
            void *p = mpool_reply_bin_reserve(t, n);
            if (p)
                memset(p, 1, n);
            break;
        }
        default:
            if (dice(40) == 0)
                return mpool_fail(t, 0, "enough");
        }
    }
    return dice(30) == 0 ? -1 : 0;
}

static void random_calls_give_one_whole_value_within_the_limits(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.monkey", fn_monkey);
    unsigned fine = 0;
    for (unsigned i = 0; i < 20000; i++) {
        seed = i;
        w->room = i % 7 ? SPACE : i % 4096;
        w->job.job.max_result = 2000 + i;
        w->job.job.flags = i % 2 ? LANE_JOB_CHUNK | LANE_JOB_PAIRS : 0;
        w->job.job.items = 3;
        world_run(w, f, "[1, 2, 3]");
        assert_whole(w);
        fine += w->outcome.outcome == LANE_OUTCOME_OK;
        assert_true(w->outcome.size <= w->job.job.max_result || w->outcome.outcome != LANE_OUTCOME_OK);
    }
    assert_in_range(fine, 1000, 19999);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_misuse_fails_its_task_with_a_sentence),
        T(a_misuse_in_a_chunk_fails_its_item_alone),
        T(random_calls_give_one_whole_value_within_the_limits),
    };
    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
