/* Requests, whatever they ask: what is malformed, what may not be, caps, and what the daemon says of itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/supervisor/fake_processes.h"
#include "tests/unit/supervisor/started.h"

/* ---- what the daemon says of itself ---- */

static void hello_describes_the_server(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("hello", "[]", "\"pid\"=>");
    expect_part("hello", "[{\"memfd\": false}]", "\"version\"");
    expect_part("hello", "[5]", "E_BAD_PARAMS");
    expect_part("hello", "[{\"memfd\": 7}]", "E_BAD_PARAMS");
    expect("ping", "[]", "\"pong\"");
}

static void functions_pools_and_workers_are_listed(void **state)
{
    (void)state;
    start("", "workers = 2\n[pool second]\nmodules = fake\nworkers = 1\nfunctions = fake.echo");
    wait_part("functions", "[]", "\"fake.limit\"");
    assert_part(started.peer.text, "has a time-out of 1 s");
    wait_part("pools", "[]", "\"second\"");
    wait_part("workers", "[]", "\"second\"");
    expect("call", "[\"fake.echo\", [1], {\"pool\": \"second\"}]", "[1]");
    expect_part("call", "[\"fake.refuse\", [1], {\"pool\": \"second\"}]", "E_NO_FUNCTION");
    expect_part("call", "[\"fake.echo\", [1], {\"pool\": \"third\"}]", "E_NO_POOL");
    expect_part("stats", "[]", "\"done\"=>1");
}

/* ---- what is malformed ---- */

static void a_wrong_method_or_number_of_parameters_is_refused(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("cal", "[]", "E_NO_METHOD");
    assert_part(started.peer.text, "call"); /* what may have been meant */
    expect_part("call", "[]", "E_BAD_PARAMS");
    expect_part("ping", "[1, 2, 3]", "E_BAD_PARAMS");
    expect_part("call", "[\"fake.ecko\"]", "E_NO_FUNCTION");
    assert_part(started.peer.text, "fake.echo");
    expect_part("call", "[\"other.echo\"]", "E_NO_FUNCTION");
    expect_part("call", "[\"\"]", "E_NO_FUNCTION");
    expect_part("call", "[5]", "E_BAD_PARAMS");
    expect_part("call", "[\"fake.echo\", 5]", "E_BAD_PARAMS");
    expect_part("call", "[\"fake.echo\", [], 5]", "E_BAD_PARAMS");
    expect_part("call", "[\"fake.echo\", [], {\"timeout_ms\": 0}]", "E_BAD_PARAMS");
    expect_part("call", "[\"fake.echo\", [], {\"ttl_s\": 1}]", "E_BAD_PARAMS");
    expect_part("call", "[\"fake.echo\", [], {\"stdin\": true}]", "E_BAD_PARAMS");
    expect_part("map", "[\"fake.echo\", 5]", "E_BAD_PARAMS");
    expect_part("map", "[\"fake.echo\", [1], {\"chunk\": 0}]", "E_BAD_PARAMS");
    expect_part("submit", "[\"fake.echo\", [], {\"output\": true}]", "E_BAD_PARAMS");
    expect_part("stats", "[1]", "E_BAD_PARAMS");
    expect("ping", "[]", "\"pong\"");
}

static void options_that_are_wrong_are_refused(void **state)
{
    char params[4000];
    (void)state;
    start("", "workers = 1");
    expect_part("submit", "[\"fake.echo\", [], {\"name\": 5}]", "option name: expected a string, got 5");
    expect_part("submit", "[\"fake.echo\", [], {\"nmae\": \"x\"}]", "name");
    expect_part("submit", "[\"fake.echo\", [], 5]", "options: expected a map, got 5");
    size_t n = (size_t)snprintf(params, sizeof params, "[\"fake.echo\", [], {\"k0\": 0");
    for (int i = 1; i < 200; i++)
        n += (size_t)snprintf(params + n, sizeof params - n, ", \"k%d\": 0", i);
    snprintf(params + n, sizeof params - n, "}]");
    expect_part("submit", params, "options: 200 keys are more than there are");
}

static void what_is_no_message_closes_the_connection(void **state)
{
    static const char *const bad[] = {"\xc1", "\x91\x05", "\x93\x07\x01\x90", "\x05", "\xa1x"};
    (void)state;
    start("", "workers = 1");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        peer_connect(&started.other);
        send_bytes(&started.other, bad[i], strlen(bad[i]));
        const char *answer = get_answer(&started.other, 1);
        if (answer)
            fail_msg("message %u was answered with %s", i, answer);
        peer_close(&started.other);
    }
    expect("ping", "[]", "\"pong\"");
}

static void a_notification_is_served_and_not_answered(void **state)
{
    static const uint8_t call[] = {0x93, 2, 0xa4, 'c', 'a', 'l', 'l', 0x91, 0xa3, 'a', '.', 'b'},
                         none[] = {0x93, 2, 0xa4, 'n', 'o', 'n', 'e', 0x90},
                         map[] = {0x93, 2, 0xa3, 'm', 'a', 'p', 0x92, 0xa9, 'f', 'a', 'k', 'e', '.', 'e', 'c', 'h', 'o',
                             0x92, 1, 2};
    (void)state;
    start("", "workers = 1");
    send_bytes(&started.peer, call, sizeof call);
    send_bytes(&started.peer, none, sizeof none);
    send_bytes(&started.peer, map, sizeof map);
    expect("ping", "[]", "\"pong\"");
    wait_part("stats", "[]", "\"items\"=>2");
    assert_string_equal(started.peer.notes, "");
}

static void a_message_has_a_cap_and_so_has_its_depth(void **state)
{
    static char params[100000];
    (void)state;
    start("max_message = 64K\nmax_depth = 8", "workers = 1");
    expect_part("call", "[\"fake.echo\", [[[[[[[[[[[[[1]]]]]]]]]]]]]]", "E_TOO_DEEP");
    peer_connect(&started.other);
    size_t n = (size_t)snprintf(params, sizeof params, "[\"fake.echo\", [\"");
    memset(params + n, 'x', 70000);
    snprintf(params + n + 70000, 10, "\"]]");
    const char *answer = get_answer(&started.other, send_request(&started.other, "call", -1, params));
    assert_part(answer, "E_TOO_BIG");
    assert_null(get_answer(&started.other, 1000));
}

/* ---- caps ---- */

static void requests_beyond_max_in_flight_wait(void **state)
{
    uint32_t ids[40];
    (void)state;
    start("max_in_flight = 4", "workers = 1");
    for (unsigned i = 0; i < 40; i++)
        ids[i] = send_request(&started.peer, "call", -1, "[\"fake.echo\", [1]]");
    for (unsigned i = 0; i < 40; i++)
        assert_string_equal(get_answer(&started.peer, ids[i]), "[1]");
}

static void connections_beyond_the_cap_are_told_so(void **state)
{
    struct peer more[4];
    unsigned refused = 0;
    (void)state;
    start("max_connections = 2", "workers = 1");
    for (unsigned i = 0; i < 4; i++) {
        peer_connect(&more[i]);
        const char *answer = get_answer(&more[i], send_request(&more[i], "ping", -1, "[]"));
        refused += !answer || strcmp(answer, "\"pong\"") != 0;
    }
    assert_true(refused >= 2);
    for (unsigned i = 0; i < 4; i++)
        peer_close(&more[i]);
    wait_part("stats", "[]", "connections_refused");
}

static void a_full_queue_makes_its_clients_wait(void **state)
{
    uint32_t ids[10];
    (void)state;
    start("", "workers = 1\nmax_queue = 2");
    for (unsigned i = 0; i < 10; i++)
        ids[i] = send_request(&started.peer, "call", -1, "[\"fake.echo\", [1]]");
    for (unsigned i = 0; i < 10; i++)
        assert_string_equal(get_answer(&started.peer, ids[i]), "[1]");
}

static void one_that_does_not_read_is_not_served_until_it_does(void **state)
{
    uint32_t ids[30];
    (void)state;
    start("max_output_bytes = 64K", "workers = 1");
    for (unsigned i = 0; i < 30; i++)
        ids[i] = send_request(&started.peer, "call", -1, "[\"fake.large\", [50000]]");
    peer_connect(&started.other);
    assert_string_equal(get_answer(&started.other, send_request(&started.other, "ping", -1, "[]")), "\"pong\"");
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(strlen(get_answer(&started.peer, ids[i])), 50000 - 5 + 2);
}

static void a_half_closed_connection_gets_its_answers(void **state)
{
    (void)state;
    start("", "workers = 1");
    peer_connect(&started.other);
    uint32_t id = send_request(&started.other, "call", -1, "[\"fake.echo\", [1]]");
    shutdown(started.other.fd, SHUT_WR);
    assert_string_equal(get_answer(&started.other, id), "[1]");
    assert_null(get_answer(&started.other, 1000));
}

static void a_message_that_stalls_costs_the_connection(void **state)
{
    (void)state;
    start("stall_timeout = 1s", "workers = 1");
    peer_connect(&started.other);
    send_bytes(&started.other, "\x94\x00", 2);
    assert_null(get_answer(&started.other, 1));
    wait_part("stats", "[]", "stall");
}

/* ---- tasks that ask ---- */

static void a_task_may_call_another_one_of_its_own_pool(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("call", "[\"fake.ask\", [\"fake.echo\", [42]]]", "42");
    wait_part("pools", "[]", "\"waiting\"=>0");
}

static void nesting_has_a_cap(void **state)
{
    (void)state;
    start("", "workers = 1\nmax_nested = 0");
    expect_part("call", "[\"fake.ask\", [\"fake.echo\", [42]]]", "E_BUSY");
}

/* ---- reload ---- */

static void a_reload_changes_pools_and_keeps_what_needs_a_restart(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
    reload_with("socket = /tmp/elsewhere\nsocket_mode = 0600", "workers = 2\n[pool more]\nmodules = fake\nworkers = 1");
    wait_part("pools", "[]", "\"more\"");
    wait_log("socket_mode has changed");
    wait_notice("READY=1");
    expect("call", "[\"fake.echo\", [1], {\"pool\": \"more\"}]", "[1]");
    reload_with("", "workers = 2");
    wait_log("pool=more is gone");
    expect_part("call", "[\"fake.echo\", [1], {\"pool\": \"more\"}]", "E_NO_POOL");
    wait_part("workers", "[]", "\"idle\"");
}

static void the_group_of_the_socket_needs_a_restart(void **state)
{
    (void)state;
    start("", "workers = 1");
    reload_with("socket_group = root\nsocket_mode = 0660", "workers = 1");
    wait_log("socket_group has changed");
    reload_with("", "workers = 1");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void the_watchdog_is_fed_from_the_loop(void **state)
{
    (void)state;
    setenv("WATCHDOG_USEC", "60000", 1);
    start("", "workers = 1");
    unsetenv("WATCHDOG_USEC");
    wait_notice("WATCHDOG=1");
    wait_notice("WATCHDOG=1");
}

static void a_reload_with_a_mistake_changes_nothing(void **state)
{
    (void)state;
    start("", "workers = 1");
    reload_with("max_depth = many", "workers = 5");
    wait_notice("RELOADING=1");
    wait_notice("READY=1");
    wait_log("reload refused");
    expect_part("pools", "[]", "\"max\"=>1");
}

static void a_forkserver_that_fails_in_a_reload_leaves_the_old_one(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
    reload_with("", "workers = 1\nenvironment = FAKE_FORKSERVER=refuse");
    wait_part("pools", "[]", "no module here");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(hello_describes_the_server),
        T(functions_pools_and_workers_are_listed),
        T(a_wrong_method_or_number_of_parameters_is_refused),
        T(options_that_are_wrong_are_refused),
        T(what_is_no_message_closes_the_connection),
        T(a_notification_is_served_and_not_answered),
        T(a_message_has_a_cap_and_so_has_its_depth),
        T(requests_beyond_max_in_flight_wait),
        T(connections_beyond_the_cap_are_told_so),
        T(a_full_queue_makes_its_clients_wait),
        T(one_that_does_not_read_is_not_served_until_it_does),
        T(a_half_closed_connection_gets_its_answers),
        T(a_message_that_stalls_costs_the_connection),
        T(a_task_may_call_another_one_of_its_own_pool),
        T(nesting_has_a_cap),
        T(a_reload_changes_pools_and_keeps_what_needs_a_restart),
        T(the_group_of_the_socket_needs_a_restart),
        T(the_watchdog_is_fed_from_the_loop),
        T(a_reload_with_a_mistake_changes_nothing),
        T(a_forkserver_that_fails_in_a_reload_leaves_the_old_one),
    };
    int role = started_role(argc, argv, fake_forkserver);
    return role >= 0 ? role : cmocka_run_group_tests_name("supervisor/requests", tests, NULL, NULL);
}
