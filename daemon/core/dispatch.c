/* Which worker gets the next task? Join the bounded shortest queue.
 *
 * The task whose turn it is (turns.c) goes to the open worker with the shortest lane (of the idle ones, the warmest),
 * if that lane is shorter than both the task and the lane's head allow; tiny ones go to a busy worker before an idle
 * one is woken. The turns are kept: nothing overtakes a task that needs an idle worker (a slow one, one that must be
 * alone, or one for which another worker has given up its place). That starves no task and stalls no worker: while the
 * front waits, no worker is idle, lanes are merely not filled further, and the first worker to run dry takes it.
 * Constant time per task placed and per worker that refuses.
 */
#include "daemon/core/core_private.h"

#define LANE_NONE UINT32_MAX

/* Known ahead, so that the replacement is ready when the runs are used up; small numbers of runs are not cut short. */
static bool runs_come_to_an_end(const struct core_worker *w)
{
    uint32_t all = w->pool->config.max_tasks;
    uint32_t ahead = all / 10 > 4 ? all / 10 : 4;
    if (ahead > all / 4)
        ahead = all / 4;
    return all > 0 && !w->pool->config.once && core_worker_runs_left(w) <= ahead;
}

/* The length of the lanes of which the task should join one, or LANE_NONE: it waits. An idle worker is not woken for
 * what a busy one will have done before it is awake, unless that one's head turns out to be slow: so few tiny tasks
 * stay on few CPUs, and what was taken back from behind a slow head does not go there again. */
static uint32_t choose(const struct core_pool *pool, const struct core_task *task, uint64_t now_ns)
{
    uint32_t shortest = (uint32_t)__builtin_ctzll(pool->open_mask);
    uint32_t depth = task->ahead ? 1 : core_task_depth(task);
    uint64_t mean_ns = core_task_mean_ns(task);
    uint64_t busy = pool->open_mask & ~1ull;
    if (shortest == 0 && busy && mean_ns > 0 && mean_ns <= CORE_WAKE_NS) {
        uint32_t next = (uint32_t)__builtin_ctzll(busy);
        const struct core_worker *w = TAILQ_FIRST(&pool->open[next]);
        if (next < depth && next * mean_ns <= CORE_WAKE_NS && now_ns - w->head_since_ns <= CORE_BEHIND_NS)
            return next;
    }
    return shortest < depth ? shortest : LANE_NONE;
}

void core_dispatch(struct core_pool *pool, uint64_t now_ns)
{
    struct core *core = pool->core;
    struct core_task *task;
    while ((task = core_queue_first(pool)) && pool->open_mask) {
        uint32_t length = choose(pool, task, now_ns);
        if (length == LANE_NONE)
            break;
        struct core_worker *w = TAILQ_FIRST(&pool->open[length]);
        if (length > 0 && now_ns - w->head_since_ns >= CORE_OVERDUE_NS)
            w->overdue = true;
        if (!core_worker_accepts(
                w)) { /* its head's function has become slower since it was filed, or this run is slow */
            core_lane_file(w, false);
            continue;
        }
        if (!core->ops->place(core->context, w, task)) {
            w->blocked = true;
            if (w->refused_ns == 0)
                w->refused_ns = now_ns;
            core_lane_file(w, false);
            continue;
        }
        core_queue_remove(pool, task);
        core_turns_charge(task);
        core_lane_push(w, task, now_ns);
        w->refused_ns = 0;
        if (!w->expiring && runs_come_to_an_end(w))
            core_worker_expire(w);
        core_worker_settle(w, now_ns);
    }
}
