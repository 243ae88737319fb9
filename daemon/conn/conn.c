#include "daemon/conn/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn_in.h"
#include "daemon/conn/conn_out.h"
#include "daemon/conn/conn_private.h"
#include "daemon/conn/lingering_close.h"
#include "daemon/conn/listener.h"
#include "daemon/conn/peer.h"
#include "daemon/conn/shares.h"

#define SLOW_RATE (64u << 10) /* minimum bytes per second for a message once past the stall time-out */

bool conn_is_admin(const struct conn *c)
{
    return c->caller->admin;
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
    if (!conn_is_closed(c) && c->stopped && conn_has_room(c)) {
        /* It stopped in the middle of received input. No event reports bytes that have already arrived, and room may
         * have been freed in the very pass that used it up, so this does not depend on what is being watched. */
        conn_handle_input(c);
    }
    bool served = conn_unsent(c) == 0;
    if (served && (c->state == CONN_DRAINING || (c->state == CONN_HALF_CLOSED && c->in_flight == 0 && !c->in_blocked)))
        conn_close(c, NULL);
    if (conn_is_closed(c)) {
        release(c);
        return;
    }
    bool read = (conn_has_room(c) || conn_only_waits_its_turn(c)) && c->state == CONN_OPEN;
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
    if (!c->reading && conn_has_hung_up(c)) {
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
    bool own = !admin && u->used[kind] >= share_max(u->all, kind, false);
    c->connections->loop->stats.connections_refused++;
    if (many)
        conn_close_with_error(c, MPOOL_E_BUSY,
            own ? "you have all the connections you may (max_connections, max_user_share)"
                : "too many connections (max_connections)");
    else
        conn_close_with_error(c, MPOOL_E_BUSY,
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
    c->on_readable = event_new(conns->loop->base, fd, EV_READ | EV_PERSIST, conn_on_readable, c);
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
    if (conns->handler->open(conns->service, c) < 0) {
        conn_free(c);
        return NULL;
    }
    if (!let_in(c)) {
        conn_identify(c); /* it may turn out to be an administrator */
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
    c->lingers = drained;
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
        if (c->lingers) {
            lingering_close_begin(conns->lingering_closes, c->fd);
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
    conn_drop_fds(c);
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
