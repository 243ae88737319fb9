/* What every public function says to a NULL handle. The table has a row for each function that the library exports;
 * symbols.sh checks that (with --names this prints them). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <mpool/process.h>
#include <mpool/queue.h>
#include <mpool/shared.h>

static void called(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)userdata;
    (void)code;
    (void)result;
    (void)text;
}

static bool yes(void *userdata)
{
    (void)userdata;
    return true;
}

static int pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    (void)userdata;
    (void)ret_item;
    (void)ret_length;
    return 0;
}

/* Where results would go. */
static struct {
    mpool_result *result;
    const mpool_result *view;
    const void *bytes;
    mpool_object *object;
    mpool_process *process;
    mpool_map *map;
    size_t length;
    uint64_t u64;
    int64_t i64;
    uint32_t u32;
    double f64;
    int number;
    bool yes;
    mpool_item item;
    mpool_queue_item queue_item;
} out;

/* X(function, call): → -EINVAL */
#define REFUSED(X)                                                                                                     \
    X(mpool_connect, (NULL, "/nonexistent"))                                                                           \
    X(mpool_connect_with, (NULL, NULL))                                                                                \
    X(mpool_set_call_timeout, (NULL, 1))                                                                               \
    X(mpool_set_interruptible, (NULL, true))                                                                           \
    X(mpool_call, (NULL, &out.result, "f", "i", 1))                                                                    \
    X(mpool_call_raw, (NULL, &out.result, "f", NULL, 0, NULL))                                                         \
    X(mpool_submit, (NULL, &out.u64, "f", NULL))                                                                       \
    X(mpool_submit_raw, (NULL, &out.u64, "f", NULL, 0, NULL))                                                          \
    X(mpool_wait, (NULL, 1, -1, &out.result))                                                                          \
    X(mpool_fetch, (NULL, 1, -1, &out.result))                                                                         \
    X(mpool_status, (NULL, 1, &out.result))                                                                            \
    X(mpool_cancel, (NULL, 1, &out.yes))                                                                               \
    X(mpool_cancel_by, (NULL, 1, 2, &out.yes))                                                                         \
    X(mpool_forget, (NULL, 1, &out.yes))                                                                               \
    X(mpool_request, (NULL, &out.result, "stats", NULL))                                                               \
    X(mpool_ping, (NULL))                                                                                              \
    X(mpool_result_i64, (NULL, &out.i64))                                                                              \
    X(mpool_result_u64, (NULL, &out.u64))                                                                              \
    X(mpool_result_f64, (NULL, &out.f64))                                                                              \
    X(mpool_result_bool, (NULL, &out.yes))                                                                             \
    X(mpool_result_bytes, (NULL, &out.bytes, &out.length))                                                             \
    X(mpool_result_get, (NULL, "key", &out.view))                                                                      \
    X(mpool_call_start, (NULL, &out.u32, "f", NULL, 0, NULL, called, NULL))                                            \
    X(mpool_apply_async, (NULL, &out.u32, called, NULL, "f", NULL))                                                    \
    X(mpool_request_start, (NULL, &out.u32, "stats", NULL, 0, called, NULL))                                           \
    X(mpool_call_cancel, (NULL, 1))                                                                                    \
    X(mpool_call_cancel_by, (NULL, 1, 2))                                                                              \
    X(mpool_fd, (NULL))                                                                                                \
    X(mpool_events, (NULL))                                                                                            \
    X(mpool_timeout_ms, (NULL))                                                                                        \
    X(mpool_dispatch, (NULL))                                                                                          \
    X(mpool_flush, (NULL))                                                                                             \
    X(mpool_run, (NULL, -1))                                                                                           \
    X(mpool_map_start, (NULL, &out.map, "f", pull, NULL, NULL))                                                        \
    X(mpool_map_next, (NULL, &out.item, -1))                                                                           \
    X(mpool_map_all, (NULL, &out.result, "f", "\x90", 1, NULL))                                                        \
    X(mpool_process_start, (NULL, &out.process, NULL, "f", NULL))                                                      \
    X(mpool_process_start_raw, (NULL, &out.process, NULL, "f", NULL, 0))                                               \
    X(mpool_process_join, (NULL, -1))                                                                                  \
    X(mpool_process_alive, (NULL, &out.yes))                                                                           \
    X(mpool_process_exitcode, (NULL, &out.number))                                                                     \
    X(mpool_process_result, (NULL, -1, &out.result))                                                                   \
    X(mpool_process_terminate, (NULL))                                                                                 \
    X(mpool_process_kill, (NULL))                                                                                      \
    X(mpool_process_signal, (NULL, 15, &out.yes))                                                                      \
    X(mpool_process_pid, (NULL))                                                                                       \
    X(mpool_object_open, (NULL, &out.object, "lock", "x", NULL))                                                       \
    X(mpool_object_remove, (NULL, "x"))                                                                                \
    X(mpool_object_created, (NULL, &out.yes))                                                                          \
    X(mpool_object_owner, (NULL, &out.u32))                                                                            \
    X(mpool_lock_acquire, (NULL, -1, &out.yes))                                                                        \
    X(mpool_lock_release, (NULL))                                                                                      \
    X(mpool_rlock_acquire, (NULL, -1, &out.yes))                                                                       \
    X(mpool_rlock_release, (NULL))                                                                                     \
    X(mpool_object_lock, (NULL, -1, &out.yes))                                                                         \
    X(mpool_object_unlock, (NULL))                                                                                     \
    X(mpool_lock_fence, (NULL, &out.u64))                                                                              \
    X(mpool_semaphore_acquire, (NULL, -1, &out.yes))                                                                   \
    X(mpool_semaphore_release, (NULL))                                                                                 \
    X(mpool_semaphore_value, (NULL, &out.u32))                                                                         \
    X(mpool_event_wait, (NULL, -1))                                                                                    \
    X(mpool_event_set, (NULL))                                                                                         \
    X(mpool_event_clear, (NULL))                                                                                       \
    X(mpool_event_is_set, (NULL, &out.yes))                                                                            \
    X(mpool_condition_wait, (NULL, NULL, -1, &out.yes))                                                                \
    X(mpool_condition_wait_for, (NULL, NULL, yes, NULL, -1, &out.yes))                                                 \
    X(mpool_condition_notify, (NULL, NULL, 1))                                                                         \
    X(mpool_condition_notify_all, (NULL, NULL))                                                                        \
    X(mpool_barrier_wait, (NULL, -1, &out.u32))                                                                        \
    X(mpool_barrier_abort, (NULL))                                                                                     \
    X(mpool_barrier_reset, (NULL))                                                                                     \
    X(mpool_barrier_parties, (NULL, &out.u32))                                                                         \
    X(mpool_barrier_waiting, (NULL, &out.u32))                                                                         \
    X(mpool_barrier_broken, (NULL, &out.yes))                                                                          \
    X(mpool_array_count, (NULL, &out.u64))                                                                             \
    X(mpool_pipe_end, (NULL, &out.number))                                                                             \
    X(mpool_queue_put, (NULL, -1, "n"))                                                                                \
    X(mpool_queue_put_all, (NULL, "\x90", 1, -1, &out.u32))                                                            \
    X(mpool_queue_get, (NULL, 1, -1, &out.result))                                                                     \
    X(mpool_queue_next, (NULL, NULL, &out.length, &out.queue_item))                                                    \
    X(mpool_queue_confirm, (NULL, &out.u64, 1, &out.u32))                                                              \
    X(mpool_queue_done, (NULL, 1))                                                                                     \
    X(mpool_queue_join, (NULL, -1))                                                                                    \
    X(mpool_queue_finish, (NULL, &out.yes))                                                                            \
    X(mpool_queue_set_ahead, (NULL, 1))                                                                                \
    X(mpool_queue_flush, (NULL, -1))                                                                                   \
    X(mpool_queue_put_start, (NULL, &out.u32, "\x90", 1, -1, called, NULL))                                            \
    X(mpool_queue_get_start, (NULL, &out.u32, 1, -1, called, NULL))

/* X(function, call): → NULL, 0 or false */
#define NOTHING(X)                                                                                                     \
    X(mpool_socket_path, (NULL))                                                                                       \
    X(mpool_pending, (NULL))                                                                                           \
    X(mpool_result_data, (NULL, &out.length))                                                                          \
    X(mpool_result_keep, (NULL))                                                                                       \
    X(mpool_process_id, (NULL))                                                                                        \
    X(mpool_process_name, (NULL))                                                                                      \
    X(mpool_object_handle, (NULL))                                                                                     \
    X(mpool_object_kind, (NULL))                                                                                       \
    X(mpool_object_type, (NULL))                                                                                       \
    X(mpool_array_data, (NULL, &out.u64))                                                                              \
    X(mpool_code_name, (0))                                                                                            \
    X(mpool_code_retryable, (0))                                                                                       \
    X(mpool_format_check, (NULL, NULL))

/* X(function, call): returns */
#define SILENT(X)                                                                                                      \
    X(mpool_disconnect, (NULL))                                                                                        \
    X(mpool_error_text, (NULL))                                                                                        \
    X(mpool_object_error_text, (NULL, 0, NULL, 0))                                                                     \
    X(mpool_strerror, (0))                                                                                             \
    X(mpool_socket_candidates, (NULL, 0))                                                                              \
    X(mpool_result_free, (NULL))                                                                                       \
    X(mpool_on_unsent, (NULL, NULL, NULL))                                                                             \
    X(mpool_map_cancel, (NULL))                                                                                        \
    X(mpool_map_cancel_by, (NULL, 2))                                                                                  \
    X(mpool_map_progress, (NULL, &out.u64, &out.u64))                                                                  \
    X(mpool_map_free, (NULL))                                                                                          \
    X(mpool_process_free, (NULL))                                                                                      \
    X(mpool_object_close, (NULL))

#define REFUSED_NUMBERS(X, name, type)                                                                                 \
    X(mpool_value_get_##name, (NULL, &(type){0}))                                                                      \
    X(mpool_value_set_##name, (NULL, 1))                                                                               \
    X(mpool_value_add_##name, (NULL, 1))                                                                               \
    X(mpool_value_fetch_add_##name, (NULL, 1, &(type){0}))                                                             \
    X(mpool_value_cas_##name, (NULL, &(type){0}, 1))                                                                   \
    X(mpool_array_get_##name, (NULL, 0, &(type){0}))                                                                   \
    X(mpool_array_set_##name, (NULL, 0, 1))                                                                            \
    X(mpool_array_add_##name, (NULL, 0, 1))                                                                            \
    X(mpool_array_fetch_add_##name, (NULL, 0, 1, &(type){0}))                                                          \
    X(mpool_array_cas_##name, (NULL, 0, &(type){0}, 1))

#define REFUSES(function, arguments)                                                                                   \
    if ((r = function arguments) != -EINVAL)                                                                           \
        fail_msg("%s returns %d", #function, r);
#define GIVES_NOTHING(function, arguments)                                                                             \
    if (function arguments)                                                                                            \
        fail_msg("%s returns something", #function);
#define RETURNS(function, arguments) (void)function arguments;

static void null_handles_are_refused(void **state)
{
    int r;
    (void)state;
    memset(&out, 0x5a, sizeof(out)); /* nothing of this is looked at */
    REFUSED(REFUSES)
#define X(name, type) REFUSED_NUMBERS(REFUSES, name, type)
    MPOOL_ELEMENT_TYPES(X)
#undef X
}

static void null_handles_give_nothing(void **state)
{
    (void)state;
    NOTHING(GIVES_NOTHING)
    SILENT(RETURNS)
    assert_string_equal(mpool_error_text(NULL), "");
    assert_int_equal(out.length, 0);
}

#define NAME(function, arguments) puts(#function);

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_handles_are_refused),
        cmocka_unit_test(null_handles_give_nothing),
    };
    if (argc > 1 && strcmp(argv[1], "--names") == 0) {
        REFUSED(NAME)
        NOTHING(NAME)
        SILENT(NAME)
#define X(name, type) REFUSED_NUMBERS(NAME, name, type)
        MPOOL_ELEMENT_TYPES(X)
#undef X
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
