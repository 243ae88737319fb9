/* A connection over a real socket, with a handler that only records: framing, waiting, back-pressure, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/config/config.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/lingering_close.h"
#include "daemon/conn/shares.h"
#include "daemon/base/cleanup.h"

/* [0, msgid, "ping", []] */
#define PING(msgid)      "\x94\x00" msgid "\xa4ping\x90"
#define PING_LENGTH      9u
#define MESSAGE_CAP      4096u
#define OUTPUT_CAP       (64u << 10)
#define STALL_TIMEOUT_MS 1000u

static struct {
    struct loop loop;
    struct config config;
    struct descriptors descriptors;
    struct connections conns;
    struct conn *conn;
    int peer;
    bool closed;      /* the connection has run its closers */
    unsigned handled; /* messages */
    bool later;       /* what the handler answers: RPC_LATER */
    bool must_wait;
    size_t reply_bytes; /* of each answer */
    unsigned idle, room;
    char order[8]; /* of the closers */
} t;

/* ---- the handler ---- */

static int on_open(struct service *service, struct conn *c)
{
    (void)service;
    (void)c;
    return 0;
}

static void on_identify(struct conn *c)
{
    c->unidentified = false;
}

static enum rpc_result on_message(struct service *service, struct conn *c, const struct wire_message *m)
{
    static const uint8_t byte[] = {0xc0};
    (void)service;
    assert_int_equal(m->method_length, 4);
    assert_memory_equal(m->method, "ping", 4);
    if (t.later)
        return conn_wait_handler(c, &t);
    t.handled++;
    c->in_flight++;
    wire_put_result(&c->out, m->msgid);
    for (size_t i = 0; i < t.reply_bytes; i++)
        wire_buf_append(&c->out, byte, 1);
    conn_replied(c);
    return RPC_ANSWERED;
}

static bool on_must_wait(struct service *service, const struct conn *c)
{
    (void)service;
    assert_ptr_equal(c->wait_for, &t);
    return t.must_wait;
}

static void on_idle(struct conn *c)
{
    (void)c;
    t.idle++;
}

static void on_room(struct conn *c)
{
    (void)c;
    t.room++;
}

static const struct conn_handler handler = {
    .open = on_open,
    .identify = on_identify,
    .message = on_message,
    .must_wait = on_must_wait,
    .idle = on_idle,
    .has_room = on_room,
};

/* ---- the loop ---- */

static void on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* What the supervisor does in a pass, as far as connections go. */
static void pass(void)
{
    struct conn *c, *next, *last;
    event_base_loop(t.loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    loop_tick(&t.loop);
    t.conns.turn_ns = 0;
    conn_resume_blocked(&t.conns);
    last = TAILQ_LAST(&t.conns.dirty, conn_list);
    for (c = TAILQ_FIRST(&t.conns.dirty); c; c = next) {
        next = c == last ? NULL : TAILQ_NEXT(c, dirty);
        conn_flush(c);
    }
}

static void passes(unsigned n)
{
    while (n-- > 0)
        pass();
}

static void on_close(struct conn_closer *closer)
{
    (void)closer;
    t.closed = true;
}

static const struct conn_closer_ops watch_ops = {.close = on_close};
static struct conn_closer watch;

static int set_up(void **state)
{
    int pair[2];
    (void)state;
    memset(&t, 0, sizeof t);
    t.config = (struct config){.max_message = MESSAGE_CAP,
        .max_depth = 16,
        .max_in_flight = 100,
        .max_output_bytes = OUTPUT_CAP,
        .max_connections = 10,
        .max_user_share = 100,
        .stall_timeout_ms = STALL_TIMEOUT_MS};
    t.loop.base = event_base_new();
    t.loop.housekeeping = evtimer_new(t.loop.base, on_housekeeping, NULL);
    loop_tick(&t.loop);
    t.descriptors.limit = RLIM_INFINITY;
    t.conns =
        (struct connections){.loop = &t.loop, .config = &t.config, .handler = &handler, .descriptors = &t.descriptors};
    TAILQ_INIT(&t.conns.all);
    TAILQ_INIT(&t.conns.dirty);
    TAILQ_INIT(&t.conns.blocked);
    t.conns.shares = shares_new(&t.config);
    t.conns.lingering_closes = lingering_closes_new(&t.conns);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    t.peer = pair[0];
    t.conn = conn_new(&t.conns, pair[1]);
    assert_non_null(t.conn);
    conn_on_close(t.conn, &watch, &watch_ops);
    return 0;
}

static int tear_down(void **state)
{
    struct conn *c;
    (void)state;
    while ((c = TAILQ_FIRST(&t.conns.all)))
        conn_free(c);
    fd_close(&t.peer);
    lingering_closes_free(t.conns.lingering_closes);
    assert_null(t.conns.shares->users);
    shares_free(t.conns.shares);
    event_free(t.loop.housekeeping);
    event_base_free(t.loop.base);
    return 0;
}

static void say(const char *bytes, size_t length)
{
    assert_int_equal(send(t.peer, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* → bytes read; 0 at the end of the stream; -1: none now. */
static ssize_t hear(char *to, size_t size)
{
    return recv(t.peer, to, size, 0);
}

/* ---- framing ---- */

static void a_message_may_come_in_two_pieces_cut_anywhere(void **state)
{
    static const char message[] = PING("\x07");
    (void)state;
    for (size_t cut = 1; cut < PING_LENGTH; cut++) {
        unsigned before = t.handled;
        say(message, cut);
        passes(2);
        assert_int_equal(t.handled, before);
        say(message + cut, PING_LENGTH - cut);
        passes(2);
        assert_int_equal(t.handled, before + 1);
    }
    assert_false(t.closed);
}

static void messages_may_come_in_one_piece(void **state)
{
    char many[50 * PING_LENGTH];
    (void)state;
    for (size_t i = 0; i < 50; i++)
        memcpy(many + i * PING_LENGTH, PING("\x07"), PING_LENGTH);
    say(many, sizeof many);
    passes(3);
    assert_int_equal(t.handled, 50);
}

static void what_is_not_messagepack_is_refused_and_then_the_stream_ends(void **state)
{
    char answer[256];
    (void)state;
    say("\xc1", 1);
    passes(3);
    assert_true(t.closed);
    assert_int_equal(hear(answer, sizeof answer), 0);
}

static void a_request_that_is_too_large_is_told_why_by_its_msgid(void **state)
{
    static char message[MESSAGE_CAP + 100] = "\x94\x00\x07\xa4ping\x91\xc6\x00\x00\x10\x40";
    char answer[512] = "";
    (void)state;
    say(message, sizeof message);
    passes(3);
    ssize_t n = hear(answer, sizeof answer - 1);
    assert_true(n > 3);
    assert_memory_equal(answer, "\x94\x01\x07", 3);
    assert_non_null(memmem(answer, (size_t)n, "E_TOO_BIG", 9));
    assert_true(t.closed);
}

/* ---- waiting ---- */

static void a_message_that_is_not_taken_is_offered_again_and_none_overtakes_it(void **state)
{
    (void)state;
    t.later = t.must_wait = true;
    say(PING("\x01") PING("\x02"), 2 * PING_LENGTH);
    passes(5);
    assert_int_equal(t.handled, 0);
    assert_true(t.conn->in_blocked);
    t.later = false; /* it is not even asked while it must wait */
    passes(5);
    assert_int_equal(t.handled, 0);
    t.must_wait = false;
    passes(3);
    assert_int_equal(t.handled, 2);
    assert_false(t.conn->in_blocked);
}

static void one_that_does_not_read_is_not_read_until_it_does(void **state)
{
    static char sink[1u << 20];
    unsigned handled;
    (void)state;
    t.reply_bytes = 32u << 10;
    do {
        handled = t.handled;
        (void)send(t.peer, PING("\x01"), PING_LENGTH, MSG_NOSIGNAL);
        passes(2);
    } while (t.handled > handled);
    assert_true(conn_is_full(t.conn));
    t.conn->wants_room = true;
    while (conn_unsent(t.conn) > 0) {
        while (hear(sink, sizeof sink) > 0)
            ;
        passes(1);
    }
    assert_int_equal(t.room, 1);
    passes(2);
    assert_true(t.handled > handled);
    assert_false(t.closed);
}

/* ---- ends ---- */

static void after_a_half_close_what_was_asked_is_still_answered(void **state)
{
    char answer[64];
    (void)state;
    say(PING("\x05"), PING_LENGTH);
    shutdown(t.peer, SHUT_WR);
    passes(1);
    passes(3);
    assert_int_equal(t.handled, 1);
    assert_true(hear(answer, sizeof answer) > 0);
    assert_int_equal(hear(answer, sizeof answer), 0);
    assert_true(t.closed);
}

static void a_message_that_is_not_finished_in_time_ends_it(void **state)
{
    (void)state;
    say("\x94\x00", 2);
    passes(2);
    assert_true(conn_housekeeping(t.conn));
    t.loop.now_ns += (STALL_TIMEOUT_MS + 1) * NS_PER_MS;
    assert_false(conn_housekeeping(t.conn));
    passes(1);
    assert_true(t.closed);
    assert_int_equal(t.loop.stats.connections_closed_for_stalling, 1);
}

static void first_close(struct conn_closer *closer)
{
    (void)closer;
    strcat(t.order, "1");
}

static void second_close(struct conn_closer *closer)
{
    (void)closer;
    strcat(t.order, "2");
}

static void last_free(struct conn_closer *closer)
{
    (void)closer;
    strcat(t.order, "f");
}

static void closers_run_once_the_last_first_and_a_reference_keeps_it(void **state)
{
    static const struct conn_closer_ops first = {.close = first_close, .free = last_free},
                                        second = {.close = second_close};
    struct conn_closer a, b;
    struct conn *c = t.conn;
    (void)state;
    conn_on_close(c, &a, &first);
    conn_on_close(c, &b, &second);
    conn_ref(c);
    conn_close(c, NULL);
    conn_close(c, "again");
    assert_string_equal(t.order, "");
    passes(1);
    assert_string_equal(t.order, "21");
    passes(2);
    assert_string_equal(t.order, "21");
    conn_unref(c);
    passes(1);
    assert_string_equal(t.order, "21f");
    assert_true(TAILQ_EMPTY(&t.conns.all));
}

static void one_too_many_is_told_so(void **state)
{
    int pair[2];
    char answer[256] = "";
    (void)state;
    t.conns.shares->max[SHARE_CONNECTIONS] = 1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_non_null(conn_new(&t.conns, pair[1]));
    passes(2);
    ssize_t n = recv(pair[0], answer, sizeof answer - 1, 0);
    assert_true(n > 0);
    assert_non_null(memmem(answer, (size_t)n, "E_BUSY", 6));
    assert_int_equal(recv(pair[0], answer, sizeof answer, 0), 0);
    assert_int_equal(t.loop.stats.connections_refused, 1);
    assert_false(t.closed);
    close(pair[0]);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_message_may_come_in_two_pieces_cut_anywhere),
        T(messages_may_come_in_one_piece),
        T(what_is_not_messagepack_is_refused_and_then_the_stream_ends),
        T(a_request_that_is_too_large_is_told_why_by_its_msgid),
        T(a_message_that_is_not_taken_is_offered_again_and_none_overtakes_it),
        T(one_that_does_not_read_is_not_read_until_it_does),
        T(after_a_half_close_what_was_asked_is_still_answered),
        T(a_message_that_is_not_finished_in_time_ends_it),
        T(closers_run_once_the_last_first_and_a_reference_keeps_it),
        T(one_too_many_is_told_so),
    };
    return cmocka_run_group_tests_name("conn/conn", tests, NULL, NULL);
}
