/* What a function gets to see, and what becomes of what it says: one job at a time. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/lane/control_protocol.h"

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int fn_square(mpool_task *t)
{
    int64_t n;
    if (mpool_arg_i64(t, 0, &n) < 0)
        return -1;
    return mpool_reply_i64(t, n * n);
}

static void a_function_reads_its_argument_and_replies(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.square", fn_square), "[7]");
    assert_result(w, "49");
    assert_false(w->outcome.memfd);
}

static void a_missing_argument_is_named(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.square", fn_square), "[]");
    assert_failed(w, "E_BAD_ARGS: argument 1 is missing: 0 given");
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED);
}

static void an_argument_of_the_wrong_type_is_named(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.square", fn_square), "[\"seven\"]");
    assert_failed(w, "E_BAD_ARGS: argument 1: expected integer, got string");
}

static void an_integer_out_of_range_is_named(void **state)
{
    struct world *w = *state;
    const uint8_t args[] = {0x91, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    world_run_bytes(w, world_add(w, "t.square", fn_square), args, sizeof args);
    assert_failed(w, "E_BAD_ARGS: argument 1: expected integer below 2^63, got 18446744073709551615");
}

static int fn_sum_second(mpool_task *t)
{
    mpool_value v;
    uint32_t count;
    int64_t sum = 0, n;
    if (mpool_arg(t, 1, &v) < 0 || mpool_read_array(t, &v, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++, sum += n)
        if (mpool_read_i64(t, &v, &n) < 0)
            return -1;
    assert_int_equal(mpool_type(t, &v), MPOOL_NOTHING);
    return mpool_reply_i64(t, sum);
}

static void a_wrong_value_inside_an_argument_is_located(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.sum", fn_sum_second);
    world_run(w, f, "[\"x\", [1, 2, 3], \"y\"]");
    assert_result(w, "6");
    world_run(w, f, "[\"x\", [1, 2.5, 3], \"y\"]");
    assert_failed(w, "E_BAD_ARGS: in argument 2: expected integer, got the float 2.5");
}

static int fn_every_type(mpool_task *t)
{
    static const int types[] = {
        MPOOL_NIL, MPOOL_BOOL, MPOOL_INT, MPOOL_FLOAT, MPOOL_STR, MPOOL_BIN, MPOOL_ARRAY, MPOOL_MAP, MPOOL_EXT};
    for (uint32_t i = 0; i < ELEMENTS(types); i++)
        if (mpool_arg_type(t, i) != types[i])
            return mpool_fail(t, 0, "argument %u is a %d", i, mpool_arg_type(t, i));
    if (mpool_arg_type(t, ELEMENTS(types)) != MPOOL_NOTHING)
        return mpool_fail(t, 0, "too many");
    int yes;
    double f;
    const void *bin;
    size_t n;
    mpool_value v;
    uint32_t pairs;
    if (mpool_arg_bool(t, 1, &yes) < 0 || !yes || mpool_arg_f64(t, 2, &f) < 0 || f != 5 ||
        mpool_arg_bin(t, 4, &bin, &n) < 0 || n != 1 || mpool_arg_bin(t, 5, &bin, &n) < 0 || n != 2 ||
        mpool_arg(t, 7, &v) < 0 || mpool_read_map(t, &v, &pairs) < 0 || pairs != 1 || mpool_skip(t, &v) < 0 ||
        mpool_read_raw(t, &v, &bin, &n) < 0 || n != 1)
        return -1;
    return 0;
}

static void every_type_of_argument_can_be_read(void **state)
{
    struct world *w = *state;
    const uint8_t args[] = {0x99, 0xc0, 0xc3, 0x05, 0xca, 0, 0, 0, 0, 0xa1, 'a', 0xc4, 2, 1, 2, 0x91, 0x01, 0x81, 0xa1,
        'k', 0x02, 0xd4, 0x01, 0x00};
    world_run_bytes(w, world_add(w, "t.types", fn_every_type), args, sizeof args);
    assert_result(w, "nil");
}

/* Forwards, backwards and across. */
static int fn_jump_about(mpool_task *t)
{
    uint32_t count = mpool_arg_count(t);
    int64_t n;
    for (uint32_t i = 0; i < count; i++) {
        if (mpool_arg_i64(t, count - 1 - i, &n) < 0 || n != (int64_t)(count - 1 - i))
            return mpool_fail(t, 0, "backwards at %u", i);
        uint32_t other = (uint32_t)(((uint64_t)i * 7919) % count);
        if (mpool_arg_i64(t, other, &n) < 0 || n != (int64_t)other)
            return mpool_fail(t, 0, "across at %u", i);
    }
    return mpool_reply_u64(t, count);
}

static void a_million_arguments_are_found_in_any_order(void **state)
{
    struct world *w = *state;
    const uint32_t count = 1000000;
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint32(&pk, i);
    world_run_bytes(w, world_add(w, "t.jump", fn_jump_about), wire_buf_at(&b), wire_buf_length(&b));
    assert_result(w, "1000000");
}

static void arguments_that_are_not_one_array_are_refused(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.square", fn_square);
    static const struct {
        uint8_t bytes[8];
        size_t length;
    } bad[] = {{{0}, 0}, {{0x07}, 1}, {{0x92, 1}, 2}, {{0x91, 1, 2}, 3}, {{0xdd, 0xff, 0xff, 0xff, 0xff}, 5},
        {{0x91, 0xc1}, 2}, {{0x80}, 1}};
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        world_run_bytes(w, f, bad[i].bytes, bad[i].length);
        assert_failed(w, "E_BAD_ARGS: the arguments are not one MessagePack array");
    }
    uint8_t deep[64];
    memset(deep, 0x91, sizeof deep);
    world_run_bytes(w, f, deep, sizeof deep);
    assert_failed(w, "E_BAD_ARGS: the arguments are nested deeper than 32");
}

static void an_unknown_function_fails_the_task(void **state)
{
    struct world *w = *state;
    world_run(w, 4711, "[]");
    assert_failed_like(w, "no function number 4711");
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

static int fn_fail(mpool_task *t)
{
    mpool_reply_array(t, 3);
    mpool_reply_i64(t, 1);
    return mpool_fail(t, MPOOL_FAIL_RETRYABLE, "disk %d is on fire", 3);
}

static void a_failure_replaces_a_half_built_reply(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.fail", fn_fail), "[]");
    assert_failed(w, "E_FAILED: disk 3 is on fire");
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED_RETRYABLE);
}

static int fn_fail_long(mpool_task *t)
{
    char *text = mpool_alloc(t, 100001);
    for (size_t i = 0; i < 100000; i += 2)
        memcpy(text + i, "é", 2);
    text[100000] = 0;
    return mpool_fail(t, 0, "x%s\xff", text);
}

static void a_long_failure_is_cut_to_valid_text(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.fail", fn_fail_long), "[]");
    assert_failed_like(w, "E_FAILED: xéé");
    assert_true(w->outcome.size <= HOST_TEXT_MAX + 16);
}

static int fn_mute(mpool_task *t)
{
    (void)t;
    return -7;
}

static void a_negative_return_without_words_is_reported(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.mute", fn_mute), "[]");
    assert_failed(w, "E_FAILED: t.mute returned -7 without saying why");
}

static int fn_ignore(mpool_task *t)
{
    int64_t n;
    mpool_arg_i64(t, 5, &n);
    mpool_fail(t, MPOOL_FAIL_RETRYABLE, "later words");
    mpool_reply_i64(t, 1);
    return 0;
}

static void the_first_failure_stands_even_if_the_function_ignores_it(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.ignore", fn_ignore), "[]");
    assert_failed(w, "E_BAD_ARGS: argument 6 is missing: 0 given");
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED);
}

static void a_failure_is_forgotten_with_its_task(void **state)
{
    struct world *w = *state;
    uint32_t fails = world_add(w, "t.fail", fn_fail), squares = world_add(w, "t.square", fn_square);
    world_run(w, fails, "[]");
    world_run(w, squares, "[3]");
    assert_result(w, "9");
}

/* ---- replies ---------------------------------------------------------------------------------------------------- */

static int fn_silent(mpool_task *t)
{
    (void)t;
    return 0;
}

static void no_reply_at_all_is_nil(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.silent", fn_silent), "[]");
    assert_result(w, "nil");
}

static int fn_everything(mpool_task *t)
{
    mpool_reply_array(t, 10);
    mpool_reply_nil(t);
    mpool_reply_bool(t, 1);
    mpool_reply_i64(t, INT64_MIN);
    mpool_reply_u64(t, UINT64_MAX);
    mpool_reply_f64(t, 0.5);
    mpool_reply_str(t, "grün", 5);
    mpool_reply_bin(t, "\xff", 1);
    mpool_reply_map(t, 1);
    mpool_reply_str(t, "k", 1);
    mpool_reply_array(t, 0);
    mpool_reply_raw(t, "\x92\x01\x02", 3);
    memcpy(mpool_reply_bin_reserve(t, 2), "ab", 2);
    return 0;
}

static void every_type_of_reply_can_be_built(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.all", fn_everything), "[]");
    assert_result(w,
        "[nil, true, -9223372036854775808, 18446744073709551615, 0.500000, \"grün\", \"\\xff\", {\"k\"=>[]}, "
        "[1, 2], \"ab\"]");
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

static void a_result_beyond_the_space_goes_into_a_sealed_memfd(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.blob", fn_blob);
    world_run(w, f, "[524283]");
    assert_false(w->outcome.memfd);
    assert_int_equal(w->outcome.size, 524288);
    world_run(w, f, "[524284]");
    assert_true(w->outcome.memfd);
    assert_int_equal(w->outcome.size, 524289);
    assert_int_equal(w->memfd_seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    assert_int_equal(w->memfd[0], 0xc6);
    assert_int_equal(w->memfd[524288], 0x5a);
}

static int fn_list(mpool_task *t)
{
    uint64_t count;
    if (mpool_arg_u64(t, 0, &count) < 0 || mpool_reply_array(t, (uint32_t)count) < 0)
        return -1;
    for (uint64_t i = 0; i < count; i++)
        if (mpool_reply_u64(t, 1000000 + i) < 0)
            return -1;
    return 0;
}

static void a_result_that_grows_step_by_step_moves_and_stays_whole(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.list", fn_list), "[1000000]");
    assert_true(w->outcome.memfd);
    assert_int_equal(w->outcome.size, 5 + 1000000 * 5);
    assert_memory_equal(w->memfd + 5 + 5 * 999999, "\xce\x00\x1e\x84\x7f", 5);
}

static void a_result_beyond_max_result_is_refused(void **state)
{
    struct world *w = *state;
    uint32_t list = world_add(w, "t.list", fn_list), blob = world_add(w, "t.blob", fn_blob);
    w->job.job.max_result = 1000;
    world_run(w, blob, "[997]");
    assert_result(w, world_show(w));
    assert_int_equal(w->outcome.size, 1000);
    world_run(w, blob, "[998]");
    assert_failed(w, "E_RESULT_TOO_BIG: the result is larger than 1000 bytes");
    world_run(w, list, "[300]");
    assert_failed(w, "E_RESULT_TOO_BIG: the result is larger than 1000 bytes");
    w->job.job.max_result = 2u << 20;
    world_run(w, list, "[1000000]");
    assert_failed_like(w, "E_RESULT_TOO_BIG");
    assert_false(w->outcome.memfd);
    w->job.job.max_result = 0;
    world_run(w, blob, "[0]");
    assert_failed_like(w, "E_RESULT_TOO_BIG");
}

static void the_loss_of_the_control_socket_is_handed_up(void **state)
{
    struct world *w = *state;
    w->result_error = -EPIPE;
    world_run(w, world_add(w, "t.blob", fn_blob), "[1000000]");
    assert_int_equal(w->run_error, -EPIPE);
}

static void a_result_that_cannot_be_handed_over_fails_its_task_alone(void **state)
{
    struct world *w = *state;
    w->result_error = -ETOOMANYREFS;
    world_run(w, world_add(w, "t.blob", fn_blob), "[1000000]");
    assert_int_equal(w->run_error, 0);
    assert_failed_like(w, "E_FAILED: the result cannot be handed over: Too many references");
}

static pid_t leftover;

static int fn_leave_a_child(mpool_task *t)
{
    uint8_t *p = mpool_reply_bin_reserve(t, 1 << 20);
    if (!p)
        return -1;
    memset(p, 1, 1 << 20);
    leftover = fork();
    if (leftover == 0)
        for (;;)
            pause();
    return 0;
}

static void a_child_that_a_function_leaves_behind_does_not_hold_the_result(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.leave", fn_leave_a_child), "[]");
    kill(leftover, SIGKILL);
    waitpid(leftover, NULL, 0);
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_OK);
    assert_true(w->memfd_seals & F_SEAL_WRITE);
}

/* ---- the rest --------------------------------------------------------------------------------------------------- */

static int fn_arena(mpool_task *t)
{
    uintptr_t seen[3];
    size_t sizes[] = {1, 100000, 10u << 20};
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < 3; i++) {
            char *p = mpool_alloc(t, sizes[i]);
            if (!p)
                return -1;
            seen[i] = (uintptr_t)p;
            assert_int_equal(seen[i] % 16, 0);
            p[0] = p[sizes[i] - 1] = (char)round;
        }
    assert_null(mpool_alloc(t, SIZE_MAX - 5));
    return -1;
}

static void the_arena_gives_aligned_memory_and_reports_when_there_is_none(void **state)
{
    struct world *w = *state;
    world_run(w, world_add(w, "t.arena", fn_arena), "[]");
    assert_failed_like(w, "E_FAILED: no memory for");
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED_RETRYABLE);
}

static int fn_talk(mpool_task *t)
{
    char *big = mpool_alloc(t, 300000);
    memset(big, 'b', 300000);
    mpool_log(t, MPOOL_LOG_WARNING, "line %d\xff\n", 1);
    mpool_progress(t, 3, 9);
    if (mpool_output(t, 1, "out", 3) < 0 || mpool_output(t, 2, big, 300000) < 0)
        return -1;
    mpool_reply_array(t, 2);
    mpool_reply_u64(t, mpool_task_id(t));
    return mpool_reply_u64(t, mpool_attempt(t));
}

static void log_progress_and_output_reach_their_ears(void **state)
{
    struct world *w = *state;
    w->job.job.flags = LANE_JOB_OUTPUT;
    world_run(w, world_add(w, "t.talk", fn_talk), "[]");
    assert_result(w, "[99, 1]");
    assert_string_equal(w->log, "line 1?");
    assert_int_equal(w->log_level, MPOOL_LOG_WARNING);
    assert_int_equal(w->progress_done, 3);
    assert_int_equal(w->progress_total, 9);
    assert_int_equal(wire_buf_length(&w->out[1]), 3);
    assert_int_equal(wire_buf_length(&w->out[2]), 300000);
}

static int fn_wait_for_cancel(mpool_task *t)
{
    struct pollfd p = {.fd = mpool_cancel_fd(t), .events = POLLIN};
    if (p.fd < 0)
        return -1;
    while (!mpool_cancelled(t))
        if (poll(&p, 1, 10000) == 0)
            return mpool_fail(t, 0, "nobody cancelled");
    return mpool_fail(t, 0, "cancelled");
}

static struct world *alarmed;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    alarmed->cancelled = MPOOL_CANCELLED;
    kill(getpid(), CONTROL_CANCEL_SIGNAL);
}

static void a_cancel_wakes_a_function_that_polls(void **state)
{
    struct world *w = alarmed = *state;
    uint32_t f = world_add(w, "t.wait", fn_wait_for_cancel);
    signal(SIGALRM, on_alarm);
    ualarm(20000, 0);
    world_run(w, f, "[]");
    assert_failed(w, "E_FAILED: cancelled");
    /* Again, with the signal already there and taken away by nobody. */
    world_run(w, f, "[]");
    assert_failed(w, "E_FAILED: cancelled");
}

static int fn_cancel_fd_is_quiet(mpool_task *t)
{
    struct pollfd p = {.fd = mpool_cancel_fd(t), .events = POLLIN};
    if (poll(&p, 1, 0) != 0)
        return mpool_fail(t, 0, "readable for no reason");
    kill(getpid(), CONTROL_CANCEL_SIGNAL); /* one that was meant for the task before */
    if (poll(&p, 1, 10000) != 1 || mpool_cancelled(t) || poll(&p, 1, 0) != 0)
        return mpool_fail(t, 0, "a stale signal stays");
    return 0;
}

static void a_stale_cancel_signal_does_not_make_a_poller_spin(void **state)
{
    struct world *w = *state;
    uint32_t waits = world_add(w, "t.wait", fn_wait_for_cancel), quiet = world_add(w, "t.quiet", fn_cancel_fd_is_quiet);
    w->cancelled = MPOOL_CANCELLED;
    world_run(w, waits, "[]");
    kill(getpid(), CONTROL_CANCEL_SIGNAL);
    w->cancelled = 0;
    world_run(w, quiet, "[]");
    assert_result(w, "nil");
}

static int fn_forks_and_returns_twice(mpool_task *t)
{
    leftover = fork();
    return mpool_reply_i64(t, leftover == 0);
}

static void a_forked_copy_of_a_function_never_becomes_a_second_worker(void **state)
{
    struct world *w = *state;
    pid_t self = getpid();
    world_run(w, world_add(w, "t.fork", fn_forks_and_returns_twice), "[]");
    assert_int_equal(getpid(), self);
    int status;
    assert_int_equal(waitpid(leftover, &status, 0), leftover);
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
    assert_result(w, "0");
}

static int fn_print(mpool_task *t)
{
    (void)t;
    printf("printed");
    return 0;
}

static void what_a_function_prints_is_flushed_with_its_task(void **state)
{
    struct world *w = *state;
    uint32_t f = world_add(w, "t.print", fn_print);
    int ends[2], saved = dup(STDOUT_FILENO);
    char text[32] = "";
    fflush(stdout);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    world_run(w, f, "[]");
    dup2(saved, STDOUT_FILENO);
    assert_int_equal(read(ends[0], text, sizeof text - 1), 7);
    assert_string_equal(text, "printed");
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_function_reads_its_argument_and_replies),
        T(a_missing_argument_is_named),
        T(an_argument_of_the_wrong_type_is_named),
        T(an_integer_out_of_range_is_named),
        T(a_wrong_value_inside_an_argument_is_located),
        T(every_type_of_argument_can_be_read),
        T(a_million_arguments_are_found_in_any_order),
        T(arguments_that_are_not_one_array_are_refused),
        T(an_unknown_function_fails_the_task),
        T(a_failure_replaces_a_half_built_reply),
        T(a_long_failure_is_cut_to_valid_text),
        T(a_negative_return_without_words_is_reported),
        T(the_first_failure_stands_even_if_the_function_ignores_it),
        T(a_failure_is_forgotten_with_its_task),
        T(no_reply_at_all_is_nil),
        T(every_type_of_reply_can_be_built),
        T(a_result_beyond_the_space_goes_into_a_sealed_memfd),
        T(a_result_that_grows_step_by_step_moves_and_stays_whole),
        T(a_result_beyond_max_result_is_refused),
        T(the_loss_of_the_control_socket_is_handed_up),
        T(a_result_that_cannot_be_handed_over_fails_its_task_alone),
        T(a_child_that_a_function_leaves_behind_does_not_hold_the_result),
        T(the_arena_gives_aligned_memory_and_reports_when_there_is_none),
        T(log_progress_and_output_reach_their_ears),
        T(a_cancel_wakes_a_function_that_polls),
        T(a_stale_cancel_signal_does_not_make_a_poller_spin),
        T(a_forked_copy_of_a_function_never_becomes_a_second_worker),
        T(what_a_function_prints_is_flushed_with_its_task),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
