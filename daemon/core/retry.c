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
    core_queue_push_backoff(pool, task);
    core_timer_arm(&pool->core->timers, &task->timer, CORE_TIMER_TASK_BACKOFF, now_ns + delay_ns);
}

static void average(uint64_t *mean_ns, uint64_t *runs, uint64_t run_ns)
{
    if (run_ns == 0)
        run_ns = 1; /* 0 means unknown */
    if (*runs == 0)
        *mean_ns = run_ns;
    else
        *mean_ns = *mean_ns - *mean_ns / 8 + run_ns / 8;
    if (*mean_ns == 0)
        *mean_ns = 1;
    ++*runs;
}

void core_task_done(
    struct core *core, struct core_task *task, enum core_result result, uint64_t run_ns, void *report, uint64_t now_ns)
{
    struct core_worker *w = task->worker;
    struct core_pool *pool = task->pool;
    assert(task->state == MPOOL_STATE_PLACED && task == TAILQ_FIRST(&w->lane));
    task->attempt++;
    w->tasks_done++;
    w->strikes = 0;
    w->blocked = false;
    w->refused_ns = 0;
    core_sizing_proven(w);
    /* The worker reports it, and may lie: the run cannot have been longer than the worker's life. */
    if (run_ns > now_ns - w->ready_ns)
        run_ns = now_ns - w->ready_ns;
    if (task->chunk)
        average(&task->function->chunk_mean_ns, &task->function->chunk_runs, run_ns);
    else
        average(&task->function->mean_ns, &task->function->runs, run_ns);
    core_timer_disarm(&core->timers, &task->timer);
    core_lane_remove(w, task, now_ns);
    core_worker_settle(w, now_ns);
    core_pool_touch(pool);
    if (result == CORE_RESULT_FAILED_RETRYABLE && core_retry_allowed(task))
        core_retry(task, now_ns);
    else
        core_task_end(
            core, task, result == CORE_RESULT_OK ? MPOOL_STATE_DONE : MPOOL_STATE_FAILED, CORE_WHY_RESULT, report);
}
