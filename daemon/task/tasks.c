#include "daemon/task/tasks.h"

#include "daemon/conn/conn.h"
#include "daemon/lane/lane.h"
#include "daemon/pool/pool.h"
#include "daemon/task/job.h"
#include "daemon/task/map.h"
#include "daemon/task/nested.h"
#include "daemon/task/task.h"

void tasks_init(struct tasks *tasks)
{
    TAILQ_INIT(&tasks->calls);
    TAILQ_INIT(&tasks->maps);
    TAILQ_INIT(&tasks->dirty_maps);
    TAILQ_INIT(&tasks->large_replies);
    TAILQ_INIT(&tasks->processes);
    TAILQ_INIT(&tasks->jobs);
    TAILQ_INIT(&tasks->answered);
    uint64_t now_ms = tasks->loop->wall_ms;
    tasks->first_id = TASK_ID_FIRST + (now_ms > TASK_ID_EPOCH_MS ? now_ms - TASK_ID_EPOCH_MS : 0);
    tasks->next_id = tasks->first_id;
    tasks->next_attached_id = TASK_ID_ATTACHED;
}

/* ---- for workers ---- */

static int fill_job(struct tasks *tasks, struct core_task *task, struct run_request *ret)
{
    struct task *t = task_of(task);
    (void)tasks;
    *ret->job = (struct lane_job){.task_id = t->id, .attempt = t->core.attempt + 1};
    ret->job->flags = t->output ? LANE_JOB_OUTPUT : 0;
    ret->pieces[0] = (struct iovec){t->args, (size_t)t->args_length};
    ret->count = 1;
    t->ops->fill_job(t, ret);
    if (t->args_fd >= 0) {
        ret->job->flags |= LANE_JOB_MEMFD;
        ret->job->args_size = t->args_length;
        ret->args_fd = t->args_fd;
        ret->count = 0;
    }
    return 0;
}

static void placed(struct tasks *tasks, struct core_task *task, const struct worker *w)
{
    struct task *t = task_of(task);
    task_began(t, tasks->loop->wall_ms);
    if (w->process)
        t->ops->placed(t, w);
}

static uint64_t public_id(const struct core_task *task)
{
    return task_public_id(task_of((struct core_task *)(uintptr_t)task));
}

static void output(struct core_task *task, int stream, const void *bytes, size_t length)
{
    struct task *t = task_of(task);
    t->ops->output(t, stream, bytes, length);
}

static bool output_is_blocked(const struct core_task *task)
{
    const struct task *t = task_of((struct core_task *)(uintptr_t)task);
    const struct conn *c = t->ops->reader(t);
    return t->output && c && !conn_is_closed(c) && conn_is_full(c);
}

static void drop_if_absent(struct tasks *tasks, const struct pool *pool, struct task *t)
{
    if (!t || t->function->pool != pool || t->function->present || t->core.state == MPOOL_STATE_PLACED)
        return;
    t->removed = true;
    core_cancel(&t->core, CORE_WHY_CANCEL, tasks->loop->now_ns);
}

static void drop_absent(struct tasks *tasks, struct pool *pool)
{
    struct task *t, *next;
    struct job *job, *next_job;
    struct map *m;
    pool->drop_wanted = false;
    for (t = TAILQ_FIRST(&tasks->calls); t; t = next) {
        next = TAILQ_NEXT(t, call.every);
        drop_if_absent(tasks, pool, t);
    }
    for (job = TAILQ_FIRST(&tasks->jobs); job; job = next_job) {
        next_job = TAILQ_NEXT(job, link);
        drop_if_absent(tasks, pool, job->task);
    }
    TAILQ_FOREACH (m, &tasks->maps, every)
        if (m->function->pool == pool && !m->function->present)
            map_fail(m, MPOOL_E_NO_FUNCTION, "the function was removed while its items waited");
}

const struct worker_task_ops task_worker_ops = {
    .job = fill_job,
    .placed = placed,
    .public_id = public_id,
    .output = output,
    .output_is_blocked = output_is_blocked,
    .drop_absent = drop_absent,
    .finished = task_finished,
    .worker_gone = nested_forget,
};
