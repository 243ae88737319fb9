/* What happens to a task whose run has ended? It gets its answer, or another attempt, and when.
 *
 * Lost runs and runs that failed retryably are repeated while attempts are left: the second run follows at once, the
 * next after 100 ms · 2^n, at most 10 s. Time-outs and cancels are final: the caller asked for an answer by then, and a
 * run that took too long once will do so again. A stop under way is final, too: its result is the answer.
 */
#include "daemon/core/core_private.h"

uint64_t core_retry_step_ns(uint32_t n)
{
    uint64_t step_ns = n < 16 ? CORE_BACKOFF_NS << n : CORE_BACKOFF_MAX_NS;
    return step_ns < CORE_BACKOFF_MAX_NS ? step_ns : CORE_BACKOFF_MAX_NS;
}

uint64_t core_retry_delay_ns(uint32_t attempt)
{
    return attempt < 2 ? 0 : core_retry_step_ns(attempt - 2);
}

bool core_retry_allowed(const struct core_task *task)
{
    return task->attempt < task->attempts && task->stop == CORE_WHY_RESULT && !task->pool->core->stopping;
}

void core_retry(struct core_task *task, uint64_t now_ns)
{
    struct core_pool *pool = task->pool;
    uint64_t delay_ns = core_retry_delay_ns(task->attempt);
    if (delay_ns == 0) {
        core_queue_push(pool, task, true);
        return;
    }
    core_queue_push_later(pool, task, MPOOL_STATE_BACKOFF, now_ns + delay_ns);
}
