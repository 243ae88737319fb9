#include "daemon/pool/spin_policy.h"

#include "daemon/base/clock.h"
#include "daemon/config/config.h"
#include "daemon/lane/lane.h"
#include "daemon/lane/spin.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/worker.h"
#include "daemon/pool/workers.h"

/* A round trip ends with a wake in either direction: of the worker, and of the client before its next request. */
#define WAKES 2u
/* Approximate cost of a write to a client, and of polling for events. */
#define HOLD_NS     10000u
#define IMMINENT_NS 2000u
/* Maximum number of consecutive waits for results without polling for events. */
#define PASSED_OVER_MAX 4u
/* In units of about a microsecond: twice the time that polling for events takes. */
#define SINGLE_PAUSES 2u
/* Lanes polled in the time of one pause. */
#define LANES_A_PAUSE 8u

void spin_policy_init(struct spin_policy *s)
{
    TAILQ_INIT(&s->workers);
    s->max = config_cpus() - 1;
    s->wake_ns = s->max > 0 ? spin_measure_ns() : 0;
}

void spin_policy_configure(struct spin_policy *s, bool on)
{
    s->budget_ns = on ? WAKES * s->wake_ns : 0;
    while (s->budget_ns == 0 && s->count > 0)
        spin_policy_drop(s, TAILQ_FIRST(&s->workers));
}

void spin_policy_given(struct spin_policy *s, struct worker *w)
{
    if (s->budget_ns == 0)
        return;
    if (w->in_spinning) {
        if (TAILQ_NEXT(w, spinning)) {
            TAILQ_REMOVE(&s->workers, w, spinning);
            TAILQ_INSERT_TAIL(&s->workers, w, spinning);
        }
        return;
    }
    if (s->count == s->max)
        spin_policy_drop(s, TAILQ_FIRST(&s->workers));
    TAILQ_INSERT_TAIL(&s->workers, w, spinning);
    s->count++;
    w->in_spinning = true;
    lane_set_spin(w->lane, s->budget_ns);
}

void spin_policy_drop(struct spin_policy *s, struct worker *w)
{
    if (!w->in_spinning)
        return;
    TAILQ_REMOVE(&s->workers, w, spinning);
    s->count--;
    w->in_spinning = false;
    lane_set_spin(w->lane, 0);
}

/* Is a result due within that time? Checks a few of the workers that have had work for longest. */
static bool is_due(const struct workers *workers, uint64_t within_ns)
{
    const struct worker *w;
    unsigned asked = 0;
    TAILQ_FOREACH (w, &workers->busy, busy) {
        const struct core_task *head = TAILQ_FIRST(&w->core.lane);
        if (head && (head->chunk ? head->function->chunk_mean_ns : head->function->mean_ns) <= within_ns)
            return true;
        if (++asked > workers->spin.max)
            break;
    }
    return false;
}

/* One task runs, and nothing else is going on: sequential calls. */
static bool is_single(const struct workers *workers)
{
    const struct worker *w = workers->busy_count == 1 ? TAILQ_FIRST(&workers->busy) : NULL;
    const struct core_task *head = w ? TAILQ_FIRST(&w->core.lane) : NULL;
    return head && !TAILQ_NEXT(head, link);
}

/* Waits about a microsecond, or until a result is there. Polling very many lanes takes that long anyway. */
static bool pause_for(const struct workers *workers, bool (*done)(const struct workers *workers))
{
    for (unsigned i = 0; i < SPIN_PAUSES; i += 1 + workers->busy_count / LANES_A_PAUSE) {
        if (done(workers))
            return true;
        spin_pause();
    }
    return false;
}

bool spin_policy_wait(struct workers *workers, bool (*done)(const struct workers *workers))
{
    struct spin_policy *own = &workers->spin;
    if (own->budget_ns == 0 || TAILQ_EMPTY(&workers->busy) || workers->loop->now_ns < own->crowded_until_ns)
        return false;
    if (own->since_ns == 0) {
        if (!is_due(workers, own->budget_ns))
            return false;
        own->since_ns = workers->loop->now_ns;
    } else if (workers->loop->now_ns - own->since_ns > own->budget_ns) {
        return false;
    }
    if (pause_for(workers, done))
        return true;
    uint64_t before_ns = clock_now_ns();
    spin_yield();
    uint64_t now_ns = clock_now_ns();
    if (now_ns - before_ns > SPIN_CROWDED_NS)
        own->crowded_until_ns = now_ns + SPIN_CROWDED_REST_NS;
    return true;
}

bool spin_policy_hold(struct workers *workers, bool collected)
{
    struct spin_policy *own = &workers->spin;
    if (own->budget_ns == 0 || !is_due(workers, IMMINENT_NS)) {
        own->held_ns = 0;
    } else if (own->held_ns == 0) {
        own->held_ns = collected ? workers->loop->now_ns : 0;
    } else if (workers->loop->now_ns - own->held_ns > HOLD_NS) {
        own->held_ns = 0;
    }
    return own->held_ns != 0;
}

bool spin_policy_pause(struct workers *workers, bool (*done)(const struct workers *workers))
{
    struct spin_policy *own = &workers->spin;
    if (own->held_ns != 0) {
        (void)pause_for(workers, done);
        return true;
    }
    if (own->budget_ns == 0 || own->passed_over == PASSED_OVER_MAX || !is_single(workers) ||
        !is_due(workers, IMMINENT_NS)) {
        own->passed_over = 0;
        return false;
    }
    own->passed_over++;
    for (unsigned i = 0; i < SINGLE_PAUSES; i++)
        if (pause_for(workers, done))
            return true;
    return false;
}
