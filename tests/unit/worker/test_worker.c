/* Forkservers and workers as they are: loading, running, telling, tidying up, and the ways in which a start fails. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/packet.h"
#include "daemon/worker/forkserver_main.h"
#include "tests/unit/supervisor/started.h"

#define LARGE (1u << 20)

static void start_with(const char *variable, const char *modules, const char *daemon, const char *pool)
{
    char lines[1000], path[600];
    const char *directory = getenv(variable);
    if (!directory)
        fail_msg("run this test with meson test, or set %s", variable);
    snprintf(path, sizeof path, "module_path = %s %s\n%s", directory, getenv("MPOOL_TEST_MODULES"), daemon);
    snprintf(lines, sizeof lines, "modules = %s\n%s", modules, pool);
    start(path, lines);
}

static void start_shipped(const char *pool)
{
    start_with("MPOOL_TEST_MODULES", "math sys exec", "", pool);
}

/* ---- functions ---- */

static void functions_of_modules_run(void **state)
{
    (void)state;
    start_shipped("workers = 2");
    expect("call", "[\"math.square\", [7]]", "49");
    expect("call", "[\"sys.echo\", [{\"a\": [1, null]}]]", "{\"a\"=>[1, nil]}");
    expect("map", "[\"math.square\", [1, 2, 3]]", "[1, 4, 9]");
    expect("map", "[\"math.add\", [[1, 2], [3, 4]], {\"star\": true, \"chunk\": 1}]", "[3, 7]");
    expect_part("call", "[\"math.square\", [\"x\"]]", "E_BAD_ARGS");
    expect("call", "[\"sys.fail\", [\"no\"]]", "E_FAILED: no");
    expect_part("functions", "[]", "\"math.is_prime\"");
}

static void large_arguments_and_results_pass(void **state)
{
    static char params[LARGE + 100];
    (void)state;
    start_shipped("workers = 1");
    size_t n = (size_t)snprintf(params, sizeof params, "[\"sys.noop\", [\"");
    memset(params + n, 'x', LARGE);
    snprintf(params + n + LARGE, 10, "\"]]");
    expect("call", params, "nil");
    expect_part("hello", "[{\"memfd\": true}]", "pid");
    expect("call", "[\"sys.blob\", [1048576]]", "nil");
    int fd = take_fd(&started.peer);
    assert_int_equal(memfd_check(fd, LARGE + 5), 0);
    close(fd);
}

static void a_command_reads_the_callers_descriptor(void **state)
{
    int pair[2];
    (void)state;
    start_shipped("workers = 1");
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(write(pair[1], "hello", 5), 5);
    close(pair[1]);
    uint32_t id = send_request(
        &started.peer, "call", pair[0], "[\"exec.run\", [[\"cat\"], {\"stdin\": true}], {\"stdin\": true}]");
    close(pair[0]);
    assert_part(get_answer(&started.peer, id), "\"status\"=>0");
    assert_part(started.peer.text, "hello");
}

static void what_a_function_prints_logs_and_reports_arrives(void **state)
{
    (void)state;
    start_shipped("workers = 1");
    expect("call", "[\"sys.print\", [\"printed\"], {\"output\": true}]", "nil");
    assert_part(started.peer.notes, "printed");
    expect("call", "[\"sys.output\", [\"given\"], {\"output\": true}]", "nil");
    assert_part(started.peer.notes, "given");
    expect("call", "[\"sys.log\", [\"a line\"]]", "nil");
    wait_log("a line");
    expect("call", "[\"sys.print\", [\"to the log\"]]", "nil");
    wait_log("text=\"to the log\"");
    expect_part("call", "[\"sys.progress\", [3]]", "");
}

static void a_cancelled_function_ends_itself(void **state)
{
    char params[64];
    (void)state;
    start_shipped("workers = 1");
    expect_part("call", "[\"sys.pid\"]", "");
    uint32_t call = send_request(&started.peer, "call", -1, "[\"sys.sleep\", [600]]");
    wait_part("list", "[]", "running");
    snprintf(params, sizeof params, "[{\"msgid\": %u}]", call);
    send_request(&started.peer, "cancel", -1, params);
    assert_part(get_answer(&started.peer, call), "E_CANCELLED");
    wait_part("workers", "[]", "\"generation\"=>1");
}

static void a_crash_is_judged_by_its_signal_or_status(void **state)
{
    (void)state;
    start_shipped("workers = 1");
    expect_part("call", "[\"sys.crash\"]", "SIGSEGV");
    expect_part("call", "[\"sys.crash\", [{\"exit\": 3}]]", "status 3");
    expect("call", "[\"math.square\", [7]]", "49");
}

static void a_retired_worker_and_a_reload_end_in_peace(void **state)
{
    (void)state;
    start_shipped("workers = 1\nmax_tasks = 2");
    for (unsigned i = 0; i < 4; i++)
        expect("call", "[\"math.square\", [7]]", "49");
    wait_log("worker ended pool=default worker=1");
}

/* ---- the world between tasks ---- */

static void what_a_task_leaves_is_undone_or_the_worker_replaced(void **state)
{
    static const char *const left[] = {"umask", "descriptor", "directory", "alarm", "interval", "timer", "blocked",
        "pending", "ignored", "soft limit", "hard limit", "nice", "variable", "no path", "locale", "zombie", "child",
        "output", "raw umask", "no death signal"};
    char clean[4096], params[64];
    (void)state;
    start_with("MPOOL_TEST_FAULTS", "world sys", "", "workers = 1");
    snprintf(clean, sizeof clean, "%s", ask("call", "[\"world.look\"]"));
    assert_part(clean, "umask");
    for (unsigned i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(params, sizeof params, "[\"world.leave\", [\"%s\"]]", left[i]);
        if (strncmp(ask("call", params), "E_", 2) == 0)
            fail_msg("%s: %s", left[i], started.peer.text);
        expect("call", "[\"sys.echo\", [1]]", "1");
    }
    wait_log("worker spoiled");
}

static void fork_handlers_of_libraries_run_in_each_birth(void **state)
{
    (void)state;
    start_with("MPOOL_TEST_FAULTS", "forker", "", "workers = 2");
    expect_part("call", "[\"forker.trace\"]", "child");
}

/* ---- rights ---- */

static void a_pool_runs_as_its_user(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        start_shipped("workers = 1");
        return; /* only root may switch */
    }
    start_with("MPOOL_TEST_MODULES", "exec", "socket_mode = 0666", "workers = 1\nuser = nobody\nnice = 5");
    expect_part("call", "[\"exec.run\", [\"id -u; nice\"]]", "65534\\x0a5");
}

/* ---- starts that fail ---- */

#define REFUSED(name, variable, modules, environment, why)                                                             \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        start_with(variable, modules, "", "workers = 1\nload_timeout = 1s\nenvironment = \"A=1\" " environment);       \
        wait_part("pools", "[]", why);                                                                                 \
    }

REFUSED(a_module_that_is_not_there_is_reported, "MPOOL_TEST_MODULES", "nowhere", "", "nowhere")
REFUSED(a_module_whose_hook_fails_is_reported, "MPOOL_TEST_FIXTURES", "table_init_fails", "", "table_init_fails")
REFUSED(a_module_that_crashes_is_named, "MPOOL_TEST_FAULTS", "badload", "", "while loading badload")
REFUSED(a_module_that_hangs_is_named, "MPOOL_TEST_FAULTS", "badload", "BADLOAD=hang", "load_timeout")
REFUSED(a_module_of_another_version_is_refused, "MPOOL_TEST_FIXTURES", "table_other_major", "", "table_other_major")

static void with_bad_init(const char *how)
{
    char lines[300], path[] = "/tmp/mpool-badinit-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, how, strlen(how)), (ssize_t)strlen(how));
    close(fd);
    assert_int_equal(chmod(path, 0644), 0);
    snprintf(lines, sizeof lines, "workers = 1\nload_timeout = 2s\nenvironment = BADINIT=%s", path);
    start_with("MPOOL_TEST_FAULTS", "badinit", "", lines);
    wait_part("pools", "[]",
        strcmp(how, "exit") == 0   ? "exited with status 3"
        : strcmp(how, "fork") == 0 ? "exited with status 0"
                                   : "the licence server is down");
    unlink(path);
    /* What kept its workers from starting is gone. */
    expect("call", "[\"badinit.fine\"]", "true");
}

static void a_worker_whose_hook_fails_is_tried_again(void **state)
{
    (void)state;
    with_bad_init("fail");
}

static void a_worker_whose_hook_exits_is_tried_again(void **state)
{
    (void)state;
    with_bad_init("exit");
}

static void a_child_of_a_hook_is_not_the_worker(void **state)
{
    (void)state;
    with_bad_init("fork");
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(functions_of_modules_run),
        T(large_arguments_and_results_pass),
        T(a_command_reads_the_callers_descriptor),
        T(what_a_function_prints_logs_and_reports_arrives),
        T(a_cancelled_function_ends_itself),
        T(a_crash_is_judged_by_its_signal_or_status),
        T(a_retired_worker_and_a_reload_end_in_peace),
        T(what_a_task_leaves_is_undone_or_the_worker_replaced),
        T(fork_handlers_of_libraries_run_in_each_birth),
        T(a_pool_runs_as_its_user),
        T(a_module_that_is_not_there_is_reported),
        T(a_module_whose_hook_fails_is_reported),
        T(a_module_that_crashes_is_named),
        T(a_module_that_hangs_is_named),
        T(a_module_of_another_version_is_refused),
        T(a_worker_whose_hook_fails_is_tried_again),
        T(a_worker_whose_hook_exits_is_tried_again),
        T(a_child_of_a_hook_is_not_the_worker),
    };
    int role = started_role(argc, argv, forkserver_main);
    return role >= 0 ? role : cmocka_run_group_tests_name("worker/worker", tests, NULL, NULL);
}
