#include "daemon/task/conn_tasks.h"
#include "daemon/task/job.h"
#include "daemon/task/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/packet.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/shares.h"
#include "daemon/pool/pool.h"
#include "daemon/task/process.h"
#include "daemon/task/status.h"
#include "proto/scan.h"
#include "proto/text.h"

#define RECORD_COST 512u /* how much a job without a result counts for its memory */

static void set_timer(struct event *e, uint64_t ms)
{
    struct timeval tv = clock_timeval(ms);
    event_add(e, &tv);
}

static void expired(evutil_socket_t fd, short what, void *arg)
{
    struct job *job = arg;
    (void)fd;
    (void)what;
    job->tasks->loop->stats.tasks.expired++;
    job_free(job->tasks, job);
}

bool job_has_room(const struct conn *c, uint64_t args_length)
{
    bool admin = conn_is_admin(c);
    return share_has_room(c->share, SHARE_KEPT, admin, 1) &&
           share_has_room(c->share, SHARE_KEPT_BYTES, admin, RECORD_COST + args_length);
}

static void count_more(struct job *job, uint64_t bytes)
{
    job->counted += bytes;
    share_add(job->share, SHARE_KEPT_BYTES, bytes);
}

static void count_less(struct job *job, uint64_t bytes)
{
    job->counted -= bytes;
    share_subtract(job->share, SHARE_KEPT_BYTES, bytes);
}

/* Of one that nobody has been told of: it is in no list. */
static void discard(struct job *job)
{
    if (job->expiry)
        event_free(job->expiry);
    share_leave(job->share);
    free(job->function);
    free(job->name);
    free(job);
}

struct job *job_new(struct conn *c, struct task *t, const struct task_options *options)
{
    struct tasks *tasks = c->tasks->all;
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->tasks = tasks;
    job->result_fd = -1;
    job->function = strdup(t->function->name);
    if (options->name.at)
        job->name = wire_label(options->name.at, options->name.length);
    job->expiry = evtimer_new(tasks->loop->base, expired, job);
    job->share = shares_join(tasks->connections->shares, c->uid);
    if (!job->function || !job->expiry || !job->share || (options->name.at && !job->name)) {
        discard(job);
        return NULL;
    }
    job->id = t->id;
    HASH_ADD(hh, tasks->jobs_by_id, id, sizeof job->id, job);
    if (!job->hh.tbl) {
        discard(job);
        return NULL;
    }
    job->uid = c->uid;
    job->admin = conn_is_admin(c);
    job->task = t;
    job->state = MPOOL_STATE_QUEUED;
    memcpy(job->pool, t->function->pool->name, sizeof job->pool);
    job->submitted_ms = t->submitted_ms;
    job->attempts = t->core.attempts;
    job->ttl_ms = options->ttl_s ? options->ttl_s * 1000 : tasks->config->result_ttl_ms;
    TAILQ_INSERT_HEAD(&tasks->jobs, job, link);
    share_add(job->share, SHARE_KEPT, 1);
    count_more(job, RECORD_COST + t->args_length);
    return job;
}

struct job *job_find(struct tasks *tasks, uint64_t id)
{
    struct job *job;
    HASH_FIND(hh, tasks->jobs_by_id, &id, sizeof id, job);
    return job;
}

void job_free(struct tasks *tasks, struct job *job)
{
    struct waiter *w;
    while ((w = LIST_FIRST(&job->waiters))) /* only for a task that never ended, at shutdown */
        waiter_free(w);
    HASH_DELETE(hh, tasks->jobs_by_id, job);
    TAILQ_REMOVE(&tasks->jobs, job, link);
    share_subtract(job->share, SHARE_KEPT, 1);
    if (job->result_fd >= 0)
        share_give_descriptor(job->share);
    count_less(job, job->counted);
    share_leave(job->share);
    event_free(job->expiry);
    fd_close(&job->result_fd);
    process_free(job->process);
    free(job->result);
    free(job->function);
    free(job->name);
    free(job);
}

/* ---- waiting ---- */

/* Sends the finished job's result to a waiter. */
static void tell(struct job *job, struct conn *c, uint32_t msgid, bool no_reply, enum waiter_kind kind)
{
    if (kind == WAITER_START && job->process->pid > 0) {
        process_started(job->process, c, msgid, no_reply);
        return;
    }
    if (kind == WAITER_STATUS) {
        if (!no_reply) {
            wire_put_result(&c->out, msgid);
            msgpack_packer pk = wire_packer(&c->out);
            status_pack_job(&pk, job);
        }
        conn_replied(c);
        return;
    }
    struct outcome o = {.state = job->state, .memfd = -1, .data = job->result, .size = job->size};
    if (job->state != MPOOL_STATE_DONE)
        o.error = MPOOL_E_FAILED; /* with the whole error value as data */
    else if (job->result_fd >= 0)
        o.memfd = fcntl(job->result_fd, F_DUPFD_CLOEXEC, 0); /* may be passed on; the job keeps its own */
    o.shared = true;
    if (o.error == MPOOL_ERROR_NONE && job->result_fd >= 0 && o.memfd < 0) {
        o.error = MPOOL_E_INTERNAL;
        o.text = "no descriptor for a large result; ask again";
    }
    task_respond(c, msgid, no_reply, &o);
    fd_close(&o.memfd);
}

void waiter_free(struct waiter *w)
{
    LIST_REMOVE(w, of_job);
    LIST_REMOVE(w, of_conn);
    if (w->timer)
        event_free(w->timer);
    free(w);
}

static void not_ready(struct conn *c, uint32_t msgid, bool no_reply, const struct job *job)
{
    if (no_reply)
        conn_replied(c);
    else
        conn_reply_error(c, msgid, MPOOL_E_NOT_READY, "task %llu (%s) has not ended yet", (unsigned long long)job->id,
            job->function);
}

static void waited_enough(evutil_socket_t fd, short what, void *arg)
{
    struct waiter *w = arg;
    (void)fd;
    (void)what;
    not_ready(w->conn, w->msgid, w->no_reply, w->job);
    waiter_free(w);
}

void job_wait(
    struct job *job, struct conn *c, uint32_t msgid, bool no_reply, enum waiter_kind kind, uint64_t timeout_ms)
{
    if (!job->task) {
        tell(job, c, msgid, no_reply, kind);
        return;
    }
    if (timeout_ms == 0) {
        not_ready(c, msgid, no_reply, job);
        return;
    }
    struct waiter *w = calloc(1, sizeof *w);
    if (w && timeout_ms != UINT64_MAX)
        w->timer = evtimer_new(c->tasks->all->loop->base, waited_enough, w);
    if (!w || (timeout_ms != UINT64_MAX && !w->timer)) {
        free(w);
        if (no_reply)
            conn_replied(c);
        else
            conn_reply_error(c, msgid, MPOOL_E_INTERNAL, "out of memory");
        return;
    }
    w->conn = c;
    w->job = job;
    w->msgid = msgid;
    w->no_reply = no_reply;
    w->kind = kind;
    LIST_INSERT_HEAD(&job->waiters, w, of_job);
    LIST_INSERT_HEAD(&c->tasks->waiters, w, of_conn);
    if (w->timer)
        set_timer(w->timer, timeout_ms);
}

bool job_wait_cancel(struct conn *c, uint32_t msgid)
{
    struct waiter *w;
    LIST_FOREACH (w, &c->tasks->waiters, of_conn)
        if (w->msgid == msgid && !w->no_reply)
            break;
    if (!w)
        return false;
    if (w->kind == WAITER_START) { /* otherwise nobody would ever learn the id */
        core_cancel(&w->job->task->core, CORE_WHY_CANCEL, c->tasks->all->loop->now_ns);
        return true;
    }
    conn_reply_error(c, msgid, MPOOL_E_CANCELLED, "it was cancelled while it waited");
    waiter_free(w);
    return true;
}

void job_started(struct job *job)
{
    struct waiter *w, *next;
    for (w = LIST_FIRST(&job->waiters); w; w = next) {
        next = LIST_NEXT(w, of_job);
        if (w->kind != WAITER_START)
            continue;
        tell(job, w->conn, w->msgid, w->no_reply, w->kind);
        waiter_free(w);
    }
}

/* ---- the end of its task ---- */

/* Keeps the result's bytes: small ones on the heap, validated; large ones as the sealed memfd in which they came,
 * unless descriptors are short. */
static enum mpool_error keep_result(struct tasks *tasks, struct job *job, struct outcome *o)
{
    if (!share_has_room(job->share, SHARE_KEPT_BYTES, job->admin, o->size))
        return MPOOL_E_RESULT_TOO_BIG;
    if (o->memfd >= 0 && descriptors_allow(tasks->connections->descriptors, o->memfd, DESCRIPTOR_LASTING) &&
        share_take_descriptor(job->share, job->admin)) {
        job->result_fd = TAKE_FD(o->memfd);
    } else {
        job->result = malloc(o->size ? (size_t)o->size : 1);
        if (!job->result || (o->memfd >= 0 && !memfd_read(o->memfd, job->result, o->size)))
            return MPOOL_E_INTERNAL;
        if (o->memfd < 0)
            memcpy(job->result, o->data, (size_t)o->size);
        struct wire_limits limits = {.max_bytes = tasks->config->max_payload, .max_depth = tasks->config->max_depth};
        if (!wire_is_whole(&limits, job->result, o->size)) {
            o->malformed = true;
            return MPOOL_E_LOST;
        }
    }
    job->size = o->size;
    count_more(job, o->size);
    return MPOOL_ERROR_NONE;
}

static void keep_error(struct job *job, const struct outcome *o)
{
    char text[5100];
    int class = 0;
    struct wire_buf value = {0};
    size_t length = task_error_text(o, text, sizeof text, &class);
    wire_put_error_value(&value, class, text, length);
    free(job->result);
    job->result = NULL;
    job->size = 0;
    if (value.failed)
        return;
    job->result = value.data;
    job->size = value.end;
    count_more(job, job->size);
}

static void finish(struct task *t, const struct run_report *report, struct outcome *o)
{
    struct job *job = t->job;
    struct tasks *tasks = job->tasks;
    (void)report;
    job->state = o->state;
    job->attempt = o->attempt;
    job->started_ms = task_started_ms(t);
    job->ended_ms = job->tasks->loop->wall_ms;
    status_progress(t, &job->done, &job->total);
    job->timeout_ms = task_timeout_ms(t);
    if (t->core.worker) {
        job->worker = worker_of(t->core.worker)->number;
        job->pid = worker_of(t->core.worker)->pid;
    }
    if (o->verdict) {
        job->verdict = *o->verdict;
        job->has_verdict = true;
    }
    count_less(job, t->args_length);
    job->task = NULL;
    if (job->process)
        process_ended(job->process);
    enum mpool_error error = o->error == MPOOL_ERROR_NONE ? keep_result(tasks, job, o) : MPOOL_ERROR_NONE;
    if (error != MPOOL_ERROR_NONE) {
        struct outcome mine = {.error = error,
            .memfd = -1,
            .text = error == MPOOL_E_RESULT_TOO_BIG
                        ? "the result did not fit into what the daemon may keep (max_kept_bytes)"
                    : error == MPOOL_E_LOST ? "the worker's answer was damaged"
                                            : "out of memory for the result"};
        job->state = error == MPOOL_E_LOST ? MPOOL_STATE_LOST : MPOOL_STATE_FAILED;
        keep_error(job, &mine);
    } else if (o->error != MPOOL_ERROR_NONE) {
        keep_error(job, o);
    }
    struct waiter *w;
    while ((w = LIST_FIRST(&job->waiters))) {
        tell(job, w->conn, w->msgid, w->no_reply, w->kind);
        waiter_free(w);
    }
    if (job->forgotten)
        job_free(tasks, job);
    else
        set_timer(job->expiry, job->ttl_ms);
}

bool job_forget(struct tasks *tasks, struct job *job)
{
    job->forgotten = true;
    if (job->task)
        return false;
    job_free(tasks, job);
    return true;
}

/* ---- as a task ---- */

static uint64_t public_id(const struct task *t)
{
    return t->id;
}

static struct conn *reader(const struct task *t)
{
    return t->job->process ? t->job->process->reader : NULL;
}

static void output(struct task *t, int stream, const void *bytes, size_t length)
{
    process_output(t->job->process, stream, bytes, length);
}

static void fill_job(const struct task *t, struct run_request *ret)
{
    ret->job->max_result = task_max_result(t->job->tasks, NULL);
}

static void placed(struct task *t, const struct worker *w)
{
    process_placed(t->job->process, w->pid);
}

static void judge(const struct task *t, struct outcome *o, char *text, size_t size)
{
    if (t->job->process)
        process_outcome(t->job->process, o, text, size);
}

const struct task_ops job_ops = {
    .public_id = public_id,
    .reader = reader,
    .output = output,
    .fill_job = fill_job,
    .placed = placed,
    .judge = judge,
    .finish = finish,
};
