/* The frame: pools, the firing of timers, and the one pass that brings everything touched to rest.
 *
 * Decides nothing itself: dispatch.c chooses the worker of a task, sizing.c the number of workers, watch.c moves what
 * is not where it should be, stop.c ends what must end. Only core_new() and core_pool_new() can fail, for lack of
 * memory.
 */
#include "daemon/core/core_private.h"

#include <stdlib.h>

void core_pool_touch(struct core_pool *pool)
{
    if (pool->touched)
        return;
    pool->touched = true;
    TAILQ_INSERT_TAIL(&pool->core->touched, pool, touched_link);
}

static void untouch(struct core_pool *pool)
{
    if (pool->touched)
        TAILQ_REMOVE(&pool->core->touched, pool, touched_link);
    pool->touched = false;
}

uint64_t core_later_ns(uint64_t now_ns, uint64_t delay_ms)
{
    uint64_t delay_ns, at_ns;
    if (__builtin_mul_overflow(delay_ms, CORE_MS, &delay_ns) || __builtin_add_overflow(now_ns, delay_ns, &at_ns))
        return UINT64_MAX;
    return at_ns;
}

/* ---- core and pools ---- */

struct core *core_new(const struct core_ops *ops, void *context)
{
    struct core *core = calloc(1, sizeof *core);
    if (!core)
        return NULL;
    core->ops = ops;
    core->context = context;
    TAILQ_INIT(&core->pools);
    TAILQ_INIT(&core->touched);
    return core;
}

void core_free(struct core *core)
{
    if (!core)
        return;
    assert(TAILQ_EMPTY(&core->pools));
    free(core);
}

static bool is_sound(const struct core_pool_config *config)
{
    if (config->once)
        return config->min == 0 && config->max >= 1 && config->max_tasks == 1;
    return 1 <= config->min && config->min <= config->max;
}

struct core_pool *core_pool_new(struct core *core, const struct core_pool_config *config, void *userdata)
{
    struct core_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    assert(is_sound(config));
    pool->turns = core_turns_new();
    if (!pool->turns) {
        free(pool);
        return NULL;
    }
    pool->core = core;
    pool->config = *config;
    pool->userdata = userdata;
    pool->draining = core->stopping;
    TAILQ_INIT(&pool->ahead);
    TAILQ_INIT(&pool->backoff);
    TAILQ_INIT(&pool->delayed);
    TAILQ_INIT(&pool->parking);
    TAILQ_INIT(&pool->every);
    TAILQ_INIT(&pool->standbys);
    TAILQ_INIT(&pool->unclaimed);
    TAILQ_INIT(&pool->expiring);
    for (unsigned i = 0; i < CORE_LANE_MAX; i++)
        TAILQ_INIT(&pool->open[i]);
    for (unsigned i = 0; i <= CORE_LANE_MAX; i++)
        TAILQ_INIT(&pool->closed[i]);
    TAILQ_INSERT_TAIL(&core->pools, pool, link);
    return pool;
}

static bool is_empty(const struct core_pool *pool)
{
    return pool->queued + pool->backing_off + pool->delay_count == 0 && TAILQ_EMPTY(&pool->every) && pool->asked == 0;
}

void core_pool_free(struct core_pool *pool)
{
    if (!pool)
        return;
    struct core *core = pool->core;
    assert(is_empty(pool));
    untouch(pool);
    core_timer_disarm(&core->timers, &pool->watch_timer);
    core_timer_disarm(&core->timers, &pool->idle_timer);
    core_timer_disarm(&core->timers, &pool->spawn_timer);
    TAILQ_REMOVE(&core->pools, pool, link);
    core_turns_free(pool->turns);
    free(pool);
}

void *core_pool_userdata(const struct core_pool *pool)
{
    return pool->userdata;
}

const struct core_pool_config *core_pool_config(const struct core_pool *pool)
{
    return &pool->config;
}

const struct core_worker_list *core_pool_workers(const struct core_pool *pool)
{
    return &pool->every;
}

void core_pool_counts(const struct core_pool *pool, struct core_pool_counts *ret)
{
    *ret = (struct core_pool_counts){
        .queued = pool->queued + pool->backing_off + pool->delay_count,
        .placed = pool->placed,
        .workers = core_pool_active(pool) + core_pool_pending(pool),
        .idle = pool->idle + pool->standby,
        .busy = pool->busy + pool->retiring,
        .starting = pool->starting + pool->asked,
        .waiting = pool->waiting,
        .throttled_until_ns = pool->early_exits > 1 ? pool->throttled_until_ns : 0,
    };
}

void core_pool_open(struct core_pool *pool)
{
    pool->opened = true;
    pool->given_up = false;
    core_sizing_reset(pool);
    core_pool_touch(pool);
}

void core_pool_suspend(struct core_pool *pool)
{
    pool->opened = false;
    core_pool_touch(pool);
}

void core_pool_give_up(struct core_pool *pool)
{
    assert(!pool->opened);
    pool->given_up = true;
    core_pool_touch(pool);
}

void core_pool_reconfigure(struct core_pool *pool, const struct core_pool_config *config, uint64_t now_ns)
{
    struct core_worker *w, *next;
    assert(is_sound(config) && config->once == pool->config.once);
    pool->config = *config;
    for (w = TAILQ_FIRST(&pool->every); w; w = next) {
        next = TAILQ_NEXT(w, every);
        core_worker_outdate(w, now_ns);
        core_worker_settle(w, now_ns); /* a new max_tasks may have used up its runs, or given it more */
    }
    core_pool_touch(pool);
}

/* ---- tasks come and end ---- */

static void submit(struct core_task *task, bool front, bool ahead, uint64_t now_ns)
{
    task->state = MPOOL_STATE_BACKOFF; /* a legal state to be queued from; the task starts over */
    task->attempt = 0;
    task->position = 0;
    task->stop = CORE_WHY_RESULT;
    task->killing = task->ending = task->parked = false;
    task->ahead = ahead;
    task->timer = (struct core_timer){0};
    assert(task->flow->pool == task->pool);
    core_turns_enter(task);
    if (task->start_ns > now_ns)
        core_queue_push_later(task->pool, task, MPOOL_STATE_DELAYED, task->start_ns);
    else
        core_queue_push(task->pool, task, front);
    core_pool_touch(task->pool);
}

void core_submit(struct core_task *task, uint64_t now_ns)
{
    submit(task, false, false, now_ns);
}

void core_submit_front(struct core_task *task, uint64_t now_ns)
{
    submit(task, true, false, now_ns);
}

void core_submit_ahead(struct core_task *task, uint64_t now_ns)
{
    submit(task, false, true, now_ns);
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

void core_task_done(struct core_task *task, enum core_result result, uint64_t run_ns, void *report, uint64_t now_ns)
{
    struct core_worker *w = task->worker;
    struct core_pool *pool = task->pool;
    assert(task->state == MPOOL_STATE_PLACED && task == TAILQ_FIRST(&w->lane));
    task->attempt++;
    w->tasks_done++;
    w->strikes = 0;
    w->blocked = false;
    w->refused_ns = 0;
    core_sizing_healthy(w);
    /* The worker reports it, and may lie: the run cannot have been longer than the worker's life. */
    if (run_ns > now_ns - w->ready_ns)
        run_ns = now_ns - w->ready_ns;
    if (task->chunk)
        average(&task->function->chunk_mean_ns, &task->function->chunk_runs, run_ns);
    else
        average(&task->function->mean_ns, &task->function->runs, run_ns);
    core_turns_correct(task, run_ns);
    core_timer_disarm(&pool->core->timers, &task->timer);
    core_lane_remove(w, task, now_ns);
    core_worker_settle(w, now_ns);
    core_pool_touch(pool);
    if (result == CORE_RESULT_FAILED_RETRYABLE && core_retry_allowed(task))
        core_retry(task, now_ns);
    else
        core_task_end(task, result == CORE_RESULT_OK ? MPOOL_STATE_DONE : MPOOL_STATE_FAILED, CORE_WHY_RESULT, report);
}

/* ---- the pass ---- */

static void fire(struct core *core, struct core_timer *timer, uint64_t now_ns)
{
    struct core_task *task = CORE_CONTAINER(timer, struct core_task, timer);
    struct core_worker *worker = CORE_CONTAINER(timer, struct core_worker, timer);
    switch ((enum core_timer_kind)timer->kind) {
    case CORE_TIMER_TASK_DUE:
        core_pool_touch(task->pool);
        if (core_task_is_expired(task, now_ns)) /* the loop is late */
            core_stop_expired(task, now_ns);
        else
            core_queue_due(task);
        break;
    case CORE_TIMER_TASK_EXPIRY:
        core_pool_touch(task->pool);
        core_stop_expired(task, now_ns);
        break;
    case CORE_TIMER_TASK_GRACE:
        core_pool_touch(task->pool);
        core_stop_grace_over(task, now_ns);
        break;
    case CORE_TIMER_WORKER_START:
        core_pool_touch(worker->pool);
        core_sizing_late_birth(worker->pool, now_ns);
        core_worker_kill(worker, now_ns);
        break;
    case CORE_TIMER_WORKER_HEAD:
        core_pool_touch(worker->pool);
        core_stop_head_timeout(worker, now_ns);
        break;
    case CORE_TIMER_WORKER_REST:
        core_pool_touch(worker->pool);
        core_watch_rested(worker, now_ns);
        break;
    case CORE_TIMER_WORKER_GONE: core_worker_gone_timer(worker, now_ns); break;
    case CORE_TIMER_POOL_WATCH: {
        struct core_pool *pool = CORE_CONTAINER(timer, struct core_pool, watch_timer);
        core_pool_touch(pool);
        core_watch_fire(pool, now_ns);
        break;
    }
    case CORE_TIMER_POOL_IDLE: core_pool_touch(CORE_CONTAINER(timer, struct core_pool, idle_timer)); break;
    case CORE_TIMER_POOL_SPAWN: core_pool_touch(CORE_CONTAINER(timer, struct core_pool, spawn_timer)); break;
    case CORE_TIMER_STOP: core_stop_deadline(core, now_ns); break;
    }
}

static void bring_to_rest(struct core_pool *pool, uint64_t now_ns)
{
    struct core *core = pool->core;
    while (core->stopping && core_stop_flush_one(pool, CORE_WHY_SHUTDOWN))
        ;
    while (core_pool_is_down(pool, now_ns) && core_stop_flush_one(pool, CORE_WHY_DOWN))
        ; /* finish() may cancel, and so free a worker for the remaining tasks */
    bool waits = pool->queued + pool->backing_off + pool->delay_count > 0;
    if (pool->closing && !waits && !pool->draining)
        core_stop_drain(pool, now_ns);
    else if (waits && !core->stopping)
        pool->draining = false; /* a dead worker's task came back and must be run */
    core_sizing_shrink(pool, now_ns);
    core_dispatch(pool, now_ns);
    core_watch_take_back(pool, now_ns);
    core_sizing_grow(pool, now_ns);
    core_sizing_idle(pool, now_ns);
    core_watch_arm(pool, now_ns);
    if (pool->queued + pool->backing_off > 0 && core_pool_is_down(pool, now_ns))
        core_pool_touch(pool); /* its last worker has just left, or has been assigned */
    if (pool->closing && !pool->empty_reported && is_empty(pool)) {
        pool->empty_reported = true;
        core->ops->pool_empty(core->context, pool);
    }
}

void core_run(struct core *core, uint64_t now_ns)
{
    struct core_timer *timer;
    struct core_pool *pool;
    while ((timer = core_timer_first(&core->timers)) && timer->at_ns <= now_ns) {
        core_timer_disarm(&core->timers, timer);
        fire(core, timer, now_ns);
    }
    while ((pool = TAILQ_FIRST(&core->touched))) {
        untouch(pool);
        bring_to_rest(pool, now_ns);
    }
}

uint64_t core_next_ns(const struct core *core)
{
    const struct core_timer *timer = core_timer_first(&core->timers);
    if (!TAILQ_EMPTY(&core->touched))
        return 0; /* something happened since the last pass */
    return timer ? timer->at_ns : UINT64_MAX;
}

bool core_is_empty(const struct core *core)
{
    const struct core_pool *pool;
    TAILQ_FOREACH (pool, &core->pools, link)
        if (!is_empty(pool))
            return false;
    return true;
}
