#include "daemon/task/call.h"

#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/lane/lane.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/task.h"
#include "daemon/task/tasks.h"

bool call_begin(struct task *t, struct conn *c, uint32_t msgid, bool no_reply, char *name, int stdin_fd)
{
    struct tasks *tasks = c->tasks->all;
    t->id = tasks->next_attached_id++;
    t->no_reply = no_reply;
    t->call.conn = c;
    t->call.msgid = msgid;
    t->call.name = name;
    t->call.stdin_fd = stdin_fd;
    if (!conn_tasks_add_call(c, t))
        return false;
    TAILQ_INSERT_HEAD(&tasks->calls, t, call.every);
    attached_add(&tasks->attached_calls, &t->call.by_id, t->id);
    return true;
}

static uint64_t public_id(const struct task *t)
{
    return t->id;
}

static struct conn *reader(const struct task *t)
{
    return t->call.conn;
}

static void output(struct task *t, int stream, const void *bytes, size_t length)
{
    if (!t->no_reply)
        task_put_output(t->call.conn, t->call.msgid, stream, bytes, length);
}

static void fill_job(const struct task *t, struct run_request *ret)
{
    struct conn *c = t->call.conn;
    ret->job->max_result = task_max_result(c->tasks->all, c);
    ret->stdin_fd = t->call.stdin_fd;
    if (ret->stdin_fd >= 0)
        ret->job->flags |= LANE_JOB_STDIN;
}

static void finish(struct task *t, const struct run_report *report, struct outcome *o)
{
    struct conn *c = t->call.conn;
    (void)report;
    TAILQ_REMOVE(&c->tasks->all->calls, t, call.every);
    attached_remove(&t->call.by_id);
    conn_tasks_remove_call(c, t);
    task_respond(c, t->call.msgid, t->no_reply, o);
}

static void free_call(struct task *t)
{
    free(t->call.name);
    fd_close(&t->call.stdin_fd);
}

const struct task_ops call_ops = {
    .public_id = public_id,
    .reader = reader,
    .output = output,
    .fill_job = fill_job,
    .finish = finish,
    .free = free_call,
};
