#include "daemon/supervisor/conn.h"

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
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/supervisor/caller.h"
#include "daemon/supervisor/conn_in.h"
#include "daemon/supervisor/conn_out.h"
#include "daemon/supervisor/descent.h"
#include "daemon/supervisor/kept.h"
#include "daemon/supervisor/descriptors.h"
#include "daemon/supervisor/farewell.h"
#include "daemon/supervisor/large_reply.h"
#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/map.h"
#include "daemon/supervisor/parties.h"
#include "daemon/supervisor/peer.h"
#include "daemon/supervisor/nested.h"
#include "daemon/supervisor/process.h"
#include "daemon/supervisor/rpc.h"
#include "daemon/supervisor/shares.h"
#include "daemon/supervisor/task.h"

#define SLOW_RATE  (64u << 10)     /* bytes a second that a message must at least make, once past the stall time-out */
#define TURN_NS    (5 * NS_PER_MS) /* requests of all connections in one pass */
#define TURN_BATCH 64u             /* requests of one connection in one pass: what a lane holds */

bool conn_is_admin(const struct conn *c)
{
    return c->caller->admin;
}

/* ---- input
 * ------------------------------------------------------------------------------------------------------------------ */

/* Its other end is closed altogether, not only for sending. */
static bool has_hung_up(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static bool has_room(const struct conn *c)
{
    const struct config *config = c->supervisor->config;
    return !c->closed && !c->closing && !c->in_room && c->in_flight < config->max_in_flight && !conn_is_full(c) &&
           c->passing_count < CONN_PASSING_MAX && c->args_bytes < CONN_ARGS_MAX;
}

/* Not worth two system calls: it goes on in the next pass. */
static bool only_waits_its_turn(const struct conn *c)
{
    return c->in_room && !c->waits_for && c->waits_bytes == 0 && !c->waits_to_grow && !c->waits_for_descriptor;
}

/* It is to go on in another pass: with the message it stands at, once that may be taken. */
static void stand_in_line(struct conn *c)
{
    TAILQ_INSERT_TAIL(&c->supervisor->waiting_conns, c, room);
    c->in_room = c->stopped = true;
}

/* The bytes are no message of this protocol: one error if somebody can be addressed, then the end. */
static void refuse(struct conn *c, const struct wire_message *m, enum mpool_error error, const char *why)
{
    log_info("conn=%llu uid=%u refused: %s", (unsigned long long)c->number, (unsigned)c->uid, why);
    if (m && m->has_msgid) {
        c->in_flight++;
        conn_reply_error(c, m->msgid, error, "%s", why);
    }
    c->closing = true;
    conn_touch(c);
}

/* A message that the scan refused was not read to its end; its msgid may be there all the same: [0, msgid, … */
static void refuse_scanned(struct conn *c, enum wire_scan_result verdict)
{
    struct wire_message m = {0};
    struct wire_reader r = wire_reader(wire_buf_at(&c->in), wire_buf_length(&c->in));
    const struct config *config = c->supervisor->config;
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

/* Mostly a message is short and all there. One that the scan has begun is the scan's. */
static bool is_quick(const struct conn *c, const struct wire_limits *limits, struct wire_message *m, size_t *length)
{
    return c->scan.at == 0 && limits->max_depth >= WIRE_QUICK_DEPTH &&
           wire_message_quick(wire_buf_at(&c->in), wire_buf_length(&c->in), m, length) && *length <= limits->max_bytes;
}

/* Handles the whole messages that `in` holds, while there is room for what they ask: a turn of them, so that the
 * workers get what is there already before the rest is looked at. */
static void handle_messages(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    struct wire_limits limits = {.max_bytes = s->config->max_message, .max_depth = s->config->max_depth};
    unsigned left = TURN_BATCH;
    while (has_room(c) && wire_buf_length(&c->in) > 0) {
        if (left == 0 || s->turn_ns >= TURN_NS) {
            c->waits_for = NULL;
            c->waits_bytes = 0;
            stand_in_line(c);
            s->again = true;
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
        switch (rpc_handle(c, &m)) {
        case RPC_LATER:
            stand_in_line(c);
            c->scan.at = length;
            c->whole = true;
            return;
        case RPC_LONG: left = 0; break;
        case RPC_DONE: left--; break;
        }
        s->again = true; /* whatever follows from it: in a flush the heart has run already in this pass */
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
        c->partial_since_ns = s->now_ns;
        supervisor_need_housekeeping(s);
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
    c->supervisor->turn_ns += clock_now_ns() - since_ns;
}

void conn_serve_line(struct supervisor *s)
{
    struct conn *c, *next, *last = TAILQ_LAST(&s->waiting_conns, conn_list);
    for (c = TAILQ_FIRST(&s->waiting_conns); c; c = c == last ? NULL : next) {
        next = TAILQ_NEXT(c, room);
        if (c->closed || rpc_must_wait(c))
            continue; /* asking it would cost time, and a full queue has many of these */
        if (s->turn_ns >= TURN_NS) {
            s->again = true;
            return;
        }
        TAILQ_REMOVE(&s->waiting_conns, c, room);
        c->in_room = c->waits_to_grow = c->waits_for_descriptor = false;
        conn_touch(c);
        consume(c); /* if it has to wait again, it does so at the end */
    }
}

static void drop_fds(struct conn *c)
{
    while (c->fd_count > 0)
        fd_close(&c->fds[--c->fd_count]);
}

/* Some are missing, and nobody knows which: none of them may be taken for another one. */
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
    /* Its place is kept, so that the others stay with their requests. */
    if (!descriptors_allow(c->supervisor, fd, DESCRIPTOR_PASSING))
        fd_close(&fd);
    c->fds[c->fd_count++] = fd;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)what;
    supervisor_tick(c->supervisor);
    descent_settle(c);
    for (size_t budget = CONN_READ_BUDGET; budget > 0 && has_room(c);) {
        if (!conn_grow(c)) {
            c->waits_for = NULL;
            c->waits_bytes = 0;
            c->waits_to_grow = true;
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
            /* shutdown(SHUT_WR): no more requests, but the answers are still wanted. That it leaves for good can only
             * be asked from now on, as the end of file stays readable. */
            c->half_closed = true;
            supervisor_need_housekeeping(c->supervisor);
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
            break; /* that was all; another call would only say so */
    }
    if (!has_room(c))
        conn_touch(c);
    /* Descriptors come with the request that uses them: what is left of whole messages is nobody's. */
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
        c->fd_count == CONN_FDS_MAX) { /* the latter cannot be: it came from there in this very message */
        fd_close(&fd);
        return;
    }
    memmove(c->fds + 1, c->fds, c->fd_count++ * sizeof c->fds[0]);
    c->fds[0] = fd;
}

/* ---- the end of a pass
 * --------- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    conn_touch(arg);
}

static void tear(struct conn *c);

void conn_flush(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    TAILQ_REMOVE(&s->dirty_conns, c, dirty);
    c->in_dirty = false;
    if (!c->closed)
        conn_write_out(c);
    if (!c->closed && c->stopped && has_room(c)) {
        /* It was stopped in the middle of what it had sent. No event tells of bytes that are here already, and room may
         * have come back in the very pass that took it: so this does not depend on what is being watched. */
        consume(c);
    }
    bool served = conn_unsent(c) == 0;
    if (!c->closed && served && (c->closing || (c->half_closed && c->in_flight == 0 && !c->in_room)))
        conn_close(c, NULL);
    if (c->closed) {
        tear(c);
        return;
    }
    bool read = (has_room(c) || only_waits_its_turn(c)) && !c->half_closed;
    if (read == c->reading)
        return;
    c->reading = read;
    if (read) {
        event_add(c->on_readable, NULL);
        /* The time in which it was not read is not its own. */
        c->partial_since_ns = wire_buf_length(&c->in) > 0 ? s->now_ns : 0;
    } else {
        event_del(c->on_readable);
        c->partial_since_ns = 0;
    }
    /* Nothing tells that a peer which is not read has gone: it is looked for. */
    if (!read || c->partial_since_ns)
        supervisor_need_housekeeping(s);
}

bool conn_housekeeping(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    uint64_t limit = s->config->stall_timeout_ms * NS_PER_MS;
    if (c->closed)
        return false;
    if (!c->reading && has_hung_up(c)) {
        conn_close(c, NULL);
        return false;
    }
    if (c->partial_since_ns && c->reading) {
        uint64_t grace = limit + c->partial_bytes / SLOW_RATE * NS_PER_S;
        if (s->now_ns - c->partial_since_ns > grace) {
            s->stats.connections_closed_for_stalling++;
            conn_close(c, "it has not finished a message for too long");
            return false;
        }
    }
    return c->partial_since_ns || !c->reading;
}

bool conn_may_hold(const struct conn *c, uint64_t bytes)
{
    /* What came with the message is here already. */
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

/* ---- calls ---- */

bool conn_add_call(struct conn *c, struct task *t)
{
    if (!call_table_add(&c->calls, t))
        return false;
    conn_hold(c, t->args_length);
    return true;
}

void conn_remove_call(struct conn *c, struct task *t)
{
    call_table_remove(&c->calls, t);
    conn_let_go(c, t->args_length);
    if (c->closed)
        conn_touch(c);
}

/* ---- birth and end
 * ---------------------------------------------------------------------------------------------------------------- */

/* The clock by which the kernel tells when a process began. */
static uint64_t boot_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* One too many: it is told so, and goes. */
static void turn_away(struct conn *c)
{
    const struct share *u = c->share;
    bool admin = conn_is_admin(c), many = !share_has_room(u, SHARE_CONNECTIONS, admin, 1);
    enum share_kind kind = many ? SHARE_CONNECTIONS : SHARE_DESCRIPTORS;
    bool own = !admin && u->used[kind] >= share_most(u->all, kind, false);
    c->supervisor->stats.connections_refused++;
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

/* Counts it, if it may come. */
static bool let_in(struct conn *c)
{
    bool admin = conn_is_admin(c);
    if (!share_has_room(c->share, SHARE_CONNECTIONS, admin, 1) || !share_take_descriptor(c->share, admin))
        return false;
    share_add(c->share, SHARE_CONNECTIONS, 1);
    c->counted = true;
    return true;
}

struct conn *conn_new(struct supervisor *s, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return NULL;
    }
    c->supervisor = s;
    c->fd = fd;
    c->number = ++s->stats.connections_accepted;
    c->accepted_boot_ns = boot_now_ns();
    wire_scan_init(&c->scan);
    c->args = MEMFD_FILL_NONE;
    call_table_init(&c->calls, s->hash_key);
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    c->on_readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->on_writable = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->caller = caller_of_peer(fd, &c->pid);
    if (c->caller)
        c->share = shares_join(s->shares, c->caller->uid);
    if (!c->share || !c->on_readable || !c->on_writable || event_add(c->on_readable, NULL) < 0) {
        conn_free(c);
        return NULL;
    }
    c->reading = true;
    c->uid = c->caller->uid;
    descent_begin(c);
    if (!let_in(c)) {
        descent_settle(c); /* it may be an administrator yet */
        if (!let_in(c)) {
            turn_away(c);
            return c;
        }
    }
    log_debug("conn=%llu accepted uid=%u pid=%d", (unsigned long long)c->number, (unsigned)c->uid, (int)c->pid);
    return c;
}

/* It counts no more; what it holds for its tasks does until they end. */
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

/* What it holds counts for that user from now on. */
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
        struct share *share = shares_join(c->supervisor->shares, caller->uid);
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
    if (c->closed)
        return;
    c->closed = true;
    nested_answered(c);
    leave_share(c); /* who comes in its place need not wait for the end of what it owned */
    if (why)
        log_info("conn=%llu uid=%u pid=%d client=%s closed: %s", (unsigned long long)c->number, (unsigned)c->uid,
            (int)c->pid, c->name[0] ? c->name : "-", why);
    conn_touch(c);
    c->supervisor->again = true;
}

/* What it owned is cancelled; the memory goes when the last of its running calls has ended. */
static void tear(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    if (!c->torn) {
        c->torn = true;
        event_del(c->on_readable);
        event_del(c->on_writable);
        if (c->closing && wire_buf_length(&c->out) == 0) {
            farewell_begin(s->farewells, c->fd);
            c->fd = -1;
        } else {
            shutdown(c->fd, SHUT_RDWR);
        }
        struct map *m;
        struct waiter *w;
        party_free(c->party);
        processes_orphaned(c);
        while ((w = LIST_FIRST(&c->waiters)))
            waiter_free(w);
        while ((m = LIST_FIRST(&c->maps)))
            map_cancel(m);
        large_replies_drop(c);
        struct task *t, *next;
        for (t = TAILQ_FIRST(&c->calls.all); t; t = next) {
            next = TAILQ_NEXT(t, call.of_conn);
            core_cancel(s->core, &t->core, CORE_WHY_CANCEL, s->now_ns);
        }
        if (c->in_dirty) {
            TAILQ_REMOVE(&s->dirty_conns, c, dirty);
            c->in_dirty = false;
        }
        wire_buf_reset(&c->in); /* its running calls may last, and nobody is told what comes of them */
        wire_buf_reset(&c->out);
        s->again = true;
    }
    if (TAILQ_EMPTY(&c->calls.all))
        conn_free(c);
}

void conn_free(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    party_free(c->party);
    if (c->in_dirty)
        TAILQ_REMOVE(&s->dirty_conns, c, dirty);
    if (c->in_room)
        TAILQ_REMOVE(&s->waiting_conns, c, room);
    processes_orphaned(c);
    large_replies_drop(c);
    peer_forget(c);
    nested_leave(c);
    TAILQ_REMOVE(&s->conns, c, link);
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
    call_table_deinit(&c->calls);
    caller_unref(c->caller);
    free(c);
    listener_resume(s->listener);
}
