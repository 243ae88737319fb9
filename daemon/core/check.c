/* Is the core's own book-keeping consistent, and has it left anything undone? For tests only.
 *
 * Counts everything again from the lists that own it and compares. It trusts only the lists `every`, `lane`, `queue`
 * and `backoff`. After a pass of core_run() it also checks what must not be: a task that waits beside an idle worker, a
 * wait without the timer that ends it, a timer without anything to wait for. Aborts at the first mistake.
 */
#include "daemon/core/core_private.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "core_check: %s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct tally {
    uint32_t starting, idle, standby, busy, stuck, retiring, dying, expiring, placed, filed, watched, waiting;
};

static void check_timer(const struct core_timer *timer, bool wanted, enum core_timer_kind kind)
{
    CHECK(timer->armed == wanted);
    if (wanted)
        CHECK(timer->kind == kind);
}

static void check_lane(const struct core_worker *w, struct tally *tally)
{
    const struct core_task *task;
    uint32_t n = 0;
    TAILQ_FOREACH (task, &w->lane, link) {
        CHECK(task->state == MPOOL_STATE_PLACED && task->worker == w && task->pool == w->pool && !task->ending);
        CHECK(!task->timer.armed || task->timer.kind == CORE_TIMER_TASK_EXPIRY ||
              (task->timer.kind == CORE_TIMER_TASK_GRACE && task->stop != CORE_WHY_RESULT));
        CHECK(!task->killing || (w->state == CORE_WORKER_DYING && w->killed && task->stop != CORE_WHY_RESULT));
        CHECK(!task->alone || w->placed == 1);
        n++;
    }
    CHECK(n == w->placed && n <= CORE_LANE_MAX);
    tally->placed += n;
}

static void check_worker_timer(const struct core_worker *w)
{
    const struct core_task *head = TAILQ_FIRST(&w->lane);
    switch (w->state) {
    case CORE_WORKER_STARTING:
        check_timer(&w->timer, w->timer.armed || w->pool->config.start_timeout_ms > 0, CORE_TIMER_WORKER_START);
        break;
    case CORE_WORKER_STUCK: check_timer(&w->timer, true, CORE_TIMER_WORKER_REST); break;
    case CORE_WORKER_DYING: check_timer(&w->timer, true, CORE_TIMER_WORKER_GONE); break;
    case CORE_WORKER_IDLE: check_timer(&w->timer, false, CORE_TIMER_WORKER_HEAD); break;
    case CORE_WORKER_BUSY:
    case CORE_WORKER_RETIRING:
        check_timer(&w->timer, head->timeout_ms > 0 && head->stop == CORE_WHY_RESULT, CORE_TIMER_WORKER_HEAD);
    }
}

static void check_worker(const struct core_worker *w, struct tally *tally)
{
    const struct core_pool *p = w->pool;
    bool open = w->bucket >= 0 && w->bucket < (int)CORE_LANE_MAX;
    CHECK(!w->standby || w->state == CORE_WORKER_IDLE);
    switch (w->state) {
    case CORE_WORKER_STARTING: tally->starting++; break;
    case CORE_WORKER_IDLE: w->standby ? tally->standby++ : tally->idle++; break;
    case CORE_WORKER_BUSY: tally->busy++; break;
    case CORE_WORKER_STUCK: tally->stuck++; break;
    case CORE_WORKER_RETIRING: tally->retiring++; break;
    case CORE_WORKER_DYING: tally->dying++; break;
    }
    bool has_lane = w->state == CORE_WORKER_BUSY || w->state == CORE_WORKER_RETIRING;
    CHECK(has_lane == (w->placed > 0) || w->state == CORE_WORKER_DYING);
    CHECK((w->bucket >= 0) == ((w->state == CORE_WORKER_IDLE && !w->standby) || has_lane));
    if (w->bucket >= 0)
        CHECK((uint32_t)w->bucket % CORE_LANE_MAX == w->placed % CORE_LANE_MAX);
    if (w->state == CORE_WORKER_IDLE && !w->standby)
        CHECK(open == !w->blocked);
    CHECK(!w->overdue || w->placed > 0);
    if (open)
        CHECK(!w->overdue && !w->blocked && core_worker_runs_left(w) > 0 && !w->waiting);
    CHECK(!w->waiting || (has_lane && !p->config.once));
    tally->waiting += w->waiting;
    tally->filed += w->bucket >= 0;
    tally->expiring += w->expiring;
    tally->watched += w->watched;
    CHECK(!w->expiring || w->state == CORE_WORKER_IDLE || has_lane || w->state == CORE_WORKER_STUCK);
    CHECK(!w->outdated || w->expiring || w->state == CORE_WORKER_STARTING || w->state == CORE_WORKER_RETIRING ||
          w->state == CORE_WORKER_DYING || (p->config.once && w->state != CORE_WORKER_IDLE));
    CHECK(w->watched == (has_lane && !w->claimed));
    CHECK(!p->draining || w->state == CORE_WORKER_STARTING || has_lane || w->state == CORE_WORKER_DYING);
    check_worker_timer(w);
    check_lane(w, tally);
}

static uint32_t check_buckets(const struct core_pool *p)
{
    const struct core_worker *w;
    uint32_t n = 0;
    for (unsigned i = 0; i < CORE_LANE_MAX; i++) {
        CHECK((p->open_mask >> i & 1) == !TAILQ_EMPTY(&p->open[i]));
        TAILQ_FOREACH (w, &p->open[i], link) {
            CHECK(w->bucket == (int)i && w->placed == i);
            n++;
        }
    }
    for (unsigned i = 0; i <= CORE_LANE_MAX; i++) {
        if (i > 0)
            CHECK((p->closed_mask >> (i - 1) & 1) == !TAILQ_EMPTY(&p->closed[i]));
        TAILQ_FOREACH (w, &p->closed[i], link) {
            CHECK(w->bucket == (int)(CORE_LANE_MAX + i) && w->placed == i);
            n++;
        }
    }
    return n;
}

static uint64_t check_queued(const struct core_task_list *list, bool ahead, bool parked)
{
    const struct core_task *task;
    uint64_t n = 0;
    TAILQ_FOREACH (task, list, link) {
        CHECK(task->state == MPOOL_STATE_QUEUED && !task->worker && !task->stop);
        check_timer(&task->timer, task->expires_ns > 0 && task->attempt == 0, CORE_TIMER_TASK_EXPIRY);
        CHECK(task->ahead == ahead && task->parked == parked && task->charged_us == 0);
        n++;
    }
    return n;
}

/* depth: 0 for a flow, more above. → how many tasks wait below it. */
static uint64_t check_node(const struct core_pool *p, const struct core_node *n, unsigned depth)
{
    const struct core_flow *flow = CORE_CONTAINER(n, const struct core_flow, node);
    const struct core_task *task;
    const struct core_node *child;
    uint32_t members = 0, children = 0;
    uint64_t waiting = 0;
    LIST_FOREACH (child, &n->children, sibling) {
        CHECK(depth > 0 && child->parent == n);
        waiting += check_node(p, child, depth - 1);
        members += child->members > 0;
        children++;
    }
    if (depth == 0) {
        CHECK(flow->pool == p && flow->length <= n->members);
        waiting = check_queued(&flow->tasks, false, false);
        TAILQ_FOREACH (task, &flow->tasks, link)
            CHECK(!task->function->paused || p->closing);
        CHECK(waiting == flow->length);
    } else {
        CHECK(members == n->members && (waiting > 0) == (n->turns.root != NULL));
    }
    CHECK(n->references >= children && n->references > 0);
    CHECK(n->place.armed == (waiting > 0 && n->parent));
    if (n->place.armed && n->parent->parent)
        CHECK(n->used_ns >= n->place.at_ns && n->used_ns < n->place.at_ns + 100 * CORE_US);
    return waiting;
}

static void check_lists(const struct core_pool *p, const struct tally *tally)
{
    const struct core_worker *w;
    const struct core_task *task;
    uint64_t n = 0;
    CHECK(check_queued(&p->parking, false, true) == p->parked);
    CHECK(check_queued(&p->ahead, true, false) + check_node(p, p->turns, 4) + p->parked == p->queued);
    TAILQ_FOREACH (task, &p->parking, link)
        CHECK(task->function->paused && !p->closing);
    TAILQ_FOREACH (task, &p->backoff, link) {
        CHECK(task->state == MPOOL_STATE_BACKOFF && task->timer.kind == CORE_TIMER_TASK_DUE && !task->stop);
        CHECK(task->timer.armed && task->attempt < task->attempts);
        n++;
    }
    CHECK(n == p->backing_off);
    n = 0;
    TAILQ_FOREACH (task, &p->delayed, link) {
        CHECK(task->state == MPOOL_STATE_DELAYED && task->timer.armed && !task->stop && task->attempt == 0);
        CHECK(task->timer.at_ns <= task->start_ns);
        n++;
    }
    CHECK(n == p->delay_count);
    uint32_t standbys = 0, expiring = 0, watched = 0;
    TAILQ_FOREACH (w, &p->standbys, link)
        standbys++;
    TAILQ_FOREACH (w, &p->expiring, expiry)
        expiring++;
    uint64_t since_ns = 0;
    TAILQ_FOREACH (w, &p->unclaimed, watch) {
        CHECK(w->head_since_ns >= since_ns);
        since_ns = w->head_since_ns;
        watched++;
    }
    CHECK(standbys == tally->standby && expiring == tally->expiring && watched == tally->watched);
}

/* Checks that no work is left after a pass without anything that will trigger it. */
static void check_rest(const struct core_pool *p, uint64_t now_ns)
{
    const struct core *core = p->core;
    bool waits = core_queue_first(p) != NULL;
    uint32_t fresh = core_pool_fresh(p), pending = core_pool_pending(p);
    CHECK(!p->touched);
    CHECK(!waits || !core_pool_has_idle(p)); /* an idle worker may be given anything */
    CHECK((!core->stopping && !core_pool_is_down(p, now_ns)) || (!waits && TAILQ_EMPTY(&p->backoff)));
    uint32_t limit = core_pool_limit(p);
    CHECK(p->standby == 0 || core_pool_active(p) >= limit);
    if (p->opened && !p->draining && p->early_exits == 0) {
        CHECK(p->closing || fresh >= p->config.min || (p->expiring_count > 0 && pending >= CORE_BATCH_MIN));
        CHECK(!waits || fresh >= limit || pending > 0);
        CHECK(p->closing || p->expiring_count == 0 || pending > 0 || fresh >= limit);
        CHECK(!p->config.once || p->expiring_count == 0);
    } else if (p->opened && !p->draining && p->asked + p->starting == 0) {
        bool wants = (waits && p->standby == 0) || (!p->closing && fresh < p->config.min);
        CHECK(!wants || fresh >= limit || p->spawn_timer.armed);
    }
    bool watches = !TAILQ_EMPTY(&p->unclaimed) || core_pool_ahead_mask(p) || (!TAILQ_EMPTY(&p->closed[0]) && waits);
    CHECK(p->watch_timer.armed == watches);
    if (core_pool_ahead_mask(p))
        CHECK(p->watch_timer.at_ns <= now_ns + CORE_WATCH_FAST_NS);
    if (p->idle_timer.armed)
        CHECK(core_sizing_idlest(p) && fresh > p->config.min);
    else
        CHECK(!core_sizing_idlest(p) || fresh <= p->config.min || p->config.idle_timeout_ms == 0);
}

static uint32_t check_timers(const struct core_timer *t)
{
    uint32_t n = 1;
    CHECK(t->armed);
    for (const struct core_timer *c = t->child, *before = t; c; before = c, c = c->next) {
        CHECK(c->prev == before && c->at_ns >= t->at_ns);
        n += check_timers(c);
    }
    return n;
}

void core_check(const struct core *core, uint64_t now_ns)
{
    const struct core_pool *p;
    const struct core_worker *w;
    CHECK(TAILQ_EMPTY(&core->touched));
    CHECK(core_next_ns(core) > now_ns);
    if (core->timers.root) {
        CHECK(!core->timers.root->prev && !core->timers.root->next);
        check_timers(core->timers.root);
    }
    TAILQ_FOREACH (p, &core->pools, link) {
        struct tally tally = {0};
        TAILQ_FOREACH (w, &p->every, every)
            check_worker(w, &tally);
        CHECK(check_buckets(p) == tally.filed);
        CHECK(tally.starting == p->starting && tally.idle == p->idle && tally.standby == p->standby);
        CHECK(tally.busy == p->busy && tally.stuck == p->stuck && tally.retiring == p->retiring);
        CHECK(tally.dying == p->dying && tally.expiring == p->expiring_count && tally.placed == p->placed);
        CHECK(tally.waiting == p->waiting);
        check_lists(p, &tally);
        check_rest(p, now_ns);
    }
}
