/* Calls, from the request to the answer: results, failures, lost workers, cancellation, time-outs, output. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/packet.h"
#include "tests/unit/supervisor/fake_processes.h"
#include "tests/unit/supervisor/started.h"

#define LARGE (1u << 20)

/* ---- results ---- */

static void a_call_is_answered_with_its_result(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.echo\", [1, \"two\", null]]", "[1, \"two\", nil]");
    expect("call", "[\"fake.echo\"]", "[]");
}

static void the_error_of_a_function_is_its_callers(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.refuse\"]", "E_FAILED: refused");
    expect("call", "[\"fake.retry\", [], {\"attempts\": 1}]", "E_FAILED: not yet");
    expect("call", "[\"fake.retry\"]", "2");
}

static void a_large_result_comes_through_the_socket_or_as_a_memfd(void **state)
{
    char text[8];
    (void)state;
    start("max_output_bytes = 4M", "workers = 1");
    const char *answer = ask("call", "[\"fake.large\", [50000]]");
    assert_int_equal(strlen(answer), 50000 - 5 + 2); /* in quotes */
    expect("call", "[\"fake.large\", [1048576]]", "1048576 bytes");
    expect_part("call", "[\"fake.large\", [5000000]]", "5000000 bytes"); /* more than is held for a client at once */
    expect_part("hello", "[{\"memfd\": true}]", "pid");
    expect("call", "[\"fake.large\", [1048576]]", "nil"); /* the value came beside it */
    int fd = take_fd(&started.peer);
    assert_int_equal(memfd_check(fd, LARGE), 0);
    assert_int_equal(pread(fd, text, 6, 0), 6);
    assert_memory_equal(text, "\xc6\x00\x0f\xff\xfbx", 6);
    close(fd);
}

static void a_large_result_that_is_no_value_ends_its_worker(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("call", "[\"fake.bad_value\"]", "E_LOST");
    wait_log("died");
    expect_part("call", "[\"fake.bad_large\", [1048576]]", "E_LOST");
    expect("call", "[\"fake.echo\", [5]]", "[5]");
}

static void large_arguments_come_in_the_message_or_as_a_memfd(void **state)
{
    static char params[LARGE + 100];
    (void)state;
    start("", "workers = 1");
    size_t n = (size_t)snprintf(params, sizeof params, "[\"fake.end\", [7, \"");
    memset(params + n, 'x', LARGE);
    snprintf(params + n + LARGE, 10, "\"]]");
    expect_part("call", params, "E_LOST");
    int fd = memfd_of_bytes("arguments", "\x91\x05", 2);
    assert_string_equal(get_answer(&started.peer,
                            send_request(&started.peer, "call", fd, "[\"fake.echo\", null, {\"args_memfd\": 2}]")),
        "[5]");
    assert_part(get_answer(&started.peer,
                    send_request(&started.peer, "call", fd, "[\"fake.echo\", null, {\"args_memfd\": 3}]")),
        "E_BAD_PARAMS: args_memfd");
    close(fd);
    fd = memfd_of_bytes("arguments", "\x91\xc1", 2);
    assert_part(get_answer(&started.peer,
                    send_request(&started.peer, "call", fd, "[\"fake.echo\", null, {\"args_memfd\": 2}]")),
        "E_BAD_PARAMS: args_memfd: it does not hold one whole");
    close(fd);
    expect_part("call", "[\"fake.echo\", null, {\"args_memfd\": 2}]", "E_BAD_PARAMS: args_memfd");
}

/* ---- lost workers ---- */

static void the_verdict_says_how_a_worker_ended(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("call", "[\"fake.end\", [7]]", "E_LOST");
    assert_part(started.peer.text, "7");
    expect_part("call", "[\"fake.end\", [-11]]", "SIGSEGV");
    expect_part("call", "[\"fake.end\", [-9]]", "SIGKILL");
    wait_log("exit=7");
    wait_log("signal=SEGV");
}

static void an_idempotent_function_runs_again_elsewhere(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.crash_once\"]", "2");
    expect_part("call", "[\"fake.crash_once\", [], {\"attempts\": 1}]", "E_LOST");
}

static void tasks_behind_a_lost_one_are_not_lost(void **state)
{
    uint32_t ids[20];
    (void)state;
    start("", "workers = 1");
    uint32_t lost = send_request(&started.peer, "call", -1, "[\"fake.end\", [3]]");
    for (unsigned i = 0; i < 20; i++)
        ids[i] = send_request(&started.peer, "call", -1, "[\"fake.echo\", [1]]");
    assert_part(get_answer(&started.peer, lost), "E_LOST");
    for (unsigned i = 0; i < 20; i++)
        assert_string_equal(get_answer(&started.peer, ids[i]), "[1]");
}

/* ---- cancel and time-out ---- */

static void cancel(uint32_t msgid)
{
    char params[64];
    snprintf(params, sizeof params, "[{\"msgid\": %u}]", msgid);
    send_request(&started.peer, "cancel", -1, params);
}

static void a_cancelled_call_is_answered_and_its_function_told(void **state)
{
    (void)state;
    start("", "workers = 1");
    uint32_t call = send_request(&started.peer, "call", -1, "[\"fake.wait\"]");
    wait_part("list", "[]", "running");
    cancel(call);
    assert_part(get_answer(&started.peer, call), "E_CANCELLED");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void a_function_that_does_not_obey_is_killed_after_the_grace(void **state)
{
    (void)state;
    start("cancel_grace = 50ms", "workers = 1");
    uint32_t call = send_request(&started.peer, "call", -1, "[\"fake.hang\"]");
    wait_part("list", "[]", "running");
    cancel(call);
    assert_part(get_answer(&started.peer, call), "E_CANCELLED");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void a_waiting_call_is_cancelled_at_once(void **state)
{
    (void)state;
    start("", "workers = 1");
    uint32_t first = send_request(&started.peer, "call", -1, "[\"fake.wait\"]");
    wait_part("list", "[]", "running");
    uint32_t second = send_request(&started.peer, "call", -1, "[\"fake.echo\"]");
    cancel(second);
    assert_part(get_answer(&started.peer, second), "E_CANCELLED");
    cancel(first);
    assert_part(get_answer(&started.peer, first), "E_CANCELLED");
}

static void a_call_has_the_time_out_of_its_options_function_or_pool(void **state)
{
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    expect_part("call", "[\"fake.hang\", [], {\"timeout_ms\": 50}]", "E_TIMEOUT");
    expect_part("call", "[\"fake.limit\"]", "E_TIMEOUT");
}

static void a_closed_connection_cancels_its_calls(void **state)
{
    (void)state;
    start("", "workers = 1");
    peer_connect(&started.other);
    send_request(&started.other, "call", -1, "[\"fake.wait\"]");
    wait_part("list", "[]", "running");
    send_request(&started.other, "call", -1, "[\"fake.echo\"]");
    peer_close(&started.other);
    wait_part("list", "[]", "[]");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void a_stop_lets_a_running_call_finish_within_its_grace(void **state)
{
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    uint32_t call = send_request(&started.peer, "call", -1, "[\"fake.hang\"]");
    wait_part("list", "[]", "running");
    uint32_t queued = send_request(&started.peer, "call", -1, "[\"fake.echo\"]");
    wait_part("list", "[]", "fake.echo");
    kill(started.pid, SIGTERM);
    wait_notice("STOPPING=1");
    assert_part(get_answer(&started.peer, queued), "E_SHUTDOWN");
    assert_part(get_answer(&started.peer, call), "E_SHUTDOWN");
    assert_null(get_answer(&started.peer, 1000));
}

/* ---- what functions say ---- */

static void output_goes_to_the_caller_that_wants_it_or_to_the_log(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.print\", [], {\"output\": true}]", "1");
    assert_part(started.peer.notes, "out\\x0apart");
    assert_part(started.peer.notes, "err");
    assert_part(started.peer.notes, "sent");
    started.peer.notes[0] = 0;
    expect("call", "[\"fake.print\"]", "1");
    assert_string_equal(started.peer.notes, "");
    wait_log("text=\"out\"");
    wait_log("text=\"part\"");
    wait_log("stream=2");
}

static void what_a_function_logs_has_its_level_and_its_task(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.note\"]", "1");
    for (unsigned level = 0; level < 5; level++) {
        char text[32];
        snprintf(text, sizeof text, "text=\"level %u\"", level);
        wait_log(text);
    }
    wait_log("function=fake.note");
}

static void a_worker_that_is_spoiled_is_replaced(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.spoil\"]", "1");
    wait_log("has left a umask behind");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void progress_is_shown_while_a_task_runs(void **state)
{
    (void)state;
    start("", "workers = 1");
    send_request(&started.peer, "call", -1, "[\"fake.wait\"]");
    wait_part("list", "[]", "10");
    assert_part(started.peer.text, "fake.wait");
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_call_is_answered_with_its_result),
        T(the_error_of_a_function_is_its_callers),
        T(a_large_result_comes_through_the_socket_or_as_a_memfd),
        T(a_large_result_that_is_no_value_ends_its_worker),
        T(large_arguments_come_in_the_message_or_as_a_memfd),
        T(the_verdict_says_how_a_worker_ended),
        T(an_idempotent_function_runs_again_elsewhere),
        T(tasks_behind_a_lost_one_are_not_lost),
        T(a_cancelled_call_is_answered_and_its_function_told),
        T(a_function_that_does_not_obey_is_killed_after_the_grace),
        T(a_waiting_call_is_cancelled_at_once),
        T(a_call_has_the_time_out_of_its_options_function_or_pool),
        T(a_closed_connection_cancels_its_calls),
        T(a_stop_lets_a_running_call_finish_within_its_grace),
        T(output_goes_to_the_caller_that_wants_it_or_to_the_log),
        T(what_a_function_logs_has_its_level_and_its_task),
        T(a_worker_that_is_spoiled_is_replaced),
        T(progress_is_shown_while_a_task_runs),
    };
    int role = started_role(argc, argv, fake_forkserver);
    return role >= 0 ? role : cmocka_run_group_tests_name("supervisor/calls", tests, NULL, NULL);
}
