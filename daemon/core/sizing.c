/* How many workers does a pool have? Minimum, demand, replacement, idle time-out, and the throttle.
 *
 * Workers that stay or are starting (core_pool_fresh) are kept within min..max. One that leaves is replaced ahead, so
 * the total may exceed max by those that are being replaced; but no more than max are at work at once: a new worker is
 * held in standby until there is room. A worker that waits for other tasks gives up its place to another one; when it
 * resumes there is one too many, which becomes standby or, if busy, is retired. Workers that die before they have done
 * anything throttle their pool's spawns: the first is free, then 100 ms · 2^n, one at a time, until one has proved
 * healthy; after CORE_DOWN_BIRTHS of them a pool without workers is down. Knows no tasks, only how many wait.
 */
#include "daemon/core/core_private.h"

/* ---- the throttle ---- */

void core_sizing_reset(struct core_pool *pool)
{
    pool->early_exits = 0;
    pool->throttled_until_ns = 0;
    pool->trial = NULL;
}

void core_sizing_healthy(struct core_worker *w)
{
    if (w->healthy)
        return;
    w->healthy = true;
    core_sizing_reset(w->pool);
}

void core_sizing_early_exit(struct core_pool *pool, uint64_t now_ns)
{
    /* Without a forkserver, or while it drains, the death shows nothing. A batch that was spawned together counts
     * once. */
    if (!pool->opened || pool->draining || now_ns < pool->throttled_until_ns)
        return;
    if (pool->early_exits < UINT32_MAX)
        pool->early_exits++;
    pool->throttled_until_ns = pool->early_exits < 2 ? now_ns : now_ns + core_retry_step_ns(pool->early_exits - 2);
}

void core_sizing_late_birth(struct core_pool *pool, uint64_t now_ns)
{
    core_sizing_early_exit(pool, now_ns);
    /* Waiting tasks have waited for long already. */
    if (pool->early_exits > 0 && pool->early_exits < CORE_DOWN_BIRTHS)
        pool->early_exits = CORE_DOWN_BIRTHS;
}

bool core_pool_is_down(const struct core_pool *pool, uint64_t now_ns)
{
    if (!pool->given_up && pool->early_exits < CORE_DOWN_BIRTHS)
        return false;
    if (pool->config.once) /* the running ones take no other task; a birth that is pending, or may be tried, does */
        return pool->idle + pool->stuck == 0 &&
               (pool->given_up || (pool->asked + pool->starting == 0 && now_ns < pool->throttled_until_ns));
    /* All active workers wait for other tasks, and so for these. */
    return core_pool_active(pool) == pool->waiting && pool->standby == 0;
}

void core_spawn_failed(struct core_pool *pool, uint64_t now_ns)
{
    assert(pool->asked > 0);
    pool->asked--;
    core_sizing_early_exit(pool, now_ns);
    core_pool_touch(pool);
}

/* → true: one may be spawned now. Otherwise the timer, or an event, will retry. */
static bool may_spawn(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *trial = pool->trial;
    if (trial && now_ns - trial->ready_ns >= CORE_HEALTHY_NS)
        core_sizing_healthy(trial);
    if (pool->early_exits == 0)
        return true;
    if (pool->asked + pool->starting > 0)
        return false;
    if (now_ns >= pool->throttled_until_ns)
        return true;
    uint64_t at_ns = pool->throttled_until_ns;
    if (trial && trial->ready_ns + CORE_HEALTHY_NS < at_ns)
        at_ns = trial->ready_ns + CORE_HEALTHY_NS;
    core_timer_arm(&pool->core->timers, &pool->spawn_timer, CORE_TIMER_POOL_SPAWN, at_ns);
    return false;
}

/* ---- growing ---- */

/* How many newcomers may be starting while the workers that they replace go on: a reload of a large pool neither
 * doubles it nor occupies all processors. */
static uint32_t batch(const struct core_pool *pool)
{
    return pool->config.max / 4 > CORE_BATCH_MIN ? pool->config.max / 4 : CORE_BATCH_MIN;
}

static bool wants_one_more(const struct core_pool *pool)
{
    uint32_t fresh = core_pool_fresh(pool), pending = core_pool_pending(pool);
    uint32_t leaving = pool->closing || pool->config.once ? 0 : pool->retiring + pool->expiring_count;
    if (!pool->opened || pool->draining || fresh >= core_pool_limit(pool))
        return false;
    if (pool->expiring_count > 0 && pending >= batch(pool))
        return false;
    if (!pool->closing && (fresh < pool->config.min || pending < leaving))
        return true;
    /* Replacements add nothing: only the others will take what waits. */
    uint32_t spare = pending > leaving ? pending - leaving : 0;
    uint64_t runnable = core_pool_pauses(pool) ? !TAILQ_EMPTY(&pool->ahead) : pool->queued - pool->parked;
    return runnable > spare && !core_pool_has_idle(pool);
}

void core_sizing_grow(struct core_pool *pool, uint64_t now_ns)
{
    struct core *core = pool->core;
    core_timer_disarm(&core->timers, &pool->spawn_timer);
    while (wants_one_more(pool) && may_spawn(pool, now_ns)) {
        pool->asked++;
        core->ops->spawn(core->context, pool);
    }
}

/* ---- shrinking ---- */

void core_sizing_relieve(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *w;
    TAILQ_FOREACH (w, &pool->expiring, expiry)
        if (w->state == CORE_WORKER_IDLE)
            break;
    if (!w)
        w = TAILQ_FIRST(&pool->expiring);
    if (w)
        core_worker_retire(w, now_ns);
}

static bool has_one_too_many(const struct core_pool *pool)
{
    return core_pool_active(pool) - pool->retiring > core_pool_limit(pool);
}

/* A worker to remove when one that waited resumes and too many are at work: an idle one, which can be held in standby
 * for the next time, else the youngest that may go. NULL: there is none. */
static struct core_worker *dispensable(const struct core_pool *pool)
{
    struct core_worker *w, *busy = NULL;
    TAILQ_FOREACH_REVERSE(w, &pool->every, core_worker_list, every)
    {
        if (w->state == CORE_WORKER_IDLE && !w->standby)
            return w;
        if (!busy && w->state == CORE_WORKER_BUSY && !w->waiting)
            busy = w;
    }
    return busy;
}

void core_sizing_shrink(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *w;
    while (has_one_too_many(pool) && !TAILQ_EMPTY(&pool->expiring))
        core_sizing_relieve(pool, now_ns); /* a smaller max: there will be no replacement to wait for */
    while (has_one_too_many(pool) && (w = dispensable(pool))) {
        if (w->state == CORE_WORKER_IDLE)
            core_worker_stand_by(w, now_ns);
        else
            core_worker_retire(w, now_ns);
    }
    while ((w = TAILQ_FIRST(&pool->standbys)) && core_pool_active(pool) < core_pool_limit(pool))
        core_worker_release_standby(w, now_ns);
}

struct core_worker *core_sizing_idlest(const struct core_pool *pool)
{
    struct core_worker *coldest = TAILQ_LAST(&pool->open[0], core_worker_list);
    /* Standby workers beyond the number of those that leave get no place, so they count as idle. */
    struct core_worker *parked =
        pool->standby > pool->retiring + pool->expiring_count ? TAILQ_FIRST(&pool->standbys) : NULL;
    if (!coldest || !parked)
        return coldest ? coldest : parked;
    return parked->state_ns < coldest->state_ns ? parked : coldest;
}

void core_sizing_idle(struct core_pool *pool, uint64_t now_ns)
{
    struct core_timers *timers = &pool->core->timers;
    struct core_worker *coldest;
    while (pool->config.idle_timeout_ms > 0 && core_pool_fresh(pool) > pool->config.min &&
           (coldest = core_sizing_idlest(pool))) {
        uint64_t at_ns = core_later_ns(coldest->state_ns, pool->config.idle_timeout_ms);
        if (at_ns > now_ns) {
            core_timer_arm(timers, &pool->idle_timer, CORE_TIMER_POOL_IDLE, at_ns);
            return;
        }
        core_worker_retire(coldest, now_ns);
        core_sizing_shrink(pool, now_ns); /* that may have made room for a standby worker */
        core_pool_touch(pool);            /* or for a replacement: look once more */
    }
    core_timer_disarm(timers, &pool->idle_timer);
}
