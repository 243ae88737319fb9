/* Tasks that outlive their request: submit, wait, result, status, cancel, forget, list; and processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/supervisor/fake_processes.h"
#include "tests/unit/supervisor/started.h"

/* → "[id" of a new job, to be continued with the other parameters. */
static const char *submit(const char *params)
{
    static char id[40];
    const char *answer = ask("submit", params);
    if (answer[0] < '1' || answer[0] > '9')
        fail_msg("submit: %s", answer);
    snprintf(id, sizeof id, "%s", answer);
    return id;
}

static const char *with(const char *id, const char *more)
{
    static char params[200];
    snprintf(params, sizeof params, "[%s%s]", id, more);
    return params;
}

/* ---- jobs ---- */

static void a_job_is_waited_for_and_its_result_fetched(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = submit("[\"fake.echo\", [1], {\"name\": \"first\", \"ttl_s\": 60}]");
    expect_part("wait", with(id, ""), "\"state\"=>\"done\"");
    assert_part(started.peer.text, "\"name\"=>\"first\"");
    expect("result", with(id, ", 60000"), "[1]");
    expect("result", with(id, ", 1000"), "[1]");
    expect_part("status", with(id, ""), "fake.echo");
    expect("forget", with(id, ""), "true");
    expect_part("status", with(id, ""), "E_NO_TASK");
    expect_part("result", with(id, ""), "E_NO_TASK");
}

static void a_failed_job_keeps_its_error(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = submit("[\"fake.refuse\"]");
    expect("result", with(id, ", 60000"), "E_FAILED: refused");
    expect_part("wait", with(id, ""), "failed");
    id = submit("[\"fake.end\", [3]]");
    expect_part("result", with(id, ", 60000"), "E_LOST");
    expect_part("status", with(id, ""), "lost");
}

static void a_wait_may_time_out(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = submit("[\"fake.wait\"]");
    expect_part("wait", with(id, ", 20"), "E_NOT_READY");
    expect_part("result", with(id, ", 20"), "E_NOT_READY");
    expect_part("result", with(id, ""), "E_NOT_READY");
    expect_part("status", with(id, ""), "\"state\"=>\"running\"");
    expect("cancel", with(id, ""), "true");
    expect_part("wait", with(id, ""), "cancelled");
    expect("cancel", with(id, ""), "false");
}

static void those_that_wait_for_a_job_are_answered_at_its_end_or_when_it_is_forgotten(void **state)
{
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    const char *id = submit("[\"fake.wait\"]");
    peer_connect(&started.other);
    send_request(&started.other, "wait", -1, with(id, ""));
    uint32_t result = send_request(&started.other, "result", -1, with(id, ", 60000"));
    expect_part("status", with(id, ""), id);
    expect("forget", with(id, ""), "false"); /* it has not ended; it is forgotten when it does */
    expect("cancel", with(id, ""), "true");
    assert_part(get_answer(&started.other, result), "E_CANCELLED");
}

static void a_client_that_leaves_takes_its_waits_with_it(void **state)
{
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    const char *id = submit("[\"fake.wait\"]");
    peer_connect(&started.other);
    send_request(&started.other, "wait", -1, with(id, ", 60000"));
    peer_close(&started.other);
    expect("cancel", with(id, ""), "true");
    expect_part("wait", with(id, ""), "cancelled");
}

static void a_result_lives_as_long_as_its_ttl(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = submit("[\"fake.echo\", [1], {\"ttl_s\": 1}]");
    expect("result", with(id, ", 60000"), "[1]");
    wait_part("status", with(id, ""), "E_NO_TASK");
}

static void what_is_kept_has_a_cap(void **state)
{
    (void)state;
    start("max_kept = 16", "workers = 1");
    for (unsigned i = 0; i < 16; i++)
        if (strncmp(ask("submit", "[\"fake.echo\"]"), "E_BUSY", 2) == 0)
            fail_msg("%u: %s", i, started.peer.text);
    expect_part("submit", "[\"fake.echo\"]", "E_BUSY");
    assert_part(started.peer.text, "max_kept");
}

static void a_large_result_is_kept_and_fetched(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = submit("[\"fake.large\", [1048576]]");
    expect_part("wait", with(id, ""), "done");
    expect_part("hello", "[{\"memfd\": true}]", "pid");
    expect("result", with(id, ", 60000"), "nil");
    close(take_fd(&started.peer));
    id = submit("[\"fake.bad_large\", [1048576]]");
    peer_connect(&started.other); /* it takes no memfds, so the value is sent, and looked at before */
    assert_part(get_answer(&started.other, send_request(&started.other, "result", -1, with(id, ", 60000"))), "E_LOST");
}

static void a_list_is_filtered(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = submit("[\"fake.echo\", [], {\"name\": \"one\"}]");
    expect_part("wait", with(id, ""), "done");
    submit("[\"fake.wait\"]");
    expect_part("list", "[{\"state\": \"done\"}]", "\"one\"");
    assert_null(strstr(started.peer.text, "fake.wait"));
    expect_part("list", "[{\"limit\": 1}]", "fake.wait");
    expect_part("list", "[{\"state\": \"none\"}]", "E_BAD_PARAMS");
    expect_part("list", "[{\"colour\": 1}]", "E_BAD_PARAMS");
}

static void jobs_that_nobody_knows_are_refused(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("status", "[1]", "E_NO_TASK");
    expect_part("cancel", "[12345678901]", "E_NO_TASK");
    expect_part("wait", "[\"x\"]", "E_BAD_PARAMS");
    expect_part("forget", "[-1]", "E_BAD_PARAMS");
    expect_part("cancel", "[{\"msgid\": 4711}]", "false");
}

static void an_attached_task_is_found_by_its_id(void **state)
{
    char id[40];
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    peer_connect(&started.other);
    uint32_t call = send_request(&started.other, "call", -1, "[\"fake.wait\"]");
    uint32_t map = send_request(&started.other, "map", -1, "[\"fake.wait\", [1, 2]]");
    wait_part("list", "[{\"state\": \"running\"}]", "\"id\"=>");
    snprintf(id, sizeof id, "%lu", strtoul(strstr(started.peer.text, "\"id\"=>") + 6, NULL, 10));
    expect_part("status", with(id, ""), "\"attached\"=>true");
    expect_part("cancel", with(id, ", {\"signal\": \"KILLALL\"}"), "E_BAD_PARAMS");
    expect_part("cancel", with(id, ", {\"colour\": 1}"), "E_BAD_PARAMS");
    expect("cancel", with(id, ", {\"signal\": \"TERM\"}"), "true");
    assert_part(get_answer(&started.other, call), "E_CANCELLED");
    expect_part("status", with(id, ""), "E_NO_TASK");
    wait_part("list", "[]", "\"id\"=>");
    snprintf(id, sizeof id, "%lu", strtoul(strstr(started.peer.text, "\"id\"=>") + 6, NULL, 10));
    expect_part("status", with(id, ""), "\"attached\"=>true");
    expect("cancel", with(id, ""), "true");
    assert_part(get_answer(&started.other, map), "E_CANCELLED");
}

static void a_task_is_its_users_and_administrators_alone(void **state)
{
    char id[40];
    (void)state;
    if (geteuid() != 0) {
        start("", "workers = 1");
        return; /* only root can be somebody else */
    }
    start("socket_mode = 0666\ncancel_grace = 10ms", "workers = 1");
    snprintf(id, sizeof id, "%s", submit("[\"fake.wait\"]"));
    peer_connect_as(&started.other, 65534);
    static const char *const methods[] = {"status", "cancel", "wait", "result", "forget"};
    for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++)
        assert_part(get_answer(&started.other, send_request(&started.other, methods[i], -1, with(id, ""))), "E_DENIED");
    assert_string_equal(get_answer(&started.other, send_request(&started.other, "list", -1, "[]")), "[]");
    expect("cancel", with(id, ""), "true");
    uint32_t theirs = send_request(&started.other, "submit", -1, "[\"fake.echo\", [3]]");
    snprintf(id, sizeof id, "%s", get_answer(&started.other, theirs));
    expect_part("wait", with(id, ""), "\"uid\"=>65534");
    expect("result", with(id, ", 60000"), "[3]");
}

/* ---- processes ---- */

static const char *spawn(const char *params)
{
    static char id[40];
    const char *answer = ask("spawn", params), *at = strstr(answer, "\"id\"=>");
    if (!at)
        fail_msg("spawn: %s", answer);
    snprintf(id, sizeof id, "%lu", strtoul(at + 6, NULL, 10));
    return id;
}

static void a_process_runs_beside_the_workers_and_its_exit_is_a_result(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = spawn("[\"fake.end\", [5]]");
    expect_part("wait", with(id, ""), "5");
    id = spawn("[\"fake.end\", [0]]");
    expect_part("wait", with(id, ""), "done");
    id = spawn("[\"fake.end\", [-15]]");
    expect_part("wait", with(id, ""), "15");
    id = spawn("[\"fake.echo\", [1]]");
    expect("result", with(id, ", 60000"), "[1]");
}

static void a_process_is_signalled(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = spawn("[\"fake.hang\"]");
    expect_part("signal", with(id, ", \"NONE\""), "E_BAD_PARAMS");
    expect("signal", with(id, ", \"TERM\""), "true");
    expect_part("wait", with(id, ""), "15");
    expect("signal", with(id, ", 9"), "false");
}

static void a_daemonic_process_ends_with_its_client(void **state)
{
    char id[40];
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    peer_connect(&started.other);
    const char *answer = get_answer(&started.other, send_request(&started.other, "spawn", -1, "[\"fake.hang\"]"));
    const char *at = strstr(answer, "\"id\"=>");
    assert_non_null(at);
    snprintf(id, sizeof id, "%lu", strtoul(at + 6, NULL, 10));
    peer_close(&started.other);
    expect_part("wait", with(id, ""), "cancelled");
}

static void a_process_that_is_not_daemonic_stays(void **state)
{
    char id[40];
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    peer_connect(&started.other);
    const char *answer = get_answer(
        &started.other, send_request(&started.other, "spawn", -1, "[\"fake.hang\", [], {\"daemonic\": false}]"));
    const char *at = strstr(answer, "\"id\"=>");
    assert_non_null(at);
    snprintf(id, sizeof id, "%lu", strtoul(at + 6, NULL, 10));
    peer_close(&started.other);
    expect_part("wait", with(id, ", 50"), "E_NOT_READY");
    expect("cancel", with(id, ""), "true");
}

static void processes_have_a_cap(void **state)
{
    (void)state;
    start("cancel_grace = 10ms", "workers = 1\nmax_processes = 1");
    spawn("[\"fake.hang\"]");
    expect_part("spawn", "[\"fake.hang\"]", "E_BUSY");
    assert_part(started.peer.text, "max_processes");
}

static void the_output_of_a_process_goes_to_its_client(void **state)
{
    (void)state;
    start("", "workers = 1");
    const char *id = spawn("[\"fake.print\", [], {\"output\": true}]");
    expect("result", with(id, ", 60000"), "1");
    assert_part(started.peer.notes, "out");
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_job_is_waited_for_and_its_result_fetched),
        T(a_failed_job_keeps_its_error),
        T(a_wait_may_time_out),
        T(those_that_wait_for_a_job_are_answered_at_its_end_or_when_it_is_forgotten),
        T(a_client_that_leaves_takes_its_waits_with_it),
        T(a_result_lives_as_long_as_its_ttl),
        T(what_is_kept_has_a_cap),
        T(a_large_result_is_kept_and_fetched),
        T(a_list_is_filtered),
        T(jobs_that_nobody_knows_are_refused),
        T(an_attached_task_is_found_by_its_id),
        T(a_task_is_its_users_and_administrators_alone),
        T(a_process_runs_beside_the_workers_and_its_exit_is_a_result),
        T(a_process_is_signalled),
        T(a_daemonic_process_ends_with_its_client),
        T(a_process_that_is_not_daemonic_stays),
        T(processes_have_a_cap),
        T(the_output_of_a_process_goes_to_its_client),
    };
    int role = started_role(argc, argv, fake_forkserver);
    return role >= 0 ? role : cmocka_run_group_tests_name("supervisor/jobs", tests, NULL, NULL);
}
