/* Which tasks wait? Each pool's queue, and the tasks in backoff.
 *
 * Knows workers as lanes only. Each flow of the queue is first in, first out; what comes back from a worker goes to its
 * front, as it is older than what waits there. Tasks that a worker waits for precede the queue, first in, first out
 * among themselves. Never fails: the lists are intrusive; the supervisor limits their length.
 */
#include "daemon/core/core_private.h"

void core_queue_push(struct core_pool *pool, struct core_task *task, bool front)
{
    core_task_set_state(task, MPOOL_STATE_QUEUED);
    task->worker = NULL;
    core_turns_refund(task);
    if (!task->ahead)
        core_turns_push(task, front);
    else if (front)
        TAILQ_INSERT_HEAD(&pool->ahead, task, link);
    else
        TAILQ_INSERT_TAIL(&pool->ahead, task, link);
    pool->queued++;
}

void core_queue_push_backoff(struct core_pool *pool, struct core_task *task)
{
    core_task_set_state(task, MPOOL_STATE_BACKOFF);
    task->worker = NULL;
    TAILQ_INSERT_TAIL(&pool->backoff, task, link);
    pool->backing_off++;
}

void core_queue_remove(struct core_pool *pool, struct core_task *task)
{
    if (task->state == MPOOL_STATE_QUEUED) {
        if (task->ahead)
            TAILQ_REMOVE(&pool->ahead, task, link);
        else
            core_turns_remove(task);
        pool->queued--;
    } else {
        assert(task->state == MPOOL_STATE_BACKOFF);
        TAILQ_REMOVE(&pool->backoff, task, link);
        pool->backing_off--;
    }
}

void core_lead(struct core_task *task, uint64_t now_ns)
{
    struct core_worker *w = task->worker;
    if (task->ahead || task->ending)
        return;
    if (task->state == MPOOL_STATE_QUEUED) {
        core_turns_remove(task);
        TAILQ_INSERT_TAIL(&task->pool->ahead, task, link);
    }
    task->ahead = true;
    if (task->state == MPOOL_STATE_PLACED && task != TAILQ_FIRST(&w->lane)) {
        core_lane_take_back(w, 1, now_ns); /* behind a head that may be slow, and may itself wait for others */
        core_worker_settle(w, now_ns);
        if (task->state == MPOOL_STATE_QUEUED) { /* at the front, but others lead already */
            TAILQ_REMOVE(&task->pool->ahead, task, link);
            TAILQ_INSERT_TAIL(&task->pool->ahead, task, link);
        }
    }
    core_pool_touch(task->pool);
}
