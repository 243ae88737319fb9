#include "daemon/supervisor/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/packet.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/descriptors.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/process.h"
#include "daemon/supervisor/shares.h"
#include "daemon/supervisor/status.h"
#include "proto/scan.h"
#include "proto/text.h"

#define RECORD_COST 512u /* what a record without a result counts, about its memory */

static void set_timer(struct event *e, uint64_t ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(e, &tv);
}

static void expired(evutil_socket_t fd, short what, void *arg)
{
    struct kept *k = arg;
    (void)fd;
    (void)what;
    k->supervisor->stats.tasks.expired++;
    kept_free(k->supervisor, k);
}

bool kept_has_room(const struct conn *c, uint64_t args_length)
{
    bool admin = conn_is_admin(c);
    return share_has_room(c->share, SHARE_KEPT, admin, 1) &&
           share_has_room(c->share, SHARE_KEPT_BYTES, admin, RECORD_COST + args_length);
}

static void count_more(struct kept *k, uint64_t bytes)
{
    k->counted += bytes;
    share_add(k->share, SHARE_KEPT_BYTES, bytes);
}

static void count_less(struct kept *k, uint64_t bytes)
{
    k->counted -= bytes;
    share_subtract(k->share, SHARE_KEPT_BYTES, bytes);
}

struct kept *kept_new(struct conn *c, struct task *t, const struct task_options *options)
{
    struct supervisor *s = c->supervisor;
    struct kept *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->supervisor = s;
    k->result_fd = -1;
    k->function = strdup(t->function->name);
    if (options->name.at)
        k->name = wire_label(options->name.at, options->name.length);
    k->expiry = evtimer_new(s->base, expired, k);
    k->share = shares_join(s->shares, c->uid);
    if (!k->function || !k->expiry || !k->share || (options->name.at && !k->name)) {
        if (k->expiry)
            event_free(k->expiry);
        share_leave(k->share);
        free(k->function);
        free(k->name);
        free(k);
        return NULL;
    }
    k->id = t->id;
    k->uid = c->uid;
    k->admin = conn_is_admin(c);
    k->task = t;
    k->state = MPOOL_STATE_QUEUED;
    memcpy(k->pool, t->function->pool->name, sizeof k->pool);
    k->submitted_ms = t->submitted_ms;
    k->attempts = t->core.attempts;
    k->ttl_ms = options->ttl_s ? options->ttl_s * 1000 : s->config->result_ttl_ms;
    HASH_ADD(hh, s->kept_by_id, id, sizeof k->id, k);
    TAILQ_INSERT_HEAD(&s->kept, k, link);
    share_add(k->share, SHARE_KEPT, 1);
    count_more(k, RECORD_COST + t->args_length);
    return k;
}

struct kept *kept_find(struct supervisor *s, uint64_t id)
{
    struct kept *k;
    HASH_FIND(hh, s->kept_by_id, &id, sizeof id, k);
    return k;
}

void kept_free(struct supervisor *s, struct kept *k)
{
    struct waiter *w;
    while ((w = LIST_FIRST(&k->waiters))) /* only of one whose task never ended, as the daemon ends */
        waiter_free(w);
    HASH_DELETE(hh, s->kept_by_id, k);
    TAILQ_REMOVE(&s->kept, k, link);
    share_subtract(k->share, SHARE_KEPT, 1);
    if (k->result_fd >= 0)
        share_give_descriptor(k->share);
    count_less(k, k->counted);
    share_leave(k->share);
    event_free(k->expiry);
    fd_close(&k->result_fd);
    process_free(k->process);
    free(k->result);
    free(k->function);
    free(k->name);
    free(k);
}

/* ---- waiting
 * ------------------------------------------------------------------------------------------------------------------ */

/* The record has ended: gives the waiter what it came for. */
static void tell(struct kept *k, struct conn *c, uint32_t msgid, bool no_reply, enum waiter_kind kind)
{
    if (kind == WAITER_START && k->process->pid > 0) {
        process_started(k->process, c, msgid, no_reply);
        return;
    }
    if (kind == WAITER_STATUS) {
        if (!no_reply) {
            wire_put_result(&c->out, msgid);
            msgpack_packer pk = wire_packer(&c->out);
            status_pack_kept(&pk, k);
        }
        conn_replied(c);
        return;
    }
    struct outcome o = {.state = k->state, .memfd = -1, .data = k->result, .size = k->size};
    if (k->state != MPOOL_STATE_DONE)
        o.error = MPOOL_E_FAILED; /* with the whole error value as data */
    else if (k->result_fd >= 0)
        o.memfd = fcntl(k->result_fd, F_DUPFD_CLOEXEC, 0); /* may be passed on; the record keeps its own */
    o.shared = true;
    if (o.error == MPOOL_ERROR_NONE && k->result_fd >= 0 && o.memfd < 0) {
        o.error = MPOOL_E_INTERNAL;
        o.text = "no descriptor for a large result; ask again";
    }
    task_respond(c, msgid, no_reply, &o);
    fd_close(&o.memfd);
}

void waiter_free(struct waiter *w)
{
    LIST_REMOVE(w, of_kept);
    LIST_REMOVE(w, of_conn);
    if (w->timer)
        event_free(w->timer);
    free(w);
}

static void not_ready(struct conn *c, uint32_t msgid, bool no_reply, const struct kept *k)
{
    if (no_reply)
        conn_replied(c);
    else
        conn_reply_error(
            c, msgid, MPOOL_E_NOT_READY, "task %llu (%s) has not ended yet", (unsigned long long)k->id, k->function);
}

static void waited_enough(evutil_socket_t fd, short what, void *arg)
{
    struct waiter *w = arg;
    (void)fd;
    (void)what;
    not_ready(w->conn, w->msgid, w->no_reply, w->kept);
    waiter_free(w);
}

void kept_wait(
    struct kept *k, struct conn *c, uint32_t msgid, bool no_reply, enum waiter_kind kind, uint64_t timeout_ms)
{
    if (!k->task) {
        tell(k, c, msgid, no_reply, kind);
        return;
    }
    if (timeout_ms == 0) {
        not_ready(c, msgid, no_reply, k);
        return;
    }
    struct waiter *w = calloc(1, sizeof *w);
    if (w && timeout_ms != UINT64_MAX)
        w->timer = evtimer_new(c->supervisor->base, waited_enough, w);
    if (!w || (timeout_ms != UINT64_MAX && !w->timer)) {
        free(w);
        if (no_reply)
            conn_replied(c);
        else
            conn_reply_error(c, msgid, MPOOL_E_INTERNAL, "out of memory");
        return;
    }
    w->conn = c;
    w->kept = k;
    w->msgid = msgid;
    w->no_reply = no_reply;
    w->kind = kind;
    LIST_INSERT_HEAD(&k->waiters, w, of_kept);
    LIST_INSERT_HEAD(&c->waiters, w, of_conn);
    if (w->timer)
        set_timer(w->timer, timeout_ms);
}

bool kept_wait_cancel(struct conn *c, uint32_t msgid)
{
    struct waiter *w;
    LIST_FOREACH(w, &c->waiters, of_conn)
    if (w->msgid == msgid && !w->no_reply)
        break;
    if (!w)
        return false;
    if (w->kind == WAITER_START) { /* nobody would ever know the id */
        core_cancel(c->supervisor->core, &w->kept->task->core, CORE_WHY_CANCEL, c->supervisor->now_ns);
        return true;
    }
    conn_reply_error(c, msgid, MPOOL_E_CANCELLED, "it was cancelled while it waited");
    waiter_free(w);
    return true;
}

void kept_started(struct kept *k)
{
    struct waiter *w, *next;
    for (w = LIST_FIRST(&k->waiters); w; w = next) {
        next = LIST_NEXT(w, of_kept);
        if (w->kind != WAITER_START)
            continue;
        tell(k, w->conn, w->msgid, w->no_reply, w->kind);
        waiter_free(w);
    }
}

/* ---- the end of its task
 * ---------------------------------------------------------------------------------------------------------- */

/* Keeps the result's bytes: small ones on the heap, checked; large ones as the sealed memfd they came in, unless
 * descriptors are short. */
static enum mpool_error keep_result(struct supervisor *s, struct kept *k, struct outcome *o)
{
    if (!share_has_room(k->share, SHARE_KEPT_BYTES, k->admin, o->size))
        return MPOOL_E_RESULT_TOO_BIG;
    if (o->memfd >= 0 && descriptors_allow(s, o->memfd, DESCRIPTOR_LASTING) &&
        share_take_descriptor(k->share, k->admin)) {
        k->result_fd = TAKE_FD(o->memfd);
    } else {
        k->result = malloc(o->size ? (size_t)o->size : 1);
        if (!k->result || (o->memfd >= 0 && !memfd_read(o->memfd, k->result, o->size)))
            return MPOOL_E_INTERNAL;
        if (o->memfd < 0)
            memcpy(k->result, o->data, (size_t)o->size);
        struct wire_limits limits = {.max_bytes = s->config->max_payload, .max_depth = s->config->max_depth};
        uint64_t whole;
        if (wire_scan_value(&limits, k->result, o->size, &whole) != WIRE_SCAN_WHOLE || whole != o->size) {
            o->broke = true;
            return MPOOL_E_LOST;
        }
    }
    k->size = o->size;
    count_more(k, o->size);
    return MPOOL_ERROR_NONE;
}

static void keep_error(struct kept *k, const struct outcome *o)
{
    char text[5100];
    int class = 0;
    struct wire_buf value = {0};
    size_t length = task_error_text(o, text, sizeof text, &class);
    wire_put_error_value(&value, class, text, length);
    free(k->result);
    k->result = NULL;
    k->size = 0;
    if (value.failed)
        return;
    k->result = value.data;
    k->size = value.end;
    count_more(k, k->size);
}

void kept_finished(struct supervisor *s, struct kept *k, struct outcome *o)
{
    struct task *t = k->task;
    k->state = o->state;
    k->attempt = o->attempt;
    k->started_ms = task_started_ms(t);
    k->ended_ms = k->supervisor->wall_ms;
    status_progress(t, &k->done, &k->total);
    k->timeout_ms = task_timeout_ms(t);
    if (t->core.worker) {
        k->worker = worker_of(t->core.worker)->number;
        k->pid = worker_of(t->core.worker)->pid;
    }
    if (o->verdict) {
        k->verdict = *o->verdict;
        k->has_verdict = true;
    }
    count_less(k, t->args_length);
    k->task = NULL;
    if (k->process)
        process_ended(k->process);
    enum mpool_error error = o->error == MPOOL_ERROR_NONE ? keep_result(s, k, o) : MPOOL_ERROR_NONE;
    if (error != MPOOL_ERROR_NONE) {
        struct outcome mine = {.error = error,
            .memfd = -1,
            .text = error == MPOOL_E_RESULT_TOO_BIG
                        ? "the result did not fit into what the daemon may keep (max_kept_bytes)"
                    : error == MPOOL_E_LOST ? "the worker's answer was damaged"
                                            : "out of memory for the result"};
        k->state = error == MPOOL_E_LOST ? MPOOL_STATE_LOST : MPOOL_STATE_FAILED;
        keep_error(k, &mine);
    } else if (o->error != MPOOL_ERROR_NONE) {
        keep_error(k, o);
    }
    struct waiter *w;
    while ((w = LIST_FIRST(&k->waiters))) {
        tell(k, w->conn, w->msgid, w->no_reply, w->kind);
        waiter_free(w);
    }
    if (k->forgotten)
        kept_free(s, k);
    else
        set_timer(k->expiry, k->ttl_ms);
}

bool kept_forget(struct supervisor *s, struct kept *k)
{
    k->forgotten = true;
    if (k->task)
        return false;
    kept_free(s, k);
    return true;
}
