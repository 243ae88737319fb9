#include "daemon/task/conn_tasks.h"
#include "daemon/task/status.h"
#include "daemon/task/tasks.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/conn/caller.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/worker.h"
#include "daemon/task/job.h"
#include "daemon/task/map.h"
#include "daemon/task/process.h"
#include "daemon/task/task.h"
#include "proto/buf.h"
#include "proto/reader.h"
#include "proto/tables.h"

/* One struct for all kinds, so that readers need no special cases. */
struct status_fields {
    uint64_t id, submitted_ms, started_ms, ended_ms, timeout_ms, done, total;
    const char *name, *function, *pool;
    enum mpool_state state;
    bool attached;
    uid_t uid;
    uint32_t attempt, attempts, worker;
    pid_t pid;
    const uint8_t *error; /* an error value, or NULL */
    uint64_t error_length;
    const struct verdict *verdict;
    const struct map *map;
    const struct process *process;
};

static void pack_u64_or_nil(msgpack_packer *pk, const char *key, uint64_t value)
{
    wire_pack_text(pk, key);
    if (value)
        msgpack_pack_uint64(pk, value);
    else
        msgpack_pack_nil(pk);
}

static void pack_verdict(msgpack_packer *pk, const struct verdict *v, uint32_t attempt)
{
    msgpack_pack_map(pk, 9);
    wire_pack_key_u64(pk, "worker", v->worker);
    wire_pack_key_i64(pk, "pid", v->pid);
    pack_u64_or_nil(pk, "signal", (uint64_t)v->signal);
    char name[16] = "";
    const char *abbreviation = v->signal ? sigabbrev_np(v->signal) : NULL;
    if (abbreviation)
        snprintf(name, sizeof name, "SIG%s", abbreviation);
    wire_pack_key_text(pk, "signal_name", abbreviation ? name : NULL);
    wire_pack_text(pk, "exit");
    if (v->signal)
        msgpack_pack_nil(pk);
    else
        msgpack_pack_int(pk, v->exit_status);
    wire_pack_key_text(pk, "oom", oom_word(v->oom));
    wire_pack_key_u64(pk, "attempt", attempt);
    wire_pack_key_u64(pk, "cpu_ms", v->cpu_us / 1000);
    wire_pack_key_u64(pk, "peak_kib", v->peak_kib);
}

static void pack(msgpack_packer *pk, const struct status_fields *f)
{
    msgpack_pack_map(pk, 18u + (f->map ? 2u : 0u) + (f->process ? 3u : 0u));
    wire_pack_key_u64(pk, "id", f->id);
    wire_pack_key_text(pk, "name", f->name);
    wire_pack_key_text(pk, "function", f->function);
    wire_pack_key_text(pk, "pool", f->pool);
    wire_pack_key_text(pk, "state", wire_state_info(f->state)->name);
    wire_pack_key_bool(pk, "attached", f->attached);
    wire_pack_key_u64(pk, "uid", f->uid);
    wire_pack_key_u64(pk, "attempt", f->attempt);
    wire_pack_key_u64(pk, "attempts", f->attempts);
    wire_pack_key_u64(pk, "submitted_ms", f->submitted_ms);
    pack_u64_or_nil(pk, "started_ms", f->started_ms);
    pack_u64_or_nil(pk, "ended_ms", f->ended_ms);
    pack_u64_or_nil(pk, "worker", f->worker);
    pack_u64_or_nil(pk, "pid", (uint64_t)f->pid);
    pack_u64_or_nil(pk, "timeout_ms", f->timeout_ms);
    wire_pack_text(pk, "progress");
    if (f->done || f->total) {
        msgpack_pack_array(pk, 2);
        msgpack_pack_uint64(pk, f->done);
        msgpack_pack_uint64(pk, f->total);
    } else {
        msgpack_pack_nil(pk);
    }
    const char *text;
    size_t length;
    int class;
    wire_pack_text(pk, "error");
    if (f->error && wire_read_error(f->error, (size_t)f->error_length, &class, &text, &length) == 0) {
        wire_pack_str(pk, text, length);
    } else {
        msgpack_pack_nil(pk);
    }
    wire_pack_text(pk, "verdict");
    if (f->verdict)
        pack_verdict(pk, f->verdict, f->attempt);
    else
        msgpack_pack_nil(pk);
    if (f->map) {
        wire_pack_key_u64(pk, "items", f->map->count);
        wire_pack_key_u64(pk, "items_done", f->map->answered);
    }
    if (f->process)
        process_pack(pk, f->process);
}

enum mpool_state status_of(const struct task *t)
{
    if (t->core.state != MPOOL_STATE_PLACED || !t->core.worker)
        return t->core.state;
    return task_running(worker_of(t->core.worker)) == t ? MPOOL_STATE_RUNNING : MPOOL_STATE_PLACED;
}

enum mpool_state status_of_job(const struct job *job)
{
    return job->task ? status_of(job->task) : job->state;
}

enum mpool_state status_of_map(const struct map *m)
{
    const struct task *t;
    if (m->answered > 0)
        return MPOOL_STATE_RUNNING;
    TAILQ_FOREACH (t, &m->chunks, chunk.every) /* there are few, see map.h */
        if (status_of(t) == MPOOL_STATE_RUNNING)
            return MPOOL_STATE_RUNNING;
    return MPOOL_STATE_QUEUED;
}

void status_progress(const struct task *t, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = *ret_total = 0;
    const struct worker *w = t->core.worker ? worker_of(t->core.worker) : NULL;
    if (w && TAILQ_FIRST(&w->core.lane) == &t->core)
        lane_progress(w->lane, ret_done, ret_total);
}

static void live_fields(const struct task *t, struct status_fields *f)
{
    f->state = status_of(t);
    f->attempt = t->core.attempt + (f->state == MPOOL_STATE_RUNNING);
    f->attempts = t->core.attempts;
    f->started_ms = task_started_ms(t);
    f->timeout_ms = task_timeout_ms(t);
    if (f->state == MPOOL_STATE_RUNNING) {
        const struct worker *w = worker_of(t->core.worker);
        f->worker = w->number;
        f->pid = w->pid;
        status_progress(t, &f->done, &f->total);
    }
}

void status_pack_job(msgpack_packer *pk, const struct job *job)
{
    struct status_fields f = {.id = job->id,
        .name = job->name,
        .function = job->function,
        .pool = job->pool,
        .state = status_of_job(job),
        .uid = job->uid,
        .submitted_ms = job->submitted_ms,
        .started_ms = job->started_ms,
        .ended_ms = job->ended_ms,
        .attempt = job->attempt,
        .attempts = job->attempts,
        .worker = job->worker,
        .pid = job->pid,
        .timeout_ms = job->timeout_ms,
        .done = job->done,
        .total = job->total,
        .verdict = job->has_verdict ? &job->verdict : NULL,
        .process = job->process};
    if (job->task)
        live_fields(job->task, &f);
    if (job->process)
        f.pid = job->process->pid;
    if (!job->task && job->state != MPOOL_STATE_DONE) {
        f.error = job->result;
        f.error_length = job->size;
    }
    pack(pk, &f);
}

void status_pack_call(msgpack_packer *pk, const struct task *t)
{
    struct status_fields f = {.id = t->id,
        .name = t->call.name,
        .function = t->function->name,
        .pool = t->function->pool->name,
        .attached = true,
        .uid = t->caller->uid,
        .submitted_ms = t->submitted_ms};
    live_fields(t, &f);
    pack(pk, &f);
}

void status_pack_map(msgpack_packer *pk, const struct map *m)
{
    struct status_fields f = {.id = m->id,
        .name = m->name,
        .function = m->function->name,
        .pool = m->function->pool->name,
        .attached = true,
        .uid = m->caller->uid,
        .submitted_ms = m->submitted_ms,
        .attempts = m->attempts,
        .map = m,
        .state = status_of_map(m),
        .done = m->answered,
        .total = m->count};
    const struct task *t;
    TAILQ_FOREACH (t, &m->chunks, chunk.every)
        if (t->began_ms && (f.started_ms == 0 || task_started_ms(t) < f.started_ms))
            f.started_ms = task_started_ms(t);
    pack(pk, &f);
}
