/* Shared objects and queues: names, rights, caps, what is held by clients that end, and who waits for what. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/packet.h"
#include "tests/unit/supervisor/fake_processes.h"
#include "tests/unit/supervisor/started.h"

/* Opens it by that peer. → the use's id, as text. */
static const char *open_by(struct peer *p, const char *params, char id[24])
{
    const char *answer = get_answer(p, send_request(p, "open", -1, params));
    const char *at = strstr(answer, "\"id\"=>");
    if (!at)
        fail_msg("open %s: %s", params, answer);
    snprintf(id, 24, "%lu", strtoul(at + 6, NULL, 10));
    return answer;
}

static const char *with(const char *id, const char *more)
{
    static char params[400];
    snprintf(params, sizeof params, "[%s%s]", id, more);
    return params;
}

static void start_with_memfds(const char *daemon)
{
    start(daemon, "workers = 1");
    expect_part("hello", "[{\"memfd\": true}]", "pid");
}

/* ---- names ---- */

static void an_object_is_found_by_its_name_and_its_handle(void **state)
{
    char first[24], second[24], handle[80], params[120];
    (void)state;
    start("", "workers = 1");
    const char *answer = open_by(&started.peer, "[\"queue\", \"jobs\"]", first);
    assert_part(answer, "\"created\"=>true");
    const char *at = strstr(answer, "\"handle\"=>\"");
    assert_non_null(at);
    snprintf(handle, sizeof handle, "%.*s", (int)strcspn(at + 11, "\""), at + 11);
    peer_connect(&started.other);
    assert_part(open_by(&started.other, "[\"queue\", \"jobs\"]", second), "\"created\"=>false");
    snprintf(params, sizeof params, "[null, \"%s\"]", handle);
    snprintf(params, sizeof params, "[\"queue\", \"%s\"]", handle);
    open_by(&started.other, params, second);
    expect_part("inspect", "[\"jobs\"]", "queue");
    expect_part("objects", "[]", "\"jobs\"");
    expect_part("objects", "[{\"kind\": \"lock\"}]", "[]");
    expect_part("open", "[\"lock\", \"jobs\"]", "E_EXISTS");
    expect_part("open", "[\"queue\", \"jobs\", {\"create\": \"new\"}]", "E_EXISTS");
    expect_part("open", "[\"queue\", \"none\", {\"create\": \"no\"}]", "E_NO_OBJECT");
    expect("remove", "[\"jobs\"]", "true");
    expect_part("remove", "[\"jobs\"]", "E_NO_OBJECT");
    expect("close", with(first, ""), "true");
    expect("close", with(first, ""), "false");
}

static void names_and_options_are_checked(void **state)
{
    static const char *const bad[] = {"[\"lock\", \"two words\"]", "[\"lock\", \"\"]", "[\"mutex\"]", "[1]",
        "[\"lock\", 1]", "[\"lock\", null, {\"colour\": 1}]", "[\"lock\", null, {\"capacity\": 1}]",
        "[\"queue\", null, {\"capacity\": -1}]", "[\"array\", null, {\"type\": \"u7\", \"count\": 1}]",
        "[\"value\", null, {\"type\": \"u8\", \"value\": 256}]", "[\"barrier\"]",
        "[\"barrier\", null, {\"parties\": 0}]", "[\"bounded_semaphore\", null, {\"value\": -1}]",
        "[\"lock\", \"queue:1:0123456789abcdef\"]", "[\"lock\", null, {\"mode\": 511}]",
        "[\"lock\", null, {\"create\": \"maybe\"}]", "[\"lock\", null, 5]"};
    (void)state;
    start_with_memfds("");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *answer = ask("open", bad[i]);
        if (strncmp(answer, "E_", 2) != 0)
            fail_msg("open %s: %s", bad[i], answer);
    }
    expect("objects", "[]", "[]");
}

static void an_object_without_a_name_ends_with_its_last_use(void **state)
{
    char id[24];
    (void)state;
    start_with_memfds("");
    open_by(&started.peer, "[\"event\", null, {\"set\": true}]", id);
    close(take_fd(&started.peer));
    expect_part("objects", "[]", "event");
    expect("close", with(id, ""), "true");
    expect("objects", "[]", "[]");
}

static void an_unused_object_ends_after_its_ttl(void **state)
{
    char id[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"ttl_s\": 1}]", id);
    expect("close", with(id, ""), "true");
    wait_part("objects", "[]", "[]");
}

/* ---- pages ---- */

static void each_kind_with_a_page_brings_its_memory(void **state)
{
    static const char *const kinds[] = {"[\"lock\", \"a\"]", "[\"rlock\", \"b\"]",
        "[\"semaphore\", \"c\", {\"value\": 3}]", "[\"bounded_semaphore\", \"d\", {\"value\": 2}]",
        "[\"condition\", \"e\"]", "[\"event\", \"f\"]", "[\"barrier\", \"g\", {\"parties\": 2}]",
        "[\"value\", \"h\", {\"type\": \"f64\", \"value\": 1.5}]",
        "[\"array\", \"i\", {\"type\": \"i32\", \"count\": 1000}]"};
    char id[24];
    (void)state;
    start_with_memfds("");
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[8];
        snprintf(name, sizeof name, "[\"%c\"]", 'a' + (int)i);
        open_by(&started.peer, kinds[i], id);
        int fd = take_fd(&started.peer);
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(page, MAP_FAILED);
        munmap(page, 4096);
        close(fd);
        expect_part("inspect", name, "\"clients\"");
        expect("close", with(id, ""), "true");
        expect("remove", name, "true");
    }
}

static void a_value_has_the_bounds_of_its_type(void **state)
{
    static const struct {
        const char *type, *fits, *does_not;
    } types[] = {{"i8", "-128", "128"}, {"u8", "255", "-1"}, {"i16", "-32768", "32768"}, {"u16", "65535", "65536"},
        {"i32", "-2147483648", "2147483648"}, {"u32", "4294967295", "-1"}, {"i64", "-9223372036854775807", "1.5"},
        {"f32", "1.5", "\"x\""}, {"f64", "1e300", "\"y\""}};
    char id[24], params[100];
    (void)state;
    start_with_memfds("");
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(params, sizeof params, "[\"value\", null, {\"type\": \"%s\", \"value\": %s}]", types[i].type,
            types[i].does_not);
        expect_part("open", params, "E_BAD_PARAMS");
        snprintf(params, sizeof params, "[\"value\", null, {\"type\": \"%s\", \"value\": %s}]", types[i].type,
            types[i].fits);
        open_by(&started.peer, params, id);
        close(take_fd(&started.peer));
    }
    expect_part("objects", "[]", "value");
}

static void a_read_only_use_cannot_write(void **state)
{
    char id[24];
    (void)state;
    start_with_memfds("");
    open_by(&started.peer, "[\"array\", \"i\", {\"type\": \"u8\", \"count\": 8, \"read_only\": true}]", id);
    int fd = take_fd(&started.peer);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    close(fd);
}

static void options_belong_to_their_kind(void **state)
{
    static const struct {
        const char *params, *says;
    } bad[] = {
        {"[null, null]", "kind: a new object has to be of some kind"},
        {"[\"value\", null, {\"type\": \"bytes\"}]", "bytes are for arrays"},
        {"[\"array\", null, {\"type\": \"u8\"}]", "an array needs it"},
        {"[\"barrier\"]", "a barrier needs it"},
        {"[\"lock\", null, {\"read_only\": true}]", "read_only is for values and arrays"},
        {"[\"lock\", null, {\"ttl_s\": \"x\"}]", "E_BAD_PARAMS"},
    };
    (void)state;
    start("", "workers = 1");
    expect_part("open", "[\"lock\"]", "say hello({memfd: true}) first");
    expect_part("hello", "[{\"memfd\": true}]", "pid");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_part("open", bad[i].params, bad[i].says);
    expect("objects", "[]", "[]");
}

static void one_that_is_there_must_be_as_the_options_say(void **state)
{
    static const struct {
        const char *made, *same, *other;
    } kinds[] = {
        {"[\"value\", \"o\", {\"type\": \"i32\"}]", "[\"value\", \"o\", {\"type\": \"i32\"}]",
            "[\"value\", \"o\", {\"type\": \"f64\"}]"},
        {"[\"array\", \"o\", {\"type\": \"u8\", \"count\": 8}]", "[\"array\", \"o\", {\"count\": 8}]",
            "[\"array\", \"o\", {\"count\": 9}]"},
        {"[\"barrier\", \"o\", {\"parties\": 2}]", "[\"barrier\", \"o\"]", "[\"barrier\", \"o\", {\"parties\": 3}]"},
        {"[\"bounded_semaphore\", \"o\", {\"value\": 2}]", "[\"bounded_semaphore\", \"o\", {\"value\": 2}]",
            "[\"bounded_semaphore\", \"o\", {\"value\": 3}]"},
        {"[\"queue\", \"o\", {\"capacity\": 2}]", "[\"queue\", \"o\", {\"capacity\": 2}]",
            "[\"queue\", \"o\", {\"capacity\": 3}]"},
        {"[\"queue\", \"o\", {\"size\": 2000}]", "[\"queue\", \"o\"]", "[\"queue\", \"o\", {\"size\": 3000}]"},
    };
    (void)state;
    start_with_memfds("");
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char id[24];
        open_by(&started.peer, kinds[i].made, id);
        open_by(&started.peer, kinds[i].same, id);
        expect_part("open", kinds[i].other, "E_EXISTS");
        expect("remove", "[\"o\"]", "true");
    }
    while (started.peer.fd_count > 0)
        close(take_fd(&started.peer));
}

/* An array of MessagePack has three heads, by the number of its items. */
static void a_get_takes_any_number_of_items(void **state)
{
    static const unsigned numbers[] = {15, 16, 65535, 65536};
    static char params[1u << 18];
    char q[24], more[40];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"capacity\": 100000}]", q);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        size_t n = (size_t)snprintf(params, sizeof params, "[%s, [", q);
        for (unsigned j = 0; j < numbers[i]; j++)
            n += (size_t)snprintf(params + n, sizeof params - n, "%s7", j ? "," : "");
        snprintf(params + n, sizeof params - n, "]]");
        snprintf(more, sizeof more, "%u", numbers[i]);
        expect("put", params, more);
        snprintf(more, sizeof more, ", %u", numbers[i]);
        expect_part("get", with(q, more), numbers[i] < 20000 ? "[7, 7, 7" : "");
        expect_part("inspect", "[\"q\"]", "\"items\"=>0");
    }
}

static void a_user_has_a_cap_of_objects_and_bytes(void **state)
{
    char id[24];
    (void)state;
    start_with_memfds("max_user_objects = 2\nmax_user_object_bytes = 1M\nmax_open_objects = 3");
    expect_part("open", "[\"array\", \"i\", {\"type\": \"u8\", \"count\": 10000000}]", "max_user_object_bytes");
    open_by(&started.peer, "[\"queue\", \"a\"]", id);
    open_by(&started.peer, "[\"queue\", \"b\"]", id);
    expect_part("open", "[\"queue\", \"c\"]", "max_user_objects");
    open_by(&started.peer, "[\"queue\", \"b\"]", id);
    expect_part("open", "[\"queue\", \"b\"]", "max_open_objects");
}

/* ---- queues ---- */

static void items_come_out_in_the_order_in_which_they_went_in(void **state)
{
    char q[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    expect("put", with(q, ", [1, \"two\", [3]]"), "3");
    expect("get", with(q, ""), "[1]");
    expect("get", with(q, ", 10"), "[\"two\", [3]]");
    expect_part("get", with(q, ", 1, 0"), "E_NOT_READY");
    expect_part("inspect", "[\"q\"]", "\"items\"=>0");
}

static void a_get_waits_for_a_put_and_a_put_for_room(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"capacity\": 2}]", q);
    peer_connect(&started.other);
    open_by(&started.other, "[\"queue\", \"q\"]", other);
    uint32_t get = send_request(&started.other, "get", -1, with(other, ""));
    wait_part("inspect", "[\"q\"]", "\"getters\"=>1");
    expect("put", with(q, ", [1]"), "1");
    assert_string_equal(get_answer(&started.other, get), "[1]");
    expect("put", with(q, ", [1, 2, 3], 20"), "2");
    uint32_t put = send_request(&started.other, "put", -1, with(other, ", [7]"));
    expect("get", with(q, ", 1"), "[1]");
    assert_string_equal(get_answer(&started.other, put), "1");
    expect("get", with(q, ", 5"), "[2, 7]");
}

static void waits_time_out_and_end_with_their_client(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"capacity\": 1}]", q);
    expect_part("get", with(q, ", 1, 20"), "E_NOT_READY");
    expect("put", with(q, ", [1]"), "1");
    expect_part("put", with(q, ", [2], 20"), "E_NOT_READY");
    expect_part("put", with(q, ", [2], 0"), "E_NOT_READY");
    peer_connect(&started.other);
    open_by(&started.other, "[\"queue\", \"q\"]", other);
    send_request(&started.other, "put", -1, with(other, ", [2]"));
    wait_part("inspect", "[\"q\"]", "\"putters\"=>1");
    peer_close(&started.other);
    wait_part("inspect", "[\"q\"]", "\"putters\"=>0");
    expect("get", with(q, ", 5"), "[1]");
    expect_part("get", with(q, ", 1, 20"), "E_NOT_READY");
}

static void what_a_consumer_has_not_confirmed_comes_back_when_it_ends(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"at_least_once\": true}]", q);
    expect("put", with(q, ", [1, 2]"), "2");
    peer_connect(&started.other);
    open_by(&started.other, "[\"queue\", \"q\"]", other);
    assert_part(get_answer(&started.other, send_request(&started.other, "get", -1, with(other, ", 2"))), "1");
    expect_part("get", with(q, ", 1, 0"), "E_NOT_READY");
    peer_close(&started.other);
    expect_part("get", with(q, ", 2, 10000"), "1");
}

static void an_item_is_confirmed_or_given_back(void **state)
{
    char q[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"at_least_once\": true}]", q);
    expect("put", with(q, ", [\"a\"]"), "1");
    const char *answer = ask("get", with(q, ", 1"));
    const char *at = strpbrk(answer, "0123456789");
    assert_non_null(at);
    char more[64];
    snprintf(more, sizeof more, ", [%lu], false", strtoul(at, NULL, 10));
    expect("confirm", with(q, more), "1");
    answer = ask("get", with(q, ", 1, 1000"));
    at = strpbrk(answer, "0123456789");
    assert_non_null(at);
    snprintf(more, sizeof more, ", [%lu]", strtoul(at, NULL, 10));
    expect("confirm", with(q, more), "1");
    expect_part("confirm", with(q, more), "0");
    expect_part("get", with(q, ", 1, 0"), "E_NOT_READY");
}

static void join_waits_until_all_items_are_done(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"joinable_queue\", \"q\"]", q);
    expect("join", with(q, ""), "true");
    expect("put", with(q, ", [1, 2]"), "2");
    expect_part("join", with(q, ", 20"), "E_NOT_READY");
    peer_connect(&started.other);
    open_by(&started.other, "[\"joinable_queue\", \"q\"]", other);
    uint32_t join = send_request(&started.other, "join", -1, with(other, ""));
    expect("get", with(q, ", 2"), "[1, 2]");
    expect("done", with(q, ""), "true");
    expect("done", with(q, ", 1"), "true");
    assert_string_equal(get_answer(&started.other, join), "true");
    expect_part("done", with(q, ", 1"), "E_BAD_PARAMS");
}

static void a_finished_queue_gives_the_rest_and_then_its_end(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    peer_connect(&started.other);
    open_by(&started.other, "[\"queue\", \"q\"]", other);
    expect("put", with(q, ", [1]"), "1");
    expect("finish", with(q, ""), "true");
    expect("finish", with(q, ""), "false");
    expect_part("put", with(q, ", [1]"), "E_FINISHED");
    expect("get", with(q, ", 5"), "[1]");
    expect("get", with(q, ", 5"), "[]");
    assert_string_equal(get_answer(&started.other, send_request(&started.other, "get", -1, with(other, ""))), "[]");
}

static void a_get_takes_as_many_as_it_may_whatever_it_asks_for(void **state)
{
    char q[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    static const char *const most[] = {", 3", ", 100", ", 100000"};
    for (unsigned i = 0; i < 3; i++) {
        expect("put", with(q, ", [1, 2, 3]"), "3");
        expect("get", with(q, most[i]), "[1, 2, 3]");
    }
}

static void cancel(struct peer *p, uint32_t msgid)
{
    char params[40];
    snprintf(params, sizeof params, "[{\"msgid\": %u}]", msgid);
    send_request(p, "cancel", -1, params);
}

static void a_request_that_waits_is_cancelled_by_its_msgid(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"capacity\": 2}]", q);
    peer_connect(&started.other);
    open_by(&started.other, "[\"queue\", \"q\"]", other);
    uint32_t get = send_request(&started.other, "get", -1, with(other, ""));
    wait_part("inspect", "[\"q\"]", "\"getters\"=>1");
    cancel(&started.other, get);
    assert_part(get_answer(&started.other, get), "E_CANCELLED");
    uint32_t put = send_request(&started.other, "put", -1, with(other, ", [1, 2, 3]"));
    wait_part("inspect", "[\"q\"]", "\"putters\"=>1");
    cancel(&started.other, put);
    assert_string_equal(get_answer(&started.other, put), "2"); /* what is in is in */
    expect("get", with(q, ", 5"), "[1, 2]");
}

static void a_finish_ends_what_waits(void **state)
{
    char q[24], other[24];
    (void)state;
    start("", "workers = 1");
    peer_connect(&started.other);
    open_by(&started.peer, "[\"queue\", \"a\"]", q);
    open_by(&started.other, "[\"queue\", \"a\"]", other);
    uint32_t get = send_request(&started.other, "get", -1, with(other, ""));
    wait_part("inspect", "[\"a\"]", "\"getters\"=>1");
    expect("finish", with(q, ""), "true");
    assert_string_equal(get_answer(&started.other, get), "[]");
    open_by(&started.peer, "[\"queue\", \"b\", {\"capacity\": 1}]", q);
    open_by(&started.other, "[\"queue\", \"b\"]", other);
    expect("put", with(q, ", [1]"), "1");
    uint32_t put = send_request(&started.other, "put", -1, with(other, ", [2]"));
    wait_part("inspect", "[\"b\"]", "\"putters\"=>1");
    expect("finish", with(q, ""), "true");
    assert_part(get_answer(&started.other, put), "E_FINISHED");
    expect("get", with(q, ", 5"), "[1]");
}

static void a_pipe_has_two_ends(void **state)
{
    char one[24], two[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"pipe\", \"p\", {\"duplex\": true, \"end\": 0}]", one);
    peer_connect(&started.other);
    open_by(&started.other, "[\"pipe\", \"p\", {\"end\": 1}]", two);
    expect("put", with(one, ", [\"to two\"]"), "1");
    assert_string_equal(
        get_answer(&started.other, send_request(&started.other, "get", -1, with(two, ""))), "[\"to two\"]");
    assert_string_equal(
        get_answer(&started.other, send_request(&started.other, "put", -1, with(two, ", [\"to one\"]"))), "1");
    expect("get", with(one, ""), "[\"to one\"]");
    peer_close(&started.other);
    expect("get", with(one, ""), "[]");
    expect_part("put", with(one, ", [1]"), "E_FINISHED");
}

static void a_large_item_is_a_memfd_all_the_way(void **state)
{
    static uint8_t bytes[1u << 20];
    char q[24];
    (void)state;
    start("", "workers = 1");
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "\x91\xc6\x00\x0f\xff\xfa", 6);
    expect_part("hello", "[{\"memfd\": true}]", "pid");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    int fd = memfd_of_bytes("item", bytes, sizeof bytes);
    assert_string_equal(
        get_answer(&started.peer, send_request(&started.peer, "put", fd, with(q, ", null, null, 1048576"))), "1");
    close(fd);
    expect_part("get", with(q, ", 1"), "");
    close(take_fd(&started.peer));
    fd = memfd_of_bytes("item", bytes, sizeof bytes);
    assert_part(get_answer(&started.peer, send_request(&started.peer, "put", fd, with(q, ", null, null, 100"))),
        "E_BAD_PARAMS");
    close(fd);
}

static void requests_for_queues_are_checked(void **state)
{
    char q[24], event[24];
    (void)state;
    start_with_memfds("");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    open_by(&started.peer, "[\"event\"]", event);
    close(take_fd(&started.peer));
    expect_part("put", "[4711, [1]]", "E_NO_OBJECT");
    expect_part("put", with(event, ", [1]"), "E_BAD_PARAMS");
    expect_part("put", with(q, ", 1"), "E_BAD_PARAMS");
    expect_part("put", with(q, ", [1], -1"), "E_BAD_PARAMS");
    expect_part("get", with(q, ", 0"), "E_BAD_PARAMS");
    expect_part("get", with(q, ", \"x\""), "E_BAD_PARAMS");
    expect_part("done", with(q, ""), "E_DENIED");
    expect_part("join", with(q, ""), "E_DENIED");
    expect_part("confirm", with(q, ", [1]"), "E_DENIED");
    expect_part("finish", "[\"q\"]", "E_BAD_PARAMS");
    expect("put", with(q, ", []"), "0");
}

static void an_object_is_its_users_groups_or_everybodys_by_its_mode(void **state)
{
    char id[24];
    (void)state;
    if (geteuid() != 0) {
        start("", "workers = 1");
        return; /* only root can be somebody else */
    }
    start("socket_mode = 0666", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"mine\"]", id);
    open_by(&started.peer, "[\"queue\", \"readable\", {\"mode\": 420}]", id); /* 0644 */
    open_by(&started.peer, "[\"queue\", \"all\", {\"mode\": 438}]", id);      /* 0666 */
    peer_connect_as(&started.other, 65534);
    assert_part(
        get_answer(&started.other, send_request(&started.other, "open", -1, "[\"queue\", \"mine\"]")), "E_DENIED");
    assert_part(
        get_answer(&started.other, send_request(&started.other, "open", -1, "[\"queue\", \"readable\"]")), "E_DENIED");
    open_by(&started.other, "[\"queue\", \"all\"]", id);
    assert_part(get_answer(&started.other, send_request(&started.other, "remove", -1, "[\"all\"]")), "E_DENIED");
    assert_part(get_answer(&started.other, send_request(&started.other, "inspect", -1, "[\"mine\"]")), "E_DENIED");
}

static void items_that_fit_nowhere_are_refused(void **state)
{
    static char params[200000];
    char q[24];
    (void)state;
    start("max_message = 256K", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\", {\"size\": 1000}]", q);
    size_t n = (size_t)snprintf(params, sizeof params, "[%s, [\"", q);
    memset(params + n, 'x', 100000);
    snprintf(params + n + 100000, 10, "\"]]");
    expect_part("put", params, "E_TOO_BIG");
    expect_part("inspect", "[\"q\"]", "\"items\"=>0");
}

static void large_items_wait_for_room_and_their_consumer(void **state)
{
    static uint8_t bytes[1u << 20];
    char q[24], other[24];
    (void)state;
    start_with_memfds("");
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "\x91\xc6\x00\x0f\xff\xfa", 6);
    open_by(&started.peer, "[\"queue\", \"q\", {\"capacity\": 1}]", q);
    peer_connect(&started.other); /* it takes no memfds */
    open_by(&started.other, "[\"queue\", \"q\"]", other);
    int fd = memfd_of_bytes("item", bytes, sizeof bytes);
    assert_string_equal(
        get_answer(&started.peer, send_request(&started.peer, "put", fd, with(q, ", null, null, 1048576"))), "1");
    assert_part(get_answer(&started.peer, send_request(&started.peer, "put", fd, with(q, ", null, 20, 1048576"))),
        "E_NOT_READY");
    uint32_t put = send_request(&started.peer, "put", fd, with(q, ", null, null, 1048576"));
    wait_part("inspect", "[\"q\"]", "\"items\"=>1");
    assert_part(
        get_answer(&started.other, send_request(&started.other, "get", -1, with(other, ""))), "E_RESULT_TOO_BIG");
    send_request(&started.peer, "get", -1, with(q, ""));
    assert_string_equal(get_answer(&started.peer, put), "1"); /* there is room now */
    close(fd);
}

static void those_that_wait_are_answered_when_the_use_is_closed_or_the_daemon_stops(void **state)
{
    char q[24];
    (void)state;
    start("", "workers = 1");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    uint32_t get = send_request(&started.peer, "get", -1, with(q, ""));
    send_request(&started.peer, "close", -1, with(q, ""));
    assert_part(get_answer(&started.peer, get), "E_CANCELLED");
    open_by(&started.peer, "[\"queue\", \"q\"]", q);
    get = send_request(&started.peer, "get", -1, with(q, ", 1, 60000"));
    uint32_t ping = send_request(&started.peer, "ping", -1, "[]");
    assert_string_equal(get_answer(&started.peer, ping), "\"pong\"");
    kill(started.pid, SIGTERM);
    assert_null(get_answer(&started.peer, get));
}

#define T(test) cmocka_unit_test_teardown(test, stop_it)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(an_object_is_found_by_its_name_and_its_handle),
        T(names_and_options_are_checked),
        T(an_object_without_a_name_ends_with_its_last_use),
        T(an_unused_object_ends_after_its_ttl),
        T(each_kind_with_a_page_brings_its_memory),
        T(a_value_has_the_bounds_of_its_type),
        T(a_read_only_use_cannot_write),
        T(options_belong_to_their_kind),
        T(one_that_is_there_must_be_as_the_options_say),
        T(a_get_takes_any_number_of_items),
        T(a_user_has_a_cap_of_objects_and_bytes),
        T(items_come_out_in_the_order_in_which_they_went_in),
        T(a_get_waits_for_a_put_and_a_put_for_room),
        T(waits_time_out_and_end_with_their_client),
        T(what_a_consumer_has_not_confirmed_comes_back_when_it_ends),
        T(an_item_is_confirmed_or_given_back),
        T(join_waits_until_all_items_are_done),
        T(a_finished_queue_gives_the_rest_and_then_its_end),
        T(a_get_takes_as_many_as_it_may_whatever_it_asks_for),
        T(a_request_that_waits_is_cancelled_by_its_msgid),
        T(a_finish_ends_what_waits),
        T(a_pipe_has_two_ends),
        T(a_large_item_is_a_memfd_all_the_way),
        T(requests_for_queues_are_checked),
        T(an_object_is_its_users_groups_or_everybodys_by_its_mode),
        T(items_that_fit_nowhere_are_refused),
        T(large_items_wait_for_room_and_their_consumer),
        T(those_that_wait_are_answered_when_the_use_is_closed_or_the_daemon_stops),
    };
    int role = started_role(argc, argv, fake_forkserver);
    return role >= 0 ? role : cmocka_run_group_tests_name("supervisor/objects", tests, NULL, NULL);
}
