/* Which tasks wait? Each pool's queue, what is parked beside it, and what comes later: in backoff, or delayed.
 *
 * Knows workers as lanes only. Each flow of the queue is first in, first out; what comes back from a worker goes to its
 * front, as it is older than what waits there. Tasks that a worker waits for precede the queue, first in, first out
 * among themselves. Tasks of a paused function are parked, so that none of them is in the way of the others; the walk
 * over the queue that this takes happens once, at the pause. A deadline has a timer wherever the task waits, so that
 * nobody has to look for those that are over. Never fails: the lists are intrusive; the supervisor limits their length.
 */
#include "daemon/core/core_private.h"

bool core_task_is_expired(const struct core_task *task, uint64_t now_ns)
{
    return task->expires_ns > 0 && task->attempt == 0 && now_ns >= task->expires_ns;
}

static struct core_timers *timers_of(const struct core_task *task)
{
    return &task->pool->core->timers;
}

static bool is_paused(const struct core_task *task)
{
    return task->function->paused && !task->ahead && !task->pool->closing;
}

/* Into the list that it belongs to. */
static void put(struct core_pool *pool, struct core_task *task, bool front)
{
    struct core_task_list *list = task->ahead ? &pool->ahead : &pool->parking;
    task->parked = is_paused(task);
    pool->parked += task->parked;
    if (!task->ahead && !task->parked)
        core_turns_push(task, front);
    else if (front)
        TAILQ_INSERT_HEAD(list, task, link);
    else
        TAILQ_INSERT_TAIL(list, task, link);
}

static void take(struct core_pool *pool, struct core_task *task)
{
    if (task->parked)
        TAILQ_REMOVE(&pool->parking, task, link);
    else if (task->ahead)
        TAILQ_REMOVE(&pool->ahead, task, link);
    else
        core_turns_remove(task);
    pool->parked -= task->parked;
    task->parked = false;
}

void core_queue_push(struct core_pool *pool, struct core_task *task, bool front)
{
    core_task_set_state(task, MPOOL_STATE_QUEUED);
    task->worker = NULL;
    core_turns_refund(task);
    put(pool, task, front);
    pool->queued++;
    if (task->expires_ns > 0 && task->attempt == 0)
        core_timer_arm(timers_of(task), &task->timer, CORE_TIMER_TASK_EXPIRY, task->expires_ns);
}

void core_queue_push_later(struct core_pool *pool, struct core_task *task, enum mpool_state state, uint64_t at_ns)
{
    bool delayed = state == MPOOL_STATE_DELAYED;
    core_task_set_state(task, state);
    task->worker = NULL;
    TAILQ_INSERT_TAIL(delayed ? &pool->delayed : &pool->backoff, task, link);
    ++*(delayed ? &pool->delay_count : &pool->backing_off);
    bool expires = task->expires_ns > 0 && task->attempt == 0 && task->expires_ns <= at_ns;
    core_timer_arm(timers_of(task), &task->timer, expires ? CORE_TIMER_TASK_EXPIRY : CORE_TIMER_TASK_DUE,
        expires ? task->expires_ns : at_ns);
}

void core_queue_due(struct core_task *task)
{
    bool front = task->state == MPOOL_STATE_BACKOFF;
    core_queue_remove(task->pool, task);
    core_queue_push(task->pool, task, front);
}

void core_queue_remove(struct core_pool *pool, struct core_task *task)
{
    if (task->state == MPOOL_STATE_QUEUED) {
        take(pool, task);
        pool->queued--;
    } else if (task->state == MPOOL_STATE_DELAYED) {
        TAILQ_REMOVE(&pool->delayed, task, link);
        pool->delay_count--;
    } else {
        assert(task->state == MPOOL_STATE_BACKOFF);
        TAILQ_REMOVE(&pool->backoff, task, link);
        pool->backing_off--;
    }
}

struct core_task *core_queue_any(const struct core_pool *pool)
{
    struct core_task *task = TAILQ_FIRST(&pool->ahead);
    if (!task)
        task = core_turns_first(pool->turns);
    return task ? task : TAILQ_FIRST(&pool->parking);
}

/* ---- pauses ---- */

static void park(struct core_task *task, void *userdata)
{
    if (task->function != userdata)
        return;
    take(task->pool, task);
    put(task->pool, task, false);
}

/* They were in front of what came in the meantime, in this order. function: NULL: all. */
void core_queue_unpark(struct core_pool *pool, const struct core_function *function)
{
    struct core_task *task, *before;
    for (task = TAILQ_LAST(&pool->parking, core_task_list); task; task = before) {
        before = TAILQ_PREV(task, core_task_list, link);
        if (function && task->function != function)
            continue;
        take(pool, task);
        put(pool, task, true);
    }
}

/* What no worker has claimed goes back to the queue: some of it may be paused, the rest is placed again. */
static void clear_lanes(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *w;
    TAILQ_FOREACH (w, &pool->every, every) {
        core_lane_take_back(w, 0, now_ns);
        core_worker_settle(w, now_ns);
    }
}

void core_function_pause(struct core_pool *pool, struct core_function *function, bool paused, uint64_t now_ns)
{
    if (function->paused == paused)
        return;
    function->paused = paused;
    core_pool_touch(pool);
    if (!paused) {
        core_queue_unpark(pool, function);
        return;
    }
    clear_lanes(pool, now_ns);
    core_turns_each(pool->turns, park, function);
}

void core_pool_pause(struct core_pool *pool, bool paused, uint64_t now_ns)
{
    if (pool->paused == paused)
        return;
    pool->paused = paused;
    core_pool_touch(pool);
    if (paused)
        clear_lanes(pool, now_ns);
}

bool core_pool_is_paused(const struct core_pool *pool)
{
    return pool->paused;
}

/* ---- leaders ---- */

void core_lead(struct core_task *task, uint64_t now_ns)
{
    struct core_worker *w = task->worker;
    if (task->ahead || task->ending)
        return;
    if (task->state == MPOOL_STATE_QUEUED)
        take(task->pool, task);
    task->ahead = true;
    if (task->state == MPOOL_STATE_QUEUED)
        put(task->pool, task, false);
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
