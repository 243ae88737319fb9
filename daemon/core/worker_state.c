/* Birth, work and death of one worker.
 *
 * Keeps the pool's counts of workers by state in step, whatever changes a state. Knows of sizes only when a newcomer
 * has to wait for the worker that it replaces. A worker that was asked to exit, or was killed, is killed again and
 * again until its death is reported: there is nothing else to wait for.
 */
#include "daemon/core/core_private.h"

static uint32_t *count_of(const struct core_worker *w)
{
    struct core_pool *p = w->pool;
    switch (w->state) {
    case CORE_WORKER_STARTING: return &p->starting;
    case CORE_WORKER_IDLE: return w->standby ? &p->standby : &p->idle;
    case CORE_WORKER_BUSY: return &p->busy;
    case CORE_WORKER_RETIRING: return &p->retiring;
    case CORE_WORKER_STUCK: return &p->stuck;
    case CORE_WORKER_DYING:
    default: return &p->dying;
    }
}

static void set_expiring(struct core_worker *w, bool expiring)
{
    if (w->expiring == expiring)
        return;
    w->expiring = expiring;
    if (expiring) {
        TAILQ_INSERT_TAIL(&w->pool->expiring, w, expiry);
        w->pool->expiring_count++;
    } else {
        TAILQ_REMOVE(&w->pool->expiring, w, expiry);
        w->pool->expiring_count--;
    }
}

static void leave_standby(struct core_worker *w)
{
    if (w->standby)
        TAILQ_REMOVE(&w->pool->standbys, w, link);
    w->standby = false;
}

static bool may_run(const struct core_worker *w)
{
    return w->state == CORE_WORKER_BUSY || w->state == CORE_WORKER_RETIRING;
}

static void set_waiting(struct core_worker *w, bool waiting)
{
    w->pool->waiting += (uint32_t)waiting - (uint32_t)w->waiting;
    w->waiting = waiting;
}

void core_worker_set_state(struct core_worker *w, enum core_worker_state state, uint64_t now_ns)
{
    --*count_of(w);
    leave_standby(w);
    if (state == CORE_WORKER_RETIRING || state == CORE_WORKER_DYING)
        set_expiring(w, false);
    w->state = state;
    w->state_ns = now_ns;
    ++*count_of(w);
    if (!may_run(w))
        set_waiting(w, false);
}

void core_worker_expire(struct core_worker *w)
{
    assert(w->state == CORE_WORKER_IDLE || w->state == CORE_WORKER_BUSY || w->state == CORE_WORKER_STUCK);
    set_expiring(w, true);
}

/* ---- waiting for other tasks ---- */

bool core_worker_may_wait(const struct core_worker *w)
{
    const struct core_pool *pool = w->pool;
    return pool->config.once || w->waiting || pool->waiting < pool->config.max_nested;
}

void core_worker_waiting(struct core_worker *w, bool waiting, uint64_t now_ns)
{
    /* Single-use workers have no place to give up. */
    if (w->waiting == waiting || !may_run(w) || w->pool->config.once)
        return;
    set_waiting(w, waiting);
    core_pool_touch(w->pool);
    /* The task it waits for may be queued behind it, so take the rest of its lane back. Its head has been claimed, or
     * nothing would be running; if it has not, the head is just as well off elsewhere. */
    if (waiting)
        core_lane_take_back(w, 0, now_ns);
    core_worker_settle(w, now_ns);
}

/* ---- the way out ---- */

static void begin_to_die(struct core_worker *w, bool killed, uint64_t now_ns)
{
    core_worker_set_state(w, CORE_WORKER_DYING, now_ns);
    w->killed = killed;
    core_lane_file(w, false);
    if (w->watched)
        TAILQ_REMOVE(&w->pool->unclaimed, w, watch);
    w->watched = false;
    core_timer_arm(&w->pool->core->timers, &w->timer, CORE_TIMER_WORKER_GONE, now_ns + CORE_RETIRE_TIMEOUT_NS);
}

void core_worker_kill(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    begin_to_die(w, true, now_ns);
    core->ops->kill_worker(core->context, w);
}

void core_worker_killed_for_task(struct core_worker *w, uint64_t now_ns)
{
    begin_to_die(w, true, now_ns);
    /* A large process may take long to die: the tasks behind need not wait for it. */
    core_lane_take_back(w, 0, now_ns);
}

void core_worker_gone_timer(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    w->killed = true;
    core_timer_arm(&core->timers, &w->timer, CORE_TIMER_WORKER_GONE, now_ns + CORE_RETIRE_TIMEOUT_NS);
    core->ops->kill_worker(core->context, w);
}

void core_worker_retire(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    switch (w->state) {
    case CORE_WORKER_STARTING:
    case CORE_WORKER_STUCK: core_worker_kill(w, now_ns); break;
    case CORE_WORKER_IDLE:
    case CORE_WORKER_BUSY:
    case CORE_WORKER_RETIRING:
        if (w->placed > 0) {
            if (w->state != CORE_WORKER_RETIRING)
                core_worker_set_state(w, CORE_WORKER_RETIRING, now_ns);
            core_lane_file(w, false);
        } else if (core->stop_over) {
            core_worker_kill(w, now_ns);
        } else {
            begin_to_die(w, false, now_ns);
            core->ops->retire(core->context, w);
        }
        break;
    case CORE_WORKER_DYING: break;
    }
}

void core_worker_settle(struct core_worker *w, uint64_t now_ns)
{
    bool empty = w->placed == 0;
    if (w->state != CORE_WORKER_IDLE && w->state != CORE_WORKER_BUSY && w->state != CORE_WORKER_RETIRING)
        return;
    bool used_up = w->pool->config.max_tasks > 0 && w->tasks_done >= w->pool->config.max_tasks;
    used_up |= w->pool->config.once && w->outdated;
    if (empty && (w->state == CORE_WORKER_RETIRING || w->pool->draining || used_up)) {
        core_worker_retire(w, now_ns);
        return;
    }
    if (w->state != CORE_WORKER_RETIRING && (w->state == CORE_WORKER_IDLE) != empty)
        core_worker_set_state(w, empty ? CORE_WORKER_IDLE : CORE_WORKER_BUSY, now_ns);
    core_lane_file(w, false);
}

/* ---- the way in ---- */

void core_worker_add(struct core_pool *pool, struct core_worker *w, uint64_t now_ns)
{
    assert(pool->asked > 0);
    pool->asked--;
    *w = (struct core_worker){.pool = pool, .state = CORE_WORKER_STARTING, .state_ns = now_ns, .bucket = -1};
    TAILQ_INIT(&w->lane);
    TAILQ_INSERT_TAIL(&pool->every, w, every);
    pool->starting++;
    /* Too late: it is no longer wanted. The timer kills it, as no op may be called in here. */
    uint64_t at_ns = pool->draining ? now_ns : core_later_ns(now_ns, pool->config.start_timeout_ms);
    if (pool->draining || pool->config.start_timeout_ms > 0)
        core_timer_arm(&pool->core->timers, &w->timer, CORE_TIMER_WORKER_START, at_ns);
    core_pool_touch(pool);
}

static void join(struct core_worker *w, uint64_t now_ns)
{
    core_worker_set_state(w, CORE_WORKER_IDLE, now_ns);
    core_lane_file(w, false);
}

void core_worker_stand_by(struct core_worker *w, uint64_t now_ns)
{
    core_worker_set_state(w, CORE_WORKER_IDLE, now_ns);
    w->pool->idle--;
    w->pool->standby++;
    w->standby = true;
    core_lane_file(w, false);
    TAILQ_INSERT_TAIL(&w->pool->standbys, w, link);
}

void core_worker_release_standby(struct core_worker *w, uint64_t now_ns)
{
    assert(w->standby);
    join(w, now_ns);
}

void core_worker_ready(struct core_worker *w, uint64_t now_ns)
{
    struct core_pool *pool = w->pool;
    core_pool_touch(pool);
    if (w->state == CORE_WORKER_DYING) {
        /* It was killed while being born, possibly before there was a process to kill. */
        pool->core->ops->kill_worker(pool->core->context, w);
        return;
    }
    assert(w->state == CORE_WORKER_STARTING);
    core_timer_disarm(&pool->core->timers, &w->timer);
    w->ready_ns = now_ns;
    if (pool->early_exits > 0 && !pool->trial)
        pool->trial = w;
    if (!w->outdated && !pool->draining)
        core_sizing_relieve(pool, now_ns);
    bool room = core_pool_active(pool) < core_pool_limit(pool);
    if (pool->draining || (w->outdated && (!room || pool->config.once))) {
        core_worker_set_state(w, CORE_WORKER_IDLE, now_ns);
        core_worker_retire(w, now_ns);
    } else if (room) {
        join(w, now_ns);
        if (w->outdated)
            core_worker_expire(w);
    } else {
        /* The worker that it replaces is still at work: both at once would be one too many. */
        core_worker_stand_by(w, now_ns);
    }
}

void core_worker_outdate(struct core_worker *w, uint64_t now_ns)
{
    w->outdated = true;
    if (w->standby || (w->pool->config.once && w->state == CORE_WORKER_IDLE))
        core_worker_retire(w, now_ns);
    else if (w->pool->config.once)
        ; /* it ends with its task anyway, and is not replaced */
    else if (w->state == CORE_WORKER_IDLE || w->state == CORE_WORKER_BUSY || w->state == CORE_WORKER_STUCK)
        core_worker_expire(w);
    core_pool_touch(w->pool);
}

/* ---- death ---- */

/* Takes the dead worker's lane apart: tasks that may run again go to the front of the queue in order, those that ended
 * with the worker into *ending. */
static void requeue_lane(struct core_worker *w, bool head_started, struct core_task_list *ending, uint64_t now_ns)
{
    struct core_task *task, *head = TAILQ_FIRST(&w->lane);
    while ((task = TAILQ_LAST(&w->lane, core_task_list))) {
        bool ran = task == head && head_started;
        TAILQ_REMOVE(&w->lane, task, link);
        w->placed--;
        w->pool->placed--;
        core_timer_disarm(&w->pool->core->timers, &task->timer);
        if (ran) {
            task->attempt++;
            task->charged_us = 0;
        }
        if (task->stop != CORE_WHY_RESULT || (ran && !core_retry_allowed(task))) {
            task->ending = true;
            TAILQ_INSERT_HEAD(ending, task, link);
        } else if (ran) {
            core_retry(task, now_ns);
        } else {
            core_queue_push(w->pool, task, true);
        }
    }
}

void core_worker_died(struct core_worker *w, bool head_started, void *report, uint64_t now_ns)
{
    struct core_pool *pool = w->pool;
    struct core_task *head = head_started ? TAILQ_FIRST(&w->lane) : NULL;
    struct core_task_list ending = TAILQ_HEAD_INITIALIZER(ending);
    bool lived = w->ready_ns != 0 && now_ns - w->ready_ns >= CORE_HEALTHY_NS;
    bool willed = w->state == CORE_WORKER_DYING;
    if (lived)
        core_sizing_healthy(w);
    core_worker_set_state(w, CORE_WORKER_DYING, now_ns);
    pool->dying--;
    core_lane_unfile(w);
    if (w->watched)
        TAILQ_REMOVE(&pool->unclaimed, w, watch);
    w->watched = false;
    core_timer_disarm(&pool->core->timers, &w->timer);
    TAILQ_REMOVE(&pool->every, w, every);
    if (pool->trial == w)
        pool->trial = NULL;
    requeue_lane(w, head_started, &ending, now_ns);
    /* A death during a task is the task's fault, and limited by its attempts. */
    if (!w->healthy && !willed && !head_started)
        core_sizing_early_exit(pool, now_ns);
    core_pool_touch(pool);
    /* Last, as finish() may submit and cancel. */
    struct core_task *task;
    while ((task = TAILQ_FIRST(&ending))) {
        TAILQ_REMOVE(&ending, task, link);
        enum core_why why = task->stop != CORE_WHY_RESULT ? (enum core_why)task->stop : CORE_WHY_LOST;
        core_task_end(task, core_stop_state(why), why, task == head ? report : NULL);
    }
}
