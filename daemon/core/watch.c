/* Moves tasks away from lanes where they wait needlessly; detects workers that do not claim.
 *
 * READY tasks can always be taken back, so a lane may be filled ahead and yet nothing waits long behind a slow head:
 * while another worker is idle half of it goes there after 100 µs, and after 2 ms all of it goes back to the queue and
 * nothing is placed behind that head any more, whether a worker is idle or not. Lanes are only filled ahead with tasks
 * that take at most 1 ms on average, so a head that takes 2 ms is not one of the usual ones. A worker that does not
 * even claim its head (it was stopped, or its machine is starved) loses what it was given, rests longer each time, and
 * is killed at the third; any claim clears it. Knows the time only as it is passed in. The watch timer runs only while
 * there is something to see.
 */
#include "daemon/core/core_private.h"

#define CANDIDATES 8 /* lanes that a pass looks at; the watch looks at all */

/* Half of what is behind the worker's head goes back to the queue. → false: nothing could. */
static bool take_half(struct core_worker *w, uint64_t now_ns)
{
    if (core_lane_take_back(w, w->placed - w->placed / 2, now_ns) == 0)
        return false;
    core_worker_settle(w, now_ns);
    return true;
}

static bool take_from(const struct core_worker_list *list, unsigned *budget, uint64_t now_ns)
{
    struct core_worker *w;
    TAILQ_FOREACH (w, list, link) {
        if (*budget == 0)
            return false;
        --*budget;
        if (now_ns - w->head_since_ns > CORE_BEHIND_NS && take_half(w, now_ns))
            return true; /* the list has changed under us */
    }
    return false;
}

void core_watch_take_back(struct core_pool *pool, uint64_t now_ns)
{
    unsigned budget = pool->thorough ? UINT32_MAX : CANDIDATES;
    pool->thorough = false;
    /* Each turn fills at least one idle worker, or finds that it refuses, so the loop ends. */
    while (core_pool_has_idle(pool) && !core_queue_first(pool)) {
        bool taken = false;
        for (uint64_t mask = core_pool_ahead_mask(pool); mask && !taken;) {
            unsigned length = 64 - (unsigned)__builtin_clzll(mask);
            mask &= ~(1ull << (length - 1));
            taken = (length < CORE_LANE_MAX && take_from(&pool->open[length], &budget, now_ns)) ||
                    take_from(&pool->closed[length], &budget, now_ns);
        }
        if (!taken)
            return;
        core_dispatch(pool, now_ns);
    }
}

void core_watch_suspect(struct core_worker *w, uint64_t now_ns)
{
    struct core *core = w->pool->core;
    core_lane_take_back(w, 0, now_ns);
    if (w->placed > 0) {
        core_lane_known_claimed(w);
        core_worker_settle(w, now_ns);
        return;
    }
    w->strikes++;
    if (w->strikes >= 3) {
        core_worker_kill(w, now_ns);
        return;
    }
    if (w->state == CORE_WORKER_RETIRING || w->pool->draining) {
        core_worker_settle(w, now_ns); /* it exits; if it does not, retirement has its own time-out */
        return;
    }
    w->blocked = false;
    w->refused_ns = 0;
    core_worker_set_state(w, CORE_WORKER_STUCK, now_ns);
    core_lane_file(w, false);
    core_timer_arm(
        &core->timers, &w->timer, CORE_TIMER_WORKER_REST, now_ns + (w->strikes == 1 ? 100 * CORE_MS : CORE_S));
}

void core_watch_rested(struct core_worker *w, uint64_t now_ns)
{
    core_worker_set_state(w, CORE_WORKER_IDLE, now_ns);
    core_lane_file(w, true);       /* tried again after all others */
    core_worker_settle(w, now_ns); /* a new configuration may have used up its runs in the meantime */
}

/* Workers that refused may have room now. One that has refused for long and has strikes already is treated as stuck. */
static void unblock(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *w;
    while ((w = TAILQ_FIRST(&pool->closed[0]))) {
        w->blocked = false;
        if (w->strikes > 0 && w->refused_ns != 0 && now_ns - w->refused_ns >= CORE_STUCK_NS)
            core_watch_suspect(w, now_ns);
        else
            core_lane_file(w, true);
        assert(w->bucket <= 0); /* only refusing keeps an idle worker closed */
    }
}

/* → the next in the list; this one may have left it. */
static struct core_worker *free_from_slow_head(struct core_worker *w, uint64_t now_ns)
{
    struct core_worker *next = TAILQ_NEXT(w, link);
    if (now_ns - w->head_since_ns >= CORE_OVERDUE_NS) {
        w->overdue = true;
        core_lane_take_back(w, 1, now_ns);
        core_worker_settle(w, now_ns);
    }
    return next;
}

static void free_from_slow_heads(struct core_pool *pool, uint64_t now_ns)
{
    struct core_worker *w;
    for (uint64_t mask = core_pool_ahead_mask(pool); mask;) {
        unsigned length = 64 - (unsigned)__builtin_clzll(mask);
        mask &= ~(1ull << (length - 1));
        /* Lanes become shorter here, so none is looked at twice but those that cannot be taken back from. */
        for (w = TAILQ_FIRST(&pool->closed[length]); w;)
            w = free_from_slow_head(w, now_ns);
        for (w = length < CORE_LANE_MAX ? TAILQ_FIRST(&pool->open[length]) : NULL; w;)
            w = free_from_slow_head(w, now_ns);
    }
}

void core_watch_fire(struct core_pool *pool, uint64_t now_ns)
{
    struct core *core = pool->core;
    struct core_worker *w, *next;
    unblock(pool, now_ns);
    for (w = TAILQ_FIRST(&pool->unclaimed); w && now_ns - w->head_since_ns >= CORE_STUCK_NS; w = next) {
        next = TAILQ_NEXT(w, watch);
        if (core->ops->started(core->context, w, TAILQ_FIRST(&w->lane))) {
            core_lane_known_claimed(w);
        } else if (now_ns - w->head_since_ns >= CORE_DEAF_NS) {
            w->strikes = 2; /* this is the third */
            core_watch_suspect(w, now_ns);
        } else if (core_pool_has_idle(pool)) {
            core_watch_suspect(w, now_ns);
        }
    }
    free_from_slow_heads(pool, now_ns);
    pool->thorough = true;
}

void core_watch_arm(struct core_pool *pool, uint64_t now_ns)
{
    struct core_timers *timers = &pool->core->timers;
    bool fast = core_pool_ahead_mask(pool) || (!TAILQ_EMPTY(&pool->closed[0]) && core_queue_first(pool));
    uint64_t at_ns = now_ns + (fast ? CORE_WATCH_FAST_NS : CORE_WATCH_SLOW_NS);
    if (!fast && TAILQ_EMPTY(&pool->unclaimed))
        core_timer_disarm(timers, &pool->watch_timer);
    else if (!pool->watch_timer.armed || pool->watch_timer.at_ns > at_ns)
        core_timer_arm(timers, &pool->watch_timer, CORE_TIMER_POOL_WATCH, at_ns);
}
