/* Forkservers and workers that break, lie or fail: the supervisor believes none of them, says why, and serves on. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/supervisor/fake_processes.h"
#include "tests/unit/supervisor/started.h"

static void with_forkserver(const char *mode)
{
    char pool[200];
    snprintf(pool, sizeof pool, "workers = 1\nload_timeout = 5s\nenvironment = \"FAKE_FORKSERVER=%s\"", mode);
    start("", pool);
}

static void with_worker(const char *mode)
{
    char pool[200];
    snprintf(pool, sizeof pool, "workers = 1\nenvironment = FAKE_WORKER=%s", mode);
    start("", pool);
}

/* ---- the forkserver ---- */

/* The pool is down, says why, and a call is refused with the same sentence. */
static void assert_down(const char *why)
{
    wait_part("pools", "[]", why);
    expect_part("call", "[\"fake.echo\"]", "E_POOL_DOWN");
    assert_part(started.peer.text, why);
}

#define REFUSED(name, mode, why)                                                                                       \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        with_forkserver(mode);                                                                                         \
        wait_part("pools", "[]", why);                                                                                 \
    }

static void a_module_that_does_not_load_is_reported(void **state)
{
    (void)state;
    with_forkserver("refuse");
    assert_down("no module here");
}

REFUSED(a_forkserver_that_exits_is_reported, "exit", "exited with status 9")
REFUSED(a_forkserver_that_crashes_is_reported_with_the_module, "crash", "SIGSEGV while loading fake")
REFUSED(a_forkserver_that_closes_its_socket_is_killed, "close", "SIGKILL")
REFUSED(a_message_that_is_too_short_is_refused, "short", "violates the control protocol")
REFUSED(a_message_that_is_too_long_is_refused, "long", "cannot be received")
REFUSED(a_message_of_unknown_type_is_refused, "unknown", "violates the control protocol")
REFUSED(a_report_without_its_memfd_is_refused, "no report", "violates the control protocol")
REFUSED(a_report_that_is_no_value_is_refused, "no value", "report cannot be read")
REFUSED(a_report_of_two_values_is_refused, "two values", "report cannot be read")
REFUSED(a_report_that_is_no_list_is_refused, "no list", "report cannot be read")
REFUSED(a_report_without_modules_is_refused, "no module", "report cannot be read")
REFUSED(a_bad_name_of_a_module_is_refused, "bad module name", "report cannot be read")
REFUSED(a_report_without_functions_is_refused, "no function", "report cannot be read")
REFUSED(a_function_of_another_module_is_refused, "foreign function", "report cannot be read")
REFUSED(a_time_out_that_is_too_long_is_refused, "bad timeout", "report cannot be read")
REFUSED(a_birth_that_nobody_asked_for_is_refused, "liar", "nobody asked for")
REFUSED(a_process_that_is_not_ours_is_refused, "stranger", "nobody asked for")
REFUSED(the_forkserver_itself_is_no_worker, "itself", "nobody asked for")

static void a_forkserver_that_loads_too_long_is_ended(void **state)
{
    (void)state;
    start("", "load_timeout = 100ms\nenvironment = FAKE_FORKSERVER=slow");
    wait_part("pools", "[]", "load_timeout");
}

static void a_failed_fork_is_tried_again_and_then_reported(void **state)
{
    (void)state;
    with_forkserver("no forks");
    wait_part("pools", "[]", "cannot be forked: Resource temporarily unavailable");
}

/* It loads well each time: the pool would otherwise seem to be about to serve, and its tasks would wait without end. */
static void a_pool_whose_forkservers_break_at_every_fork_is_down(void **state)
{
    (void)state;
    start("", "workers = 1\nenvironment = FAKE_FORKSERVER=dead");
    expect_part("call", "[\"fake.echo\"]",
        "E_POOL_DOWN: pool default has no worker, and none could be started: its "
        "forkserver exited with status 5");
    wait_part("spawn", "[\"fake.echo\"]", "E_POOL_DOWN");
    reload_with("", "workers = 1");
    wait_part("call", "[\"fake.echo\", [1]]", "[1]");
}

static void a_forkserver_that_ends_after_births_is_replaced(void **state)
{
    (void)state;
    with_forkserver("one birth");
    wait_log("exited with status 4");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void what_a_forkserver_prints_and_logs_is_in_the_log(void **state)
{
    (void)state;
    start("", "workers = 1");
    wait_log("text=\"it loads\"");
    wait_log("text=\"loading\"");
}

/* ---- births ---- */

static void a_worker_that_exits_before_it_is_ready_is_blamed(void **state)
{
    (void)state;
    with_worker("exit");
    assert_down("a worker exited with status 7 before it was ready");
}

static void a_worker_that_is_killed_before_it_is_ready_is_blamed(void **state)
{
    (void)state;
    with_worker("kill");
    wait_part("pools", "[]", "SIGKILL before it was ready");
}

static void a_worker_whose_hook_fails_is_blamed(void **state)
{
    (void)state;
    with_worker("fail");
    assert_down("its hook has failed");
}

static void a_worker_that_does_not_get_ready_is_ended(void **state)
{
    (void)state;
    start("", "workers = 1\nload_timeout = 200ms\nenvironment = FAKE_WORKER=slow");
    wait_part("pools", "[]", "load_timeout");
}

/* ---- messages of workers ---- */

static void each_bad_message_costs_the_worker_its_life(void **state)
{
    char params[64];
    (void)state;
    start("", "workers = 1");
    for (unsigned i = 0; i < 15; i++) {
        snprintf(params, sizeof params, "[\"fake.bad_message\", [%u]]", i);
        uint32_t call = send_request(&started.peer, "call", -1, params);
        const char *answer = get_answer(&started.peer, call);
        if (!answer || strncmp(answer, "E_", 2) != 0)
            fail_msg("message %u: %s", i, answer);
        expect("call", "[\"fake.echo\", [1]]", "[1]");
    }
    wait_log("a malformed message");
    wait_log("a message of a kind that workers do not send");
    wait_log("a malformed result message");
    wait_log("more results than tasks");
    wait_log("a malformed output message");
    wait_log("a malformed log message");
    wait_log("ready twice");
}

/* ---- sizes ---- */

static void workers_grow_with_the_load_and_shrink_again(void **state)
{
    uint32_t ids[3];
    (void)state;
    start("cancel_grace = 10ms", "workers = 1..3\nidle_timeout = 20ms");
    for (unsigned i = 0; i < 3; i++)
        ids[i] = send_request(&started.peer, "call", -1, "[\"fake.wait\"]");
    wait_part("pools", "[]", "\"busy\"=>3");
    for (unsigned i = 0; i < 3; i++) {
        char params[64];
        snprintf(params, sizeof params, "[{\"msgid\": %u}]", ids[i]);
        send_request(&started.peer, "cancel", -1, params);
        assert_part(get_answer(&started.peer, ids[i]), "E_CANCELLED");
    }
    wait_part("pools", "[]", "\"workers\"=>1");
}

static void a_worker_is_replaced_after_max_tasks(void **state)
{
    (void)state;
    start("", "workers = 1\nmax_tasks = 2");
    for (unsigned i = 0; i < 5; i++)
        expect("call", "[\"fake.echo\", [1]]", "[1]");
    wait_part("workers", "[]", "\"generation\"=>3");
}

static void a_worker_above_max_memory_is_replaced(void **state)
{
    (void)state;
    start("", "workers = 1\nmax_memory = 4M");
    expect_part("hello", "[{\"memfd\": true}]", "pid");
    expect("call", "[\"fake.large\", [16777216]]", "nil");
    close(take_fd(&started.peer));
    wait_log("worker outgrown");
    wait_part("workers", "[]", "\"generation\"=>2");
}

static void a_worker_that_does_not_retire_is_killed(void **state)
{
    (void)state;
    start("", "workers = 1\nmax_tasks = 1\nenvironment = FAKE_WORKER=stay");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
    wait_log("signal=KILL");
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_module_that_does_not_load_is_reported),
        T(a_forkserver_that_exits_is_reported),
        T(a_forkserver_that_crashes_is_reported_with_the_module),
        T(a_forkserver_that_closes_its_socket_is_killed),
        T(a_message_that_is_too_short_is_refused),
        T(a_message_that_is_too_long_is_refused),
        T(a_message_of_unknown_type_is_refused),
        T(a_report_without_its_memfd_is_refused),
        T(a_report_that_is_no_value_is_refused),
        T(a_report_of_two_values_is_refused),
        T(a_report_that_is_no_list_is_refused),
        T(a_report_without_modules_is_refused),
        T(a_bad_name_of_a_module_is_refused),
        T(a_report_without_functions_is_refused),
        T(a_function_of_another_module_is_refused),
        T(a_time_out_that_is_too_long_is_refused),
        T(a_birth_that_nobody_asked_for_is_refused),
        T(a_process_that_is_not_ours_is_refused),
        T(the_forkserver_itself_is_no_worker),
        T(a_forkserver_that_loads_too_long_is_ended),
        T(a_failed_fork_is_tried_again_and_then_reported),
        T(a_pool_whose_forkservers_break_at_every_fork_is_down),
        T(a_forkserver_that_ends_after_births_is_replaced),
        T(what_a_forkserver_prints_and_logs_is_in_the_log),
        T(a_worker_that_exits_before_it_is_ready_is_blamed),
        T(a_worker_that_is_killed_before_it_is_ready_is_blamed),
        T(a_worker_whose_hook_fails_is_blamed),
        T(a_worker_that_does_not_get_ready_is_ended),
        T(each_bad_message_costs_the_worker_its_life),
        T(workers_grow_with_the_load_and_shrink_again),
        T(a_worker_is_replaced_after_max_tasks),
        T(a_worker_above_max_memory_is_replaced),
        T(a_worker_that_does_not_retire_is_killed),
    };
    int role = started_role(argc, argv, fake_forkserver);
    return role >= 0 ? role : cmocka_run_group_tests_name("supervisor/workers", tests, NULL, NULL);
}
