/* What waits? Each pool's queue, and the tasks that sit out a backoff.
 *
 * Knows nothing of workers. The queue is first in, first out; what comes back from a worker goes to the front, as it
 * is older than what waits. Never fails: the lists are intrusive; caps on their length are the supervisor's.
 */
#include "daemon/core/core_private.h"

void core_queue_push(struct core_pool *pool, struct core_task *task, bool front)
{
    core_task_set_state(task, MPOOL_STATE_QUEUED);
    task->worker = NULL;
    if (front)
        TAILQ_INSERT_HEAD(&pool->queue, task, link);
    else
        TAILQ_INSERT_TAIL(&pool->queue, task, link);
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
        TAILQ_REMOVE(&pool->queue, task, link);
        pool->queued--;
    } else {
        assert(task->state == MPOOL_STATE_BACKOFF);
        TAILQ_REMOVE(&pool->backoff, task, link);
        pool->backing_off--;
    }
}

static void submit(struct core_task *task, bool front)
{
    task->state = MPOOL_STATE_BACKOFF; /* a legal state to be queued from; whatever it was before, it begins anew */
    task->attempt = 0;
    task->position = 0;
    task->stop = CORE_WHY_RESULT;
    task->killing = task->ending = false;
    task->timer = (struct core_timer){0};
    core_queue_push(task->pool, task, front);
    core_pool_touch(task->pool);
}

void core_submit(struct core *core, struct core_task *task, uint64_t now_ns)
{
    (void)core;
    (void)now_ns;
    submit(task, false);
}

void core_submit_front(struct core *core, struct core_task *task, uint64_t now_ns)
{
    (void)core;
    (void)now_ns;
    submit(task, true);
}
