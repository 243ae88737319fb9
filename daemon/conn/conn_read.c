/* Bytes in, messages out: framing, waiting with a message, and the descriptors that come with it. See conn.h. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/conn_in.h"
#include "daemon/conn/conn_out.h"
#include "daemon/conn/conn_private.h"
#include "proto/reader.h"

#define TURN_NS    (5 * NS_PER_MS) /* for the requests of all connections in one pass */
#define TURN_BATCH 64u             /* requests of one connection in one pass: the capacity of a lane */

/* The peer has closed the connection completely, not just its sending side. */
bool conn_has_hung_up(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

bool conn_has_room(const struct conn *c)
{
    const struct config *config = c->connections->config;
    return c->state <= CONN_HALF_CLOSED && !c->in_blocked && c->in_flight < config->max_in_flight && !conn_is_full(c) &&
           c->passing_count < CONN_PASSING_MAX && c->args_bytes < CONN_ARGS_MAX;
}

/* Not worth two system calls: it continues in the next pass. */
bool conn_only_waits_its_turn(const struct conn *c)
{
    return c->in_blocked && c->wait == CONN_WAIT_TURN;
}

/* Resume in a later pass with the current message, when it can be accepted. */
static void stand_in_line(struct conn *c)
{
    TAILQ_INSERT_TAIL(&c->connections->blocked, c, blocked);
    c->in_blocked = c->stopped = true;
}

enum rpc_result conn_wait_turn(struct conn *c)
{
    c->wait = CONN_WAIT_TURN;
    return RPC_LATER;
}

enum rpc_result conn_wait_handler(struct conn *c, void *wait_for)
{
    c->wait = CONN_WAIT_HANDLER;
    c->wait_for = wait_for;
    return RPC_LATER;
}

enum rpc_result conn_wait_bytes(struct conn *c, uint64_t bytes)
{
    c->wait = CONN_WAIT_BYTES;
    c->wait_bytes = bytes;
    return RPC_LATER;
}

enum rpc_result conn_wait_descriptor(struct conn *c)
{
    c->wait = CONN_WAIT_DESCRIPTOR;
    return RPC_LATER;
}

static bool must_wait(const struct conn *c)
{
    const struct connections *conns = c->connections;
    if (conns->loop->stopping)
        return false; /* offered again, it is answered with E_STOPPING */
    switch (c->wait) {
    case CONN_WAIT_TURN: return false;
    case CONN_WAIT_DESCRIPTOR: return !descriptors_left(conns->descriptors);
    case CONN_WAIT_GROW: return !conn_may_grow(c);
    case CONN_WAIT_HANDLER:
    case CONN_WAIT_BYTES: break;
    }
    return conns->handler->must_wait(conns->service, c);
}

/* The bytes are not a message of this protocol: send one error if there is a request to address, then close. */
static void refuse(struct conn *c, const struct wire_message *m, enum mpool_error error, const char *why)
{
    log_info("conn=%llu uid=%u refused: %s", (unsigned long long)c->number, (unsigned)c->uid, why);
    if (m && m->has_msgid) {
        c->in_flight++;
        conn_reply_error(c, m->msgid, error, "%s", why);
    }
    c->state = CONN_DRAINING;
    conn_touch(c);
}

/* A message that the scan refused was not read to its end, but its msgid may have been: [0, msgid, … */
static void refuse_scanned(struct conn *c, enum wire_scan_result verdict)
{
    struct wire_message m = {0};
    struct wire_reader r = wire_reader(wire_buf_at(&c->in), wire_buf_length(&c->in));
    const struct config *config = c->connections->config;
    uint32_t count;
    uint64_t kind, msgid;
    char why[160];
    if (wire_read_array(&r, &count) == 0 && count == 4 && wire_read_u64(&r, &kind) == 0 && kind == WIRE_REQUEST &&
        wire_read_u64(&r, &msgid) == 0 && msgid <= UINT32_MAX) {
        m.has_msgid = true;
        m.msgid = (uint32_t)msgid;
    }
    switch (verdict) {
    case WIRE_SCAN_TOO_BIG:
        snprintf(why, sizeof why, "the message is larger than %llu bytes (max_message)",
            (unsigned long long)config->max_message);
        refuse(c, &m, MPOOL_E_TOO_BIG, why);
        break;
    case WIRE_SCAN_TOO_DEEP:
        snprintf(why, sizeof why, "the message is nested deeper than %u (max_depth)", config->max_depth);
        refuse(c, &m, MPOOL_E_TOO_DEEP, why);
        break;
    case WIRE_SCAN_BAD_BYTE:
    case WIRE_SCAN_MORE:
    case WIRE_SCAN_WHOLE: refuse(c, &m, MPOOL_E_BAD_REQUEST, "the bytes are not MessagePack"); break;
    }
}

/* Most messages are short and complete. One that the scan has started on must be finished by the scan. */
static bool is_quick(const struct conn *c, const struct wire_limits *limits, struct wire_message *m, size_t *length)
{
    return c->scan.at == 0 && limits->max_depth >= WIRE_QUICK_DEPTH &&
           wire_message_quick(wire_buf_at(&c->in), wire_buf_length(&c->in), m, length) && *length <= limits->max_bytes;
}

/* Handles the complete messages in `in` while what they ask for fits: one turn, so that the workers get what is there
 * already before the rest is handled. */
static void handle_messages(struct conn *c)
{
    struct connections *conns = c->connections;
    struct wire_limits limits = {.max_bytes = conns->config->max_message, .max_depth = conns->config->max_depth};
    unsigned left = TURN_BATCH;
    while (conn_has_room(c) && wire_buf_length(&c->in) > 0) {
        if (left == 0 || conns->turn_ns >= TURN_NS) {
            conn_wait_turn(c);
            stand_in_line(c);
            conns->loop->again = true;
            return;
        }
        struct wire_message m;
        size_t length;
        if (!is_quick(c, &limits, &m, &length)) {
            enum wire_scan_result verdict =
                c->whole ? WIRE_SCAN_WHOLE
                         : wire_scan_feed(&c->scan, &limits, wire_buf_at(&c->in), wire_buf_length(&c->in));
            if (verdict == WIRE_SCAN_MORE)
                break;
            if (verdict != WIRE_SCAN_WHOLE) {
                refuse_scanned(c, verdict);
                return;
            }
            const char *why = "";
            length = (size_t)c->scan.at;
            if (wire_message_parse(wire_buf_at(&c->in), length, &m, &why) < 0) {
                refuse(c, &m, MPOOL_E_BAD_REQUEST, why);
                return;
            }
            if (c->scan.first_end > 0 && m.params_count < WIRE_RUN)
                m.first_end = wire_buf_at(&c->in) + c->scan.first_end;
        }
        if (m.kind == WIRE_RESPONSE) {
            refuse(c, NULL, MPOOL_E_BAD_REQUEST, "a response, but nothing was asked");
            return;
        }
        c->message_length = length;
        c->taken = false;
        switch (conns->handler->message(conns->service, c, &m)) {
        case RPC_LATER:
            stand_in_line(c);
            c->scan.at = length;
            c->whole = true;
            return;
        case RPC_LONG: left = 0; break;
        case RPC_ANSWERED:
        case RPC_CONTINUE: left--; break;
        }
        conns->loop->again = true; /* the core needs another run: in a flush it has already run in this pass */
        if (!c->taken)
            wire_buf_consume(&c->in, length);
        wire_scan_init(&c->scan);
        c->whole = false;
        c->partial_since_ns = 0;
    }
    c->stopped = wire_buf_length(&c->in) > 0 && !conn_has_room(c);
    c->partial_bytes = c->scan.at;
    if (wire_buf_length(&c->in) == 0) {
        c->partial_since_ns = 0;
        wire_buf_trim(&c->in, CONN_KEEP_BUFFER);
    } else if (c->partial_since_ns == 0 && c->reading && conn_has_room(c)) {
        c->partial_since_ns = conns->loop->now_ns;
        loop_need_housekeeping(conns->loop);
    }
}

void *conn_take_message(struct conn *c)
{
    struct wire_buf behind = {.cap = c->in.cap};
    size_t length = wire_buf_length(&c->in) - c->message_length;
    if (wire_buf_append(&behind, wire_buf_at(&c->in) + c->message_length, length) < 0)
        return NULL;
    void *memory = c->in.data;
    c->in = behind;
    c->taken = true;
    return memory;
}

void conn_handle_input(struct conn *c)
{
    uint64_t since_ns = clock_now_ns();
    handle_messages(c);
    conn_count_in(c);
    c->connections->turn_ns += clock_now_ns() - since_ns;
}

void conn_resume_blocked(struct connections *conns)
{
    struct conn *c, *next, *last = TAILQ_LAST(&conns->blocked, conn_list);
    for (c = TAILQ_FIRST(&conns->blocked); c; c = c == last ? NULL : next) {
        next = TAILQ_NEXT(c, blocked);
        if (conn_is_closed(c) || must_wait(c))
            continue; /* checking this one would cost time, and a full queue has many of these */
        if (conns->turn_ns >= TURN_NS) {
            conns->loop->again = true;
            return;
        }
        TAILQ_REMOVE(&conns->blocked, c, blocked);
        c->in_blocked = false;
        conn_touch(c);
        conn_handle_input(c); /* if it must wait again, it rejoins the queue at the end */
    }
}

void conn_drop_fds(struct conn *c)
{
    while (c->fd_count > 0)
        fd_close(&c->fds[--c->fd_count]);
}

/* Some are missing, and which is unknown, so none may be matched to a request. */
static void lose_fds(struct conn *c)
{
    conn_drop_fds(c);
    c->fds_lost = true;
}

static void keep_fd(struct conn *c, int fd)
{
    if (c->fds_lost || c->fd_count == CONN_FDS_MAX) {
        close(fd);
        lose_fds(c);
        return;
    }
    /* Leave a -1 in its place so that later descriptors still match their requests. */
    if (!descriptors_allow(c->connections->descriptors, fd, DESCRIPTOR_PASSING))
        fd_close(&fd);
    c->fds[c->fd_count++] = fd;
}

void conn_identify(struct conn *c)
{
    if (c->unidentified)
        c->connections->handler->identify(c);
}

void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)what;
    loop_tick(c->connections->loop);
    conn_identify(c);
    for (size_t budget = CONN_READ_BUDGET; budget > 0 && conn_has_room(c);) {
        if (!conn_grow(c)) {
            c->wait = CONN_WAIT_GROW;
            stand_in_line(c);
            break;
        }
        uint8_t *to = wire_buf_reserve(&c->in, CONN_READ_CHUNK);
        if (!to) {
            conn_close(c, "no memory for its message");
            return;
        }
        int fds[PACKET_FDS_MAX];
        size_t fd_count = PACKET_FDS_MAX;
        bool lost = false;
        ssize_t n = packet_receive(fd, to, CONN_READ_CHUNK, fds, &fd_count, &lost);
        if (n == -EAGAIN)
            break;
        for (size_t i = 0; i < fd_count; i++)
            keep_fd(c, fds[i]);
        if (lost)
            lose_fds(c);
        if (n == 0 && !conn_has_hung_up(c)) {
            /* shutdown(SHUT_WR): no more requests, but the replies are still wanted. From now on a full close must be
             * polled for, as the end of file stays readable. */
            c->state = CONN_HALF_CLOSED;
            loop_need_housekeeping(c->connections->loop);
            conn_touch(c);
            break;
        }
        if (n <= 0) {
            conn_close(c, n < 0 && n != -ECONNRESET ? strerror((int)-n) : NULL);
            return;
        }
        wire_buf_commit(&c->in, (size_t)n);
        budget -= (size_t)n < budget ? (size_t)n : budget;
        conn_handle_input(c);
        if ((size_t)n < CONN_READ_CHUNK && fd_count == 0)
            break; /* all read; another call would only return EAGAIN */
    }
    if (!conn_has_room(c))
        conn_touch(c);
    /* Descriptors arrive with the request that uses them: any left over from complete messages have no user. */
    if (wire_buf_length(&c->in) == 0) {
        conn_drop_fds(c);
        c->fds_lost = false;
    }
}

int conn_take_fd(struct conn *c)
{
    if (c->fds_lost)
        return -EMFILE;
    if (c->fd_count == 0)
        return -ENOENT;
    int fd = c->fds[0];
    memmove(c->fds, c->fds + 1, --c->fd_count * sizeof c->fds[0]);
    return fd < 0 ? -EMFILE : fd;
}

void conn_return_fd(struct conn *c, int fd)
{
    if (c->fds_lost ||
        c->fd_count == CONN_FDS_MAX) { /* the latter cannot happen: it was taken from there for this very message */
        fd_close(&fd);
        return;
    }
    memmove(c->fds + 1, c->fds, c->fd_count++ * sizeof c->fds[0]);
    c->fds[0] = fd;
}
