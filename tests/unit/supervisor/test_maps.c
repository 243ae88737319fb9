/* Maps: chunks, partial results, options, large items, and what becomes of a map whose worker or client is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/packet.h"
#include "tests/unit/supervisor/fake_processes.h"
#include "tests/unit/supervisor/started.h"

/* ["function", [0, 1, 2, …], options] */
static char *many(const char *function, unsigned count, const char *options)
{
    static char params[1u << 17];
    size_t n = (size_t)snprintf(params, sizeof params, "[\"%s\", [", function);
    for (unsigned i = 0; i < count; i++)
        n += (size_t)snprintf(params + n, sizeof params - n, "%s%u", i ? ", " : "", i);
    snprintf(params + n, sizeof params - n, "], %s]", options);
    return params;
}

static void assert_numbers(const char *list, unsigned count)
{
    char *at = (char *)(uintptr_t)list + 1;
    for (unsigned i = 0; i < count; i++, at += 2)
        assert_int_equal(strtoul(at, &at, 10), i);
}

/* ---- results ---- */

static void results_come_in_the_order_of_items(void **state)
{
    (void)state;
    start("", "workers = 2");
    expect("map", "[\"fake.echo\", []]", "[]");
    expect("map", "[\"fake.echo\", [7]]", "[7]");
    expect("map", many("fake.echo", 5, "{}"), "[0, 1, 2, 3, 4]");
    assert_numbers(ask("map", many("fake.echo", 2000, "{\"chunk\": 7}")), 2000);
}

static void what_a_worker_hands_back_runs_later(void **state)
{
    (void)state;
    start("", "workers = 2");
    assert_numbers(ask("map", many("fake.one", 50, "{\"chunk\": 10}")), 50);
}

static void star_hands_each_item_over_as_the_arguments(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("map", "[\"fake.echo\", [[1, 2], [3]], {\"star\": true}]", "[[1, 2], [3]]");
}

static void the_first_failure_ends_a_map_unless_each_is_wanted(void **state)
{
    (void)state;
    start("", "workers = 2");
    expect("map", many("fake.refuse", 3, "{}"), "E_FAILED: it is 0 (item 0)");
    expect(
        "map", many("fake.refuse", 3, "{\"each\": true}"), "[[[0, \"E_FAILED: it is 0\"], nil], [nil, 1], [nil, 2]]");
}

static void a_stream_sends_each_result_as_it_comes(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect("map", many("fake.echo", 3, "{\"stream\": true, \"chunk\": 1}"), "[3, 0]");
    assert_part(started.peer.notes, "0");
    assert_part(started.peer.notes, "2");
    started.peer.notes[0] = 0;
    expect("map", many("fake.refuse", 3, "{\"stream\": true}"), "[2, 1]");
    assert_part(started.peer.notes, "E_FAILED: it is 0");
    expect_part("map", many("fake.echo", 3, "{\"stream\": true, \"each\": true}"), "E_BAD_PARAMS");
}

static void items_may_come_in_a_memfd(void **state)
{
    (void)state;
    start("", "workers = 1");
    int fd = memfd_of_bytes("items", "\x93\x01\x02\x03", 4), bad = memfd_of_bytes("items", "\x93\x01\x02\xc1", 4);
    assert_string_equal(
        get_answer(&started.peer, send_request(&started.peer, "map", fd, "[\"fake.echo\", null, {\"args_memfd\": 4}]")),
        "[1, 2, 3]");
    assert_part(get_answer(&started.peer,
                    send_request(&started.peer, "map", bad, "[\"fake.echo\", null, {\"args_memfd\": 4}]")),
        "E_BAD_PARAMS");
    close(fd);
    close(bad);
}

static void a_large_item_is_handed_over_alone(void **state)
{
    static char params[1400000];
    size_t length = 600000;
    (void)state;
    start("max_output_bytes = 4M", "workers = 2");
    size_t n = (size_t)snprintf(params, sizeof params, "[\"fake.end\", [[7, \"");
    memset(params + n, 'x', length);
    n += length;
    n += (size_t)snprintf(params + n, sizeof params - n, "\"], [8, \"");
    memset(params + n, 'y', length);
    n += length;
    snprintf(params + n, sizeof params - n, "\"]], {\"star\": true, \"each\": true, \"chunk\": 1}]");
    expect_part("map", params, "E_LOST");
}

/* ---- deaths ---- */

static void finished_items_of_a_lost_chunk_keep_their_results(void **state)
{
    (void)state;
    start("", "workers = 1");
    /* The first item is published, the second gets the verdict and another attempt, alone. */
    assert_numbers(ask("map", many("fake.half", 4, "{\"chunk\": 4}")), 4);
    wait_log("signal=KILL");
}

static void an_item_that_kills_its_worker_fails_alone(void **state)
{
    (void)state;
    start("", "workers = 1");
    expect_part("map", many("fake.end", 2, "{\"each\": true}"), "E_LOST");
    expect_part("map", many("fake.end", 2, "{}"), "E_LOST");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void results_that_are_not_what_was_asked_for_end_their_worker(void **state)
{
    (void)state;
    start("", "workers = 1");
    static const char *const functions[] = {"fake.bad_value", "fake.bad_large", "fake.large"};
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++) {
        char params[100];
        snprintf(params, sizeof params, "[\"%s\", [1000000]]", functions[i]);
        expect_part("map", params, "E_LOST");
        snprintf(params, sizeof params, "[\"%s\", [1000000], {\"each\": true}]", functions[i]);
        expect_part("map", params, "E_LOST");
    }
    expect("map", "[\"fake.echo\", [1]]", "[1]");
}

static void a_map_that_nobody_waits_for_fails_in_silence(void **state)
{
    (void)state;
    start("cancel_grace = 20ms", "workers = 1");
    struct peer *p = &started.peer;
    /* [2, "map", ["fake.refuse", [0]]] and the same with fake.end */
    send_bytes(p,
        "\x93\x02\xa3"
        "map\x92\xab"
        "fake.refuse\x91\x00",
        21);
    send_bytes(p,
        "\x93\x02\xa3"
        "map\x92\xa8"
        "fake.end\x91\x07",
        18);
    expect("call", "[\"fake.echo\", [1]]", "[1]");
    wait_part("list", "[]", "[]");
    reload_with("", "workers = 1\nfunctions = fake.echo");
    wait_part("functions", "[]", "fake.echo");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

/* ---- ends ---- */

static void a_cancelled_map_ends_its_chunks(void **state)
{
    char params[64];
    (void)state;
    start("cancel_grace = 20ms", "workers = 1");
    uint32_t map = send_request(&started.peer, "map", -1, many("fake.wait", 3, "{\"chunk\": 1}"));
    wait_part("list", "[]", "running");
    snprintf(params, sizeof params, "[{\"msgid\": %u}]", map);
    send_request(&started.peer, "cancel", -1, params);
    assert_part(get_answer(&started.peer, map), "E_CANCELLED");
    expect("call", "[\"fake.echo\", [1]]", "[1]");
}

static void a_map_whose_client_is_gone_ends(void **state)
{
    (void)state;
    start("cancel_grace = 20ms", "workers = 1");
    peer_connect(&started.other);
    send_request(&started.other, "map", -1, many("fake.wait", 3, "{\"chunk\": 1}"));
    wait_part("list", "[]", "running");
    peer_close(&started.other);
    wait_part("list", "[]", "[]");
}

static void an_item_has_the_time_out(void **state)
{
    (void)state;
    start("cancel_grace = 10ms", "workers = 1");
    expect_part("map", many("fake.wait", 2, "{\"timeout_ms\": 50, \"each\": true, \"chunk\": 1}"), "E_TIMEOUT");
}

static void a_reload_that_drops_the_function_fails_the_map(void **state)
{
    (void)state;
    start("", "workers = 1");
    uint32_t map = send_request(&started.peer, "map", -1, many("fake.wait", 200, "{\"chunk\": 1}"));
    wait_part("list", "[]", "running");
    reload_with("", "workers = 1\nfunctions = fake.echo");
    assert_part(get_answer(&started.peer, map), "E_NO_FUNCTION");
    wait_part("functions", "[]", "fake.echo");
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(results_come_in_the_order_of_items),
        T(what_a_worker_hands_back_runs_later),
        T(star_hands_each_item_over_as_the_arguments),
        T(the_first_failure_ends_a_map_unless_each_is_wanted),
        T(a_stream_sends_each_result_as_it_comes),
        T(items_may_come_in_a_memfd),
        T(a_large_item_is_handed_over_alone),
        T(finished_items_of_a_lost_chunk_keep_their_results),
        T(an_item_that_kills_its_worker_fails_alone),
        T(results_that_are_not_what_was_asked_for_end_their_worker),
        T(a_map_that_nobody_waits_for_fails_in_silence),
        T(a_cancelled_map_ends_its_chunks),
        T(a_map_whose_client_is_gone_ends),
        T(an_item_has_the_time_out),
        T(a_reload_that_drops_the_function_fails_the_map),
    };
    int role = started_role(argc, argv, fake_forkserver);
    return role >= 0 ? role : cmocka_run_group_tests_name("supervisor/maps", tests, NULL, NULL);
}
