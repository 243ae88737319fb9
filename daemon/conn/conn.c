#include "daemon/conn/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn_in.h"
#include "daemon/conn/conn_out.h"
#include "daemon/conn/farewell.h"
#include "daemon/conn/listener.h"
#include "daemon/conn/peer.h"
#include "daemon/conn/shares.h"
#include "proto/reader.h"

#define SLOW_RATE  (64u << 10)     /* minimum bytes per second for a message once past the stall time-out */
#define TURN_NS    (5 * NS_PER_MS) /* for the requests of all connections in one pass */
#define TURN_BATCH 64u             /* requests of one connection in one pass: the capacity of a lane */

bool conn_is_admin(const struct conn *c)
{
    return c->caller->admin;
}

/* ---- input ---- */

/* The peer has closed the connection completely, not just its sending side. */
static bool has_hung_up(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static bool has_room(const struct conn *c)
{
    const struct config *config = c->connections->config;
    return c->state <= CONN_HALF_CLOSED && !c->in_blocked && c->in_flight < config->max_in_flight && !conn_is_full(c) &&
           c->passing_count < CONN_PASSING_MAX && c->args_bytes < CONN_ARGS_MAX;
}

/* Not worth two system calls: it continues in the next pass. */
static bool only_waits_its_turn(const struct conn *c)
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
        return false; /* the error has been sent */
    switch (c->wait) {
    case CONN_WAIT_TURN: return false;
    case CONN_WAIT_DESCRIPTOR: return !descriptors_left(conns->descriptors);
    case CONN_WAIT_GROW: return !conn_may_grow(c);
    case CONN_WAIT_HANDLER:
    case CONN_WAIT_BYTES: break;
    }
    return conns->handler->must_wait(conns->context, c);
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
    while (has_room(c) && wire_buf_length(&c->in) > 0) {
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
        switch (conns->handler->message(conns->context, c, &m)) {
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
    c->stopped = wire_buf_length(&c->in) > 0 && !has_room(c);
    c->partial_bytes = c->scan.at;
    if (wire_buf_length(&c->in) == 0) {
        c->partial_since_ns = 0;
        wire_buf_trim(&c->in, CONN_KEEP_BUFFER);
    } else if (c->partial_since_ns == 0 && c->reading && has_room(c)) {
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

static void consume(struct conn *c)
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
        consume(c); /* if it must wait again, it rejoins the queue at the end */
    }
}

static void drop_fds(struct conn *c)
{
    while (c->fd_count > 0)
        fd_close(&c->fds[--c->fd_count]);
}

/* Some are missing, and which is unknown, so none may be matched to a request. */
static void lose_fds(struct conn *c)
{
    drop_fds(c);
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

static void identify(struct conn *c)
{
    if (c->unidentified)
        c->connections->handler->identify(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)what;
    loop_tick(c->connections->loop);
    identify(c);
    for (size_t budget = CONN_READ_BUDGET; budget > 0 && has_room(c);) {
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
        if (n == 0 && !has_hung_up(c)) {
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
        consume(c);
        if ((size_t)n < CONN_READ_CHUNK && fd_count == 0)
            break; /* all read; another call would only return EAGAIN */
    }
    if (!has_room(c))
        conn_touch(c);
    /* Descriptors arrive with the request that uses them: any left over from complete messages have no user. */
    if (wire_buf_length(&c->in) == 0) {
        drop_fds(c);
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

/* ---- the end of a pass ---- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    conn_touch(arg);
}

static void release(struct conn *c);

void conn_flush(struct conn *c)
{
    struct connections *conns = c->connections;
    TAILQ_REMOVE(&conns->dirty, c, dirty);
    c->in_dirty = false;
    if (!conn_is_closed(c))
        conn_write_out(c);
    if (!conn_is_closed(c) && c->stopped && has_room(c)) {
        /* It stopped in the middle of received input. No event reports bytes that have already arrived, and room may
         * have been freed in the very pass that used it up, so this does not depend on what is being watched. */
        consume(c);
    }
    bool served = conn_unsent(c) == 0;
    if (served && (c->state == CONN_DRAINING || (c->state == CONN_HALF_CLOSED && c->in_flight == 0 && !c->in_blocked)))
        conn_close(c, NULL);
    if (conn_is_closed(c)) {
        release(c);
        return;
    }
    bool read = (has_room(c) || only_waits_its_turn(c)) && c->state == CONN_OPEN;
    if (read == c->reading)
        return;
    c->reading = read;
    if (read) {
        event_add(c->on_readable, NULL);
        /* Do not count the time we were not reading against its stall time-out. */
        c->partial_since_ns = wire_buf_length(&c->in) > 0 ? conns->loop->now_ns : 0;
    } else {
        event_del(c->on_readable);
        c->partial_since_ns = 0;
    }
    /* While not reading we get no hang-up event, so poll for it in housekeeping. */
    if (!read || c->partial_since_ns)
        loop_need_housekeeping(conns->loop);
}

bool conn_housekeeping(struct conn *c)
{
    struct connections *conns = c->connections;
    uint64_t limit = conns->config->stall_timeout_ms * NS_PER_MS;
    if (conn_is_closed(c))
        return false;
    if (!c->reading && has_hung_up(c)) {
        conn_close(c, NULL);
        return false;
    }
    if (c->partial_since_ns && c->reading) {
        uint64_t grace = limit + c->partial_bytes / SLOW_RATE * NS_PER_S;
        if (conns->loop->now_ns - c->partial_since_ns > grace) {
            conns->loop->stats.connections_closed_for_stalling++;
            conn_close(c, "it has not finished a message for too long");
            return false;
        }
    }
    return c->partial_since_ns || !c->reading;
}

bool conn_may_hold(const struct conn *c, uint64_t bytes)
{
    /* The bytes that came with the message have already been received. */
    return bytes <= c->in_counted || c->share->used[SHARE_ARGS] == c->share->unfinished ||
           share_has_room(c->share, SHARE_ARGS, conn_is_admin(c), bytes);
}

void conn_hold(struct conn *c, uint64_t bytes)
{
    c->args_bytes += bytes;
    share_add(c->share, SHARE_ARGS, bytes);
}

void conn_let_go(struct conn *c, uint64_t bytes)
{
    c->args_bytes -= bytes;
    share_subtract(c->share, SHARE_ARGS, bytes);
}

/* ---- birth and end ---- */

/* The clock that the kernel uses for process start times. */
static uint64_t boot_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* One connection too many: send an error and close it. */
static void turn_away(struct conn *c)
{
    const struct share *u = c->share;
    bool admin = conn_is_admin(c), many = !share_has_room(u, SHARE_CONNECTIONS, admin, 1);
    enum share_kind kind = many ? SHARE_CONNECTIONS : SHARE_DESCRIPTORS;
    bool own = !admin && u->used[kind] >= share_most(u->all, kind, false);
    c->connections->loop->stats.connections_refused++;
    if (many)
        conn_farewell(c, MPOOL_E_BUSY,
            own ? "you have all the connections you may (max_connections, max_user_share)"
                : "too many connections (max_connections)");
    else
        conn_farewell(c, MPOOL_E_BUSY,
            own ? "you hold all the descriptors you may, by connections, kept results and objects (LimitNOFILE=, "
                  "max_user_share)"
                : "the daemon has no descriptor for another connection (LimitNOFILE=)");
}

/* Counts the connection if it is allowed. */
static bool let_in(struct conn *c)
{
    bool admin = conn_is_admin(c);
    if (!share_has_room(c->share, SHARE_CONNECTIONS, admin, 1) || !share_take_descriptor(c->share, admin))
        return false;
    share_add(c->share, SHARE_CONNECTIONS, 1);
    c->counted = true;
    return true;
}

struct conn *conn_new(struct connections *conns, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return NULL;
    }
    c->connections = conns;
    c->fd = fd;
    c->number = ++conns->loop->stats.connections_accepted;
    c->accepted_boot_ns = boot_now_ns();
    wire_scan_init(&c->scan);
    c->args = MEMFD_FILL_NONE;
    TAILQ_INSERT_TAIL(&conns->all, c, link);
    c->on_readable = event_new(conns->loop->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->on_writable = event_new(conns->loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->caller = caller_of_peer(fd, &c->pid);
    if (c->caller)
        c->share = shares_join(conns->shares, c->caller->uid);
    if (!c->share || !c->on_readable || !c->on_writable || event_add(c->on_readable, NULL) < 0) {
        conn_free(c);
        return NULL;
    }
    c->reading = true;
    c->uid = c->caller->uid;
    if (conns->handler->open(conns->context, c) < 0) {
        conn_free(c);
        return NULL;
    }
    if (!let_in(c)) {
        identify(c); /* it may turn out to be an administrator */
        if (!let_in(c)) {
            turn_away(c);
            return c;
        }
    }
    log_debug("conn=%llu accepted uid=%u pid=%d", (unsigned long long)c->number, (unsigned)c->uid, (int)c->pid);
    return c;
}

/* Stops counting the connection; what it holds for its tasks counts until they end. */
static void leave_share(struct conn *c)
{
    conn_forget_unread(c);
    conn_forget_in(c);
    if (c->counted) {
        share_subtract(c->share, SHARE_CONNECTIONS, 1);
        share_give_descriptor(c->share);
    }
    c->counted = false;
}

/* From now on what it holds counts for that user. */
static void move_share(struct conn *c, struct share *to)
{
    struct share *from = c->share;
    share_subtract(from, SHARE_CONNECTIONS, c->counted);
    share_add(to, SHARE_CONNECTIONS, c->counted);
    share_subtract(from, SHARE_DESCRIPTORS, c->counted);
    share_add(to, SHARE_DESCRIPTORS, c->counted);
    share_subtract(from, SHARE_UNREAD, c->unread);
    share_add(to, SHARE_UNREAD, c->unread);
    share_subtract(from, SHARE_ARGS, c->in_counted + c->args_bytes);
    share_add(to, SHARE_ARGS, c->in_counted + c->args_bytes);
    from->unfinished -= c->in_counted;
    to->unfinished += c->in_counted;
    if (from->ahead == c)
        from->ahead = NULL;
    c->share = to;
    share_leave(from);
}

bool conn_act_for(struct conn *c, struct caller *caller)
{
    struct caller *before = c->caller;
    if (caller == before)
        return true;
    if (caller->uid != before->uid) {
        struct share *share = shares_join(c->connections->shares, caller->uid);
        if (!share)
            return false;
        move_share(c, share);
    }
    c->caller = caller_ref(caller);
    c->uid = caller->uid;
    caller_unref(before);
    return true;
}

void conn_close(struct conn *c, const char *why)
{
    if (conn_is_closed(c))
        return;
    bool drained = c->state == CONN_DRAINING && wire_buf_length(&c->out) == 0;
    c->state = CONN_CLOSED;
    c->farewell = drained;
    c->connections->handler->idle(c);
    leave_share(c); /* a new client may take the slot before this one's tasks have ended */
    if (why)
        log_info("conn=%llu uid=%u pid=%d client=%s closed: %s", (unsigned long long)c->number, (unsigned)c->uid,
            (int)c->pid, c->name[0] ? c->name : "-", why);
    conn_touch(c);
    c->connections->loop->again = true;
}

/* ---- what depends on it ---- */

void conn_on_close(struct conn *c, struct conn_closer *closer, const struct conn_closer_ops *ops)
{
    closer->ops = ops;
    LIST_INSERT_HEAD(&c->closers, closer, link);
}

void conn_forget_closer(struct conn_closer *closer)
{
    LIST_REMOVE(closer, link);
}

void conn_ref(struct conn *c)
{
    c->references++;
}

void conn_unref(struct conn *c)
{
    c->references--;
    if (conn_is_closed(c))
        conn_touch(c);
}

static void run_closers(struct conn *c)
{
    struct conn_closer *closer, *next;
    for (closer = LIST_FIRST(&c->closers); closer; closer = next) {
        next = LIST_NEXT(closer, link);
        if (closer->ops->close)
            closer->ops->close(closer);
    }
}

/* Cancels what it owned; the memory is freed when the last of its running calls has ended. */
static void release(struct conn *c)
{
    struct connections *conns = c->connections;
    if (c->state != CONN_RELEASED) {
        c->state = CONN_RELEASED;
        event_del(c->on_readable);
        event_del(c->on_writable);
        if (c->farewell) {
            farewell_begin(conns->farewells, c->fd);
            c->fd = -1;
        } else {
            shutdown(c->fd, SHUT_RDWR);
        }
        run_closers(c);
        if (c->in_dirty) {
            TAILQ_REMOVE(&conns->dirty, c, dirty);
            c->in_dirty = false;
        }
        wire_buf_reset(&c->in); /* its running calls may take long, and their results are discarded */
        wire_buf_reset(&c->out);
        conns->loop->again = true;
    }
    if (c->references == 0)
        conn_free(c);
}

void conn_free(struct conn *c)
{
    struct connections *conns = c->connections;
    struct conn_closer *closer;
    if (c->state != CONN_RELEASED) {
        c->state = CONN_RELEASED;
        run_closers(c);
    }
    while ((closer = LIST_FIRST(&c->closers))) {
        LIST_REMOVE(closer, link);
        if (closer->ops->free)
            closer->ops->free(closer);
    }
    if (c->in_dirty)
        TAILQ_REMOVE(&conns->dirty, c, dirty);
    if (c->in_blocked)
        TAILQ_REMOVE(&conns->blocked, c, blocked);
    peer_forget(c);
    TAILQ_REMOVE(&conns->all, c, link);
    if (c->on_readable)
        event_free(c->on_readable);
    if (c->on_writable)
        event_free(c->on_writable);
    leave_share(c);
    share_leave(c->share);
    drop_fds(c);
    memfd_fill_drop(&c->args);
    for (size_t i = 0; i < c->passing_count; i++)
        close(c->passing[i].fd);
    free(c->passing);
    fd_close(&c->fd);
    wire_buf_reset(&c->in);
    wire_buf_reset(&c->out);
    caller_unref(c->caller);
    free(c);
    listener_resume(conns->listener);
}
