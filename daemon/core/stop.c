/* How is a task ended early? Cancel, time-out, grace, and the end of pools and of the daemon.
 *
 * What no worker has claimed is taken back and answered at once. A running task is asked to stop if it has a grace, and
 * killed after it, always through ops->kill_task: only that knows whether the worker is still running this very task.
 * If it says no, the task has ended, and its result is the answer. Knows nothing of retries.
 */
#include "daemon/core/core_private.h"

enum mpool_state core_stop_state(enum core_why why)
{
    assert(why != CORE_WHY_RESULT);
    switch (why) {
    case CORE_WHY_TIMEOUT: return MPOOL_STATE_TIMEOUT;
    case CORE_WHY_CANCEL: return MPOOL_STATE_CANCELLED;
    case CORE_WHY_SHUTDOWN: return MPOOL_STATE_SHUTDOWN;
    case CORE_WHY_EXPIRED: return MPOOL_STATE_EXPIRED;
    case CORE_WHY_DOWN: return MPOOL_STATE_FAILED;
    case CORE_WHY_LOST:
    case CORE_WHY_RESULT: break;
    }
    return MPOOL_STATE_LOST;
}

/* → false: it had ended, or its worker is dying anyway; either way finish() will follow. */
static bool kill_for(struct core_task *task, uint64_t now_ns)
{
    struct core_worker *w = task->worker;
    struct core *core = w->pool->core;
    if (w->state == CORE_WORKER_DYING || !core->ops->kill_task(core->context, w, task))
        return false;
    task->killing = true;
    core_worker_killed_for_task(w, now_ns);
    return true;
}

static void stop_running(struct core_task *task, enum core_why why, uint64_t now_ns)
{
    struct core_worker *w = task->worker;
    struct core *core = w->pool->core;
    task->stop = (uint8_t)why;
    if (w->state == CORE_WORKER_DYING)
        return;
    if (task == TAILQ_FIRST(&w->lane))
        core_timer_disarm(&core->timers, &w->timer); /* when a task is stopped twice the first reason counts */
    if (task->grace_ms == 0 || core->stop_over) {
        kill_for(task, now_ns);
        return;
    }
    core_timer_arm(&core->timers, &task->timer, CORE_TIMER_TASK_GRACE, core_later_ns(now_ns, task->grace_ms));
    core->ops->cancel(core->context, w, task);
}

void core_cancel(struct core_task *task, enum core_why why, uint64_t now_ns)
{
    struct core_pool *pool = task->pool;
    struct core_worker *w = task->worker;
    assert(why == CORE_WHY_CANCEL || why == CORE_WHY_SHUTDOWN);
    if (task->ending || task->stop != CORE_WHY_RESULT)
        return;
    core_pool_touch(pool);
    if (task->state != MPOOL_STATE_PLACED) {
        core_queue_remove(pool, task);
    } else if (pool->core->ops->reclaim(pool->core->context, w, task)) {
        core_turns_refund(task);
        core_lane_remove(w, task, now_ns);
        core_worker_settle(w, now_ns);
    } else {
        stop_running(task, why, now_ns);
        return;
    }
    core_task_end(task, core_stop_state(why), why, NULL);
}

void core_stop_expired(struct core_task *task, uint64_t now_ns)
{
    struct core_pool *pool = task->pool;
    struct core_worker *w = task->worker;
    if (task->state != MPOOL_STATE_PLACED) {
        core_queue_remove(pool, task);
    } else if (task->stop == CORE_WHY_RESULT && pool->core->ops->reclaim(pool->core->context, w, task)) {
        core_turns_refund(task);
        core_lane_remove(w, task, now_ns);
        core_worker_settle(w, now_ns);
    } else {
        return;
    }
    core_task_end(task, MPOOL_STATE_EXPIRED, CORE_WHY_EXPIRED, NULL);
}

void core_stop_grace_over(struct core_task *task, uint64_t now_ns)
{
    kill_for(task, now_ns);
}

void core_stop_head_timeout(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    struct core_task *head = TAILQ_FIRST(&w->lane);
    if (core->ops->started(core->context, w, head)) {
        core_lane_known_claimed(w);
        stop_running(head, CORE_WHY_TIMEOUT, now_ns);
        return;
    }
    /* It has not started, so it cannot have run too long. A worker may need some time to wake up; one that takes longer
     * is stuck, and its head is given to another one. */
    if (now_ns - w->head_since_ns >= CORE_STUCK_NS)
        core_watch_suspect(w, now_ns);
    if (head == TAILQ_FIRST(&w->lane))
        core_timer_arm(&core->timers, &w->timer, CORE_TIMER_WORKER_HEAD, core_later_ns(now_ns, head->timeout_ms));
}

/* ---- the end of pools and of the daemon ---- */

void core_stop_drain(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *w, *next;
    pool->draining = true;
    for (w = TAILQ_FIRST(&pool->every); w; w = next) {
        next = TAILQ_NEXT(w, every);
        if (w->placed == 0)
            core_worker_retire(w, now_ns);
    }
}

bool core_stop_flush_one(struct core_pool *pool, enum core_why why)
{
    struct core_task *task = core_queue_any(pool);
    if (!task)
        task = TAILQ_FIRST(&pool->backoff);
    if (!task && why == CORE_WHY_SHUTDOWN) /* a pool that is down may have come back by then */
        task = TAILQ_FIRST(&pool->delayed);
    if (!task)
        return false;
    core_queue_remove(pool, task);
    core_task_end(task, core_stop_state(why), why, NULL);
    return true;
}

static void flush_lane(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    struct core_task *last;
    /* finish() may cancel others of this lane, so the tail is looked up again each time. */
    while ((last = TAILQ_LAST(&w->lane, core_task_list)) && last->stop == CORE_WHY_RESULT &&
           core->ops->reclaim(core->context, w, last)) {
        core_lane_remove(w, last, now_ns);
        core_worker_settle(w, now_ns);
        core_task_end(last, MPOOL_STATE_SHUTDOWN, CORE_WHY_SHUTDOWN, NULL);
    }
}

static void kill_what_runs(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    struct core_task *task;
    if (w->state == CORE_WORKER_DYING && !w->killed) {
        core_worker_gone_timer(w, now_ns);
        return;
    }
    if (w->placed == 0) {
        core_worker_retire(w, now_ns);
        return;
    }
    if (w->state == CORE_WORKER_DYING)
        return;
    /* The running task may be behind others whose results are not collected yet. */
    TAILQ_FOREACH (task, &w->lane, link) {
        if (!core->ops->kill_task(core->context, w, task))
            continue;
        if (task->stop == CORE_WHY_RESULT)
            task->stop = CORE_WHY_SHUTDOWN;
        task->killing = true;
        core_worker_killed_for_task(w, now_ns);
        return;
    }
}

void core_stop_deadline(struct core *core, uint64_t now_ns)
{
    struct core_pool *pool;
    struct core_worker *w;
    core->stop_over = true;
    core_timer_disarm(&core->timers, &core->stop_timer);
    TAILQ_FOREACH (pool, &core->pools, link) {
        TAILQ_FOREACH (w, &pool->every, every)
            kill_what_runs(w, now_ns);
        core_pool_touch(pool);
    }
}

void core_stop(struct core *core, uint64_t grace_ms, uint64_t now_ns)
{
    struct core_pool *pool;
    struct core_worker *w;
    uint64_t at_ns = core_later_ns(now_ns, grace_ms);
    if (!core->stopping) {
        core->stopping = true;
        TAILQ_FOREACH (pool, &core->pools, link) {
            core_stop_drain(pool, now_ns);
            TAILQ_FOREACH (w, &pool->every, every)
                flush_lane(w, now_ns);
            while (core_stop_flush_one(pool, CORE_WHY_SHUTDOWN))
                ;
            core_pool_touch(pool);
        }
    }
    if (core->stop_over)
        return;
    if (at_ns <= now_ns)
        core_stop_deadline(core, now_ns);
    else if (!core->stop_timer.armed || core->stop_timer.at_ns > at_ns)
        core_timer_arm(&core->timers, &core->stop_timer, CORE_TIMER_STOP, at_ns);
}

void core_pool_close(struct core_pool *pool)
{
    pool->closing = true;
    core_queue_unpark(pool, NULL);
    core_pool_touch(pool);
}
