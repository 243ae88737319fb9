/* Which worker has how many tasks, and which may be given more? Lanes as the core knows them, and the buckets over
 * them.
 *
 * Every worker that may hold tasks is filed by the length of its lane: under open[] when it may be given another one,
 * under closed[] when not. Masks show which buckets are not empty, so the shortest open and the longest lane are found
 * without looking at workers. A change of a lane refiles its worker; a change of a function's mean does not, so an open
 * worker is checked again before it is given more. Never fails.
 */
#include "daemon/core/core_private.h"

enum { BUCKET_NONE = -1, BUCKET_CLOSED = CORE_LANE_MAX }; /* below: open, by length; from here on: closed */

uint32_t core_task_depth(const struct core_task *task)
{
    static const struct {
        uint64_t mean_ns;
        uint32_t depth;
    } steps[] = {{10 * CORE_US, 64}, {50 * CORE_US, 16}, {200 * CORE_US, 4}, {CORE_MS, 2}};
    uint64_t mean = core_task_mean_ns(task);
    if (task->alone || mean == 0) /* unknown: it may take long */
        return 1;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (mean <= steps[i].mean_ns)
            return steps[i].depth;
    return 1;
}

uint32_t core_worker_runs_left(const struct core_worker *w)
{
    uint32_t all = w->pool->config.max_tasks;
    uint64_t given = (uint64_t)w->tasks_done + w->placed;
    if (all == 0)
        return UINT32_MAX;
    return given >= all ? 0 : (uint32_t)(all - given);
}

bool core_worker_accepts(const struct core_worker *w)
{
    if ((w->state != CORE_WORKER_IDLE && w->state != CORE_WORKER_BUSY) || w->standby)
        return false;
    if (w->blocked || w->overdue || core_worker_runs_left(w) == 0 || w->waiting)
        return false;
    return w->placed == 0 || w->placed < core_task_depth(TAILQ_FIRST(&w->lane));
}

void core_lane_unfile(struct core_worker *w)
{
    struct core_pool *p = w->pool;
    if (w->bucket == BUCKET_NONE)
        return;
    if (w->bucket < BUCKET_CLOSED) {
        unsigned n = (unsigned)w->bucket;
        TAILQ_REMOVE(&p->open[n], w, link);
        if (TAILQ_EMPTY(&p->open[n]))
            p->open_mask &= ~(1ull << n);
    } else {
        unsigned n = (unsigned)w->bucket - BUCKET_CLOSED;
        TAILQ_REMOVE(&p->closed[n], w, link);
        if (n > 0 && TAILQ_EMPTY(&p->closed[n]))
            p->closed_mask &= ~(1ull << (n - 1));
    }
    w->bucket = BUCKET_NONE;
}

void core_lane_file(struct core_worker *w, bool cold)
{
    struct core_pool *p = w->pool;
    bool filed = (w->state == CORE_WORKER_IDLE && !w->standby) || w->state == CORE_WORKER_BUSY ||
                 w->state == CORE_WORKER_RETIRING;
    int16_t bucket = BUCKET_NONE;
    if (filed)
        bucket = (int16_t)(core_worker_accepts(w) ? w->placed : BUCKET_CLOSED + w->placed);
    if (bucket == w->bucket)
        return;
    core_lane_unfile(w);
    if (bucket == BUCKET_NONE)
        return;
    w->bucket = bucket;
    if (bucket < BUCKET_CLOSED) {
        /* Of the idle workers the warmest comes first; of the others the one that has waited longest for more. */
        if (bucket == 0 && !cold)
            TAILQ_INSERT_HEAD(&p->open[0], w, link);
        else
            TAILQ_INSERT_TAIL(&p->open[w->placed], w, link);
        p->open_mask |= 1ull << w->placed;
    } else {
        TAILQ_INSERT_TAIL(&p->closed[w->placed], w, link);
        if (w->placed > 0)
            p->closed_mask |= 1ull << (w->placed - 1);
    }
}

static void watch_head(struct core_worker *w, bool watch)
{
    bool watched = w->watched;
    if (watched)
        TAILQ_REMOVE(&w->pool->unclaimed, w, watch);
    if (watch)
        TAILQ_INSERT_TAIL(&w->pool->unclaimed, w, watch);
    w->watched = watch;
}

void core_lane_known_claimed(struct core_worker *w)
{
    w->claimed = true;
    w->strikes = 0;
    watch_head(w, false);
}

/* From now on the lane has another head, or none. */
static void head_changed(struct core_worker *w, uint64_t now_ns)
{
    struct core_timers *timers = &w->pool->core->timers;
    struct core_task *head = TAILQ_FIRST(&w->lane);
    bool dying = w->state == CORE_WORKER_DYING;
    w->claimed = w->overdue = false;
    w->head_since_ns = now_ns;
    watch_head(w, head && !dying);
    if (dying)
        return; /* its timer is waiting for its death */
    if (head && head->timeout_ms > 0 && head->stop == CORE_WHY_RESULT)
        core_timer_arm(timers, &w->timer, CORE_TIMER_WORKER_HEAD, core_later_ns(now_ns, head->timeout_ms));
    else
        core_timer_disarm(timers, &w->timer);
}

void core_lane_push(struct core_worker *w, struct core_task *task, uint64_t now_ns)
{
    core_task_set_state(task, MPOOL_STATE_PLACED);
    task->worker = w;
    TAILQ_INSERT_TAIL(&w->lane, task, link);
    w->pool->placed++;
    if (++w->placed == 1)
        head_changed(w, now_ns);
}

void core_lane_remove(struct core_worker *w, struct core_task *task, uint64_t now_ns)
{
    bool was_head = task == TAILQ_FIRST(&w->lane);
    TAILQ_REMOVE(&w->lane, task, link);
    w->pool->placed--;
    w->placed--;
    if (was_head)
        head_changed(w, now_ns);
}

uint32_t core_lane_take_back(struct core_worker *w, uint32_t keep, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    uint32_t n = 0;
    while (w->placed > keep) {
        struct core_task *last = TAILQ_LAST(&w->lane, core_task_list);
        if (last->stop != CORE_WHY_RESULT || !core->ops->reclaim(core->context, w, last))
            break; /* this task has been claimed, and so have all before it */
        core_lane_remove(w, last, now_ns);
        core_queue_push(w->pool, last, true);
        n++;
    }
    return n;
}
