#include "daemon/task/conn_tasks.h"
#include "daemon/task/process.h"
#include "daemon/task/tasks.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/conn/conn.h"
#include "daemon/pool/pool.h"
#include "daemon/task/job.h"
#include "daemon/task/task.h"
#include "proto/buf.h"

/* ---- birth ---- */

enum mpool_error process_has_room(const struct conn *c, const struct pool *pool, char *why, size_t size)
{
    const struct tasks *tasks = c->tasks->all;
    const struct process *p;
    uint32_t of_pool = 0, of_user = 0;
    TAILQ_FOREACH (p, &tasks->processes, link) {
        of_pool += p->job->task->function->pool == pool;
        of_user += p->job->uid == c->uid;
    }
    if (pool->config->max_processes == 0) {
        snprintf(why, size, "pool %s runs no processes (max_processes = 0)", pool->name);
        return MPOOL_E_DENIED;
    }
    if (of_pool >= pool->config->max_processes) {
        snprintf(why, size, "pool %s runs all the processes it may (max_processes = %u)", pool->name,
            pool->config->max_processes);
        return MPOOL_E_BUSY;
    }
    if (of_user >= tasks->config->max_user_processes) {
        snprintf(why, size, "you have all the processes you may (max_user_processes = %u)",
            tasks->config->max_user_processes);
        return MPOOL_E_BUSY;
    }
    return MPOOL_ERROR_NONE;
}

int process_new(struct job *job, struct conn *c, const struct task_options *options)
{
    struct process *p = calloc(1, sizeof *p);
    struct task *t = job->task;
    struct core_pool *pool = t->function->pool->processes;
    struct core_flow *flow = p ? conn_tasks_flow(c, pool, options->priority) : NULL;
    if (!flow) {
        free(p);
        return -ENOMEM;
    }
    p->job = job;
    p->daemonic = options->daemonic;
    if (options->daemonic || options->output) {
        p->starter = c;
        LIST_INSERT_HEAD(&c->tasks->processes, p, of_conn);
    }
    if (options->output)
        p->reader = c;
    TAILQ_INSERT_TAIL(&job->tasks->processes, p, link);
    job->process = p;
    /* A process may be meant to run forever, and must not repeat what it did before it died. */
    t->core.pool = pool;
    core_flow_unref(t->core.flow);
    t->core.flow = flow;
    t->core.attempts = job->attempts = 1;
    t->core.timeout_ms = options->timeout_ms;
    return 0;
}

static void leave_starter(struct process *p)
{
    if (p->starter)
        LIST_REMOVE(p, of_conn);
    p->starter = p->reader = NULL;
}

void process_free(struct process *p)
{
    if (!p)
        return;
    process_ended(p);
    free(p);
}

void process_placed(struct process *p, pid_t pid)
{
    p->pid = pid;
    job_started(p->job);
}

void process_started(const struct process *p, struct conn *c, uint32_t msgid, bool no_reply)
{
    if (!no_reply && !conn_is_closed(c)) {
        wire_put_result(&c->out, msgid);
        msgpack_packer pk = wire_packer(&c->out);
        msgpack_pack_map(&pk, 3);
        wire_pack_key_u64(&pk, "id", p->job->id);
        wire_pack_key_i64(&pk, "pid", p->pid);
        wire_pack_key_text(&pk, "name", p->job->name);
    }
    conn_replied(c);
}

/* ---- life ---- */

void process_output(struct process *p, int stream, const void *bytes, size_t length)
{
    struct conn *c = p->reader;
    if (!c || conn_is_closed(c) || length == 0)
        return;
    wire_put_notification(&c->out, "process_output");
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint64(&pk, p->job->id);
    msgpack_pack_int(&pk, stream);
    msgpack_pack_bin(&pk, length);
    msgpack_pack_bin_body(&pk, bytes, length);
    conn_touch(c);
}

void processes_orphaned(struct conn *c)
{
    struct tasks *tasks = c->tasks->all;
    struct process *p;
    while ((p = LIST_FIRST(&c->tasks->processes))) {
        leave_starter(p);
        struct task *t = p->job->task;
        t->output = false; /* further output goes to the log */
        if (p->daemonic)
            core_cancel(&t->core, CORE_WHY_CANCEL, tasks->loop->now_ns);
    }
}

/* ---- end ---- */

void process_outcome(struct process *p, struct outcome *o, char *text, size_t size)
{
    static const uint8_t nil[] = {0xc0};
    const struct verdict *v = o->verdict;
    if (v && o->state == MPOOL_STATE_LOST && !v->signal && !v->broke) {
        /* It has reported its exit itself. */
        o->state = v->exit_status == 0 ? MPOOL_STATE_DONE : MPOOL_STATE_FAILED;
        o->error = v->exit_status == 0 ? MPOOL_ERROR_NONE : MPOOL_E_FAILED;
        o->data = nil;
        o->size = v->exit_status == 0 ? sizeof nil : 0;
        o->text = text;
        snprintf(text, size, "the process exited with status %d", v->exit_status);
    }
    if (o->state != MPOOL_STATE_CANCELLED)
        p->early_signal = 0; /* it was already exiting */
    p->has_exitcode = p->pid > 0 || p->early_signal > 0;
    if (p->early_signal > 0)
        p->exitcode = -p->early_signal;
    else if (v)
        p->exitcode = v->signal ? -v->signal : v->exit_status;
    else if (p->pid > 0 && (o->state == MPOOL_STATE_TIMEOUT || o->state == MPOOL_STATE_CANCELLED))
        p->exitcode = -SIGKILL; /* its job ends here, and it is being killed */
    else
        p->exitcode = o->state == MPOOL_STATE_DONE ? 0 : 1;
}

void process_ended(struct process *p)
{
    if (p->ended)
        return;
    p->ended = true;
    leave_starter(p);
    TAILQ_REMOVE(&p->job->tasks->processes, p, link);
}

void process_pack(msgpack_packer *pk, const struct process *p)
{
    wire_pack_key_bool(pk, "alive", !p->ended && p->pid > 0);
    wire_pack_text(pk, "exitcode");
    if (p->has_exitcode)
        msgpack_pack_int(pk, p->exitcode);
    else
        msgpack_pack_nil(pk);
    wire_pack_key_bool(pk, "daemonic", p->daemonic);
}
