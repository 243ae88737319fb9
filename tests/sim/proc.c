/* The simulated worker processes: they get ready, claim, run, end, crash, freeze and die, at random times.
 *
 * A worker moves claim words exactly as a real one does: READY → STARTED and STARTED → DONE, and it stops when it loses
 * one. It knows nothing of the core.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>

struct proc *proc_new(struct sim *sim, uint32_t pool)
{
    struct proc *p = calloc(1, sizeof *p);
    if (sim->proc_count == sim->proc_size) {
        sim->proc_size = sim->proc_size ? sim->proc_size * 2 : 64;
        sim->procs = reallocarray(sim->procs, sim->proc_size, sizeof *sim->procs);
    }
    if (!p || !sim->procs)
        abort();
    p->id = sim->proc_count++;
    p->pool = pool;
    p->alive = true;
    p->run_outcome = OUTCOME_OK;
    sim->procs[p->id] = p;
    sim->proc_alive++;
    uint64_t birth_ns = rng_between(&sim->rng, 100 * US, 3 * MS);
    if (rng_percent(&sim->rng, sim->mischief.young)) {
        if (rng_percent(&sim->rng, 3))
            birth_ns = 1000 * S; /* hangs: somebody must lose patience */
        else if (rng_percent(&sim->rng, 50))
            birth_ns = 1500 * MS;
        else
            p->run_outcome = OUTCOME_CRASH; /* dies instead of getting ready */
    }
    sim_at(sim, birth_ns, EVENT_PROC_READY, p->id, 0);
    return p;
}

void proc_die(struct sim *sim, struct proc *p)
{
    if (!p->alive)
        return;
    sim_say(sim, "proc %u dies", p->id);
    p->alive = false;
    for (uint32_t i = p->head; i != p->tail; i++) {
        struct slot *slot = proc_slot(p, i);
        if (slot->word == WORD_STARTED || slot->word == WORD_KILLING)
            slot->task->running = false;
    }
    uint64_t late_ns =
        rng_percent(&sim->rng, 80) ? rng_between(&sim->rng, 10 * US, MS) : rng_between(&sim->rng, 1 * MS, 40 * MS);
    sim_at(sim, late_ns, EVENT_NOTICE_DEATH, p->id, 0);
}

static bool frozen(struct sim *sim, struct proc *p, enum event_kind kind, uint32_t run)
{
    if (p->frozen_until_ns <= sim->now_ns)
        return false;
    sim_at(sim, p->frozen_until_ns - sim->now_ns + rng_below(&sim->rng, 50 * US), kind, p->id, run);
    return true;
}

void proc_freeze(struct sim *sim, struct proc *p, uint64_t for_ns)
{
    sim_say(sim, "proc %u is stopped for %llu us", p->id, (unsigned long long)(for_ns / US));
    p->frozen_until_ns = sim->now_ns + for_ns;
}

void proc_ready(struct sim *sim, struct proc *p)
{
    if (!p->alive || frozen(sim, p, EVENT_PROC_READY, 0))
        return;
    if (p->run_outcome == OUTCOME_CRASH) {
        proc_die(sim, p);
        return;
    }
    sim_say(sim, "proc %u is ready", p->id);
    p->ready = true;
    core_worker_ready(&p->core, sim->now_ns);
    if (p->alive && rng_percent(&sim->rng, sim->mischief.young))
        sim_at(sim, rng_below(&sim->rng, 1200 * MS), EVENT_PROC_EXITS, p->id, 0);
}

void proc_post(struct sim *sim, struct proc *p)
{
    if (p->stepping || p->running || !p->alive)
        return;
    p->stepping = true;
    uint64_t wake_ns = rng_between(&sim->rng, 500, 60 * US);
    if (rng_percent(&sim->rng, sim->mischief.slow_wake))
        wake_ns = rng_between(&sim->rng, 1 * MS, 40 * MS);
    sim_at(sim, wake_ns, EVENT_PROC_STEP, p->id, 0);
}

static uint64_t run_time_ns(struct sim *sim, const struct sim_task *t)
{
    static const uint64_t min[] = {1 * US, 20 * US, 300 * US, 5 * MS}, max[] = {10 * US, 150 * US, 2 * MS, 300 * MS};
    /* Now and then a function is not what it used to be. */
    uint32_t f = rng_percent(&sim->rng, 5) ? (uint32_t)rng_below(&sim->rng, 4) : t->function;
    return rng_between(&sim->rng, min[f], max[f]);
}

static enum outcome run_outcome(struct sim *sim)
{
    const struct mischief *m = &sim->mischief;
    if (rng_percent(&sim->rng, m->crash))
        return OUTCOME_CRASH;
    if (rng_percent(&sim->rng, m->retryable))
        return OUTCOME_RETRYABLE;
    return rng_percent(&sim->rng, m->failure) ? OUTCOME_FAILED : OUTCOME_OK;
}

void proc_step(struct sim *sim, struct proc *p)
{
    if (!p->alive || !p->stepping || frozen(sim, p, EVENT_PROC_STEP, 0))
        return; /* not stepping: it was quicker, see supervisor.c */
    p->stepping = false;
    while (p->next != p->tail && proc_slot(p, p->next)->word != WORD_READY)
        p->next++; /* taken back */
    if (p->next == p->tail)
        return;
    struct slot *slot = proc_slot(p, p->next);
    struct sim_task *t = slot->task;
    judge_claim(sim, p, t);
    sim_say(sim, "proc %u claims task %u, run %u", p->id, t->index, t->runs_begun + 1);
    slot->word = WORD_STARTED;
    p->running = true;
    p->told = false;
    p->run++;
    p->claims++;
    p->run_began_ns = sim->now_ns;
    p->run_outcome = run_outcome(sim);
    t->running = true;
    t->runs_begun++;
    t->claimed_ns = sim->now_ns;
    t->told_ns = 0;
    uint64_t run_ns = run_time_ns(sim, t);
    if (rng_percent(&sim->rng, sim->mischief.hang))
        run_ns = rng_between(&sim->rng, 100 * MS, 4 * S);
    sim->busiest_ns += run_ns;
    sim_at(sim, run_ns, EVENT_PROC_RUN_ENDS, p->id, p->run);
    if (rng_percent(&sim->rng, sim->mischief.nested))
        sim_at(sim, rng_below(&sim->rng, run_ns), EVENT_PROC_WAITS, p->id, p->run);
}

/* The function submits a task to its own pool and waits for it, unless the daemon says that too many do so. */
void proc_waits(struct sim *sim, struct proc *p, uint32_t run)
{
    if (!p->alive || !p->running || p->run != run || p->core.waiting || sim->ended || sim->pools[p->pool].config.once)
        return;
    if (!core_worker_may_wait(&p->core)) {
        sim_say(sim, "proc %u may not wait", p->id);
        return;
    }
    struct sim_task *child = scenario_task(sim);
    if (!child)
        return;
    child->pool = p->pool;
    child->front = child->follower = true;
    child->ahead = rng_percent(&sim->rng, 70);
    sim_say(sim, "proc %u waits for task %u", p->id, child->index);
    p->child = child;
    supervisor_submit(sim, child);
    core_worker_waiting(&p->core, true, sim->now_ns);
}

void proc_goes_on(struct sim *sim, struct proc *p)
{
    if (!p->core.waiting)
        return;
    sim_say(sim, "proc %u waits no more", p->id);
    p->child = NULL;
    core_worker_waiting(&p->core, false, sim->now_ns);
}

void proc_run_ends(struct sim *sim, struct proc *p, uint32_t run)
{
    if (!p->alive || !p->running || p->run != run || frozen(sim, p, EVENT_PROC_RUN_ENDS, run))
        return;
    struct slot *slot = proc_slot(p, p->next);
    if (p->child && !p->child->finished && !p->told) {
        sim_at(sim, rng_between(&sim->rng, 10 * US, MS), EVENT_PROC_RUN_ENDS, p->id, run);
        return;
    }
    if (p->run_outcome == OUTCOME_CRASH) {
        proc_die(sim, p);
        return;
    }
    sim_say(sim, "proc %u ends task %u: %d", p->id, slot->task->index, (int)p->run_outcome);
    p->running = false;
    slot->word = WORD_DONE; /* a killed one is not alive, so this cannot be KILLING */
    slot->outcome = p->run_outcome;
    slot->run_ns = sim->now_ns - p->run_began_ns;
    slot->task->running = false;
    if (slot->outcome == OUTCOME_OK)
        slot->task->succeeded = true;
    if (p->child) { /* it gave up; the rest of the world learns that later */
        p->child = NULL;
        sim_at(sim, rng_below(&sim->rng, MS), EVENT_PROC_GOES_ON, p->id, 0);
    }
    p->next++;
    p->stepping = true;
    sim_at(sim, rng_below(&sim->rng, US), EVENT_PROC_STEP, p->id, 0);
    if (!p->noticing) {
        p->noticing = true;
        uint64_t late_ns = rng_below(&sim->rng, rng_percent(&sim->rng, 90) ? 30 * US : 3 * MS);
        sim_at(sim, late_ns, EVENT_NOTICE_RESULTS, p->id, 0);
    }
}

void proc_told(struct sim *sim, struct proc *p)
{
    if (!p->alive || !p->running || rng_percent(&sim->rng, 40))
        return; /* does not listen */
    p->run_outcome = OUTCOME_FAILED;
    p->run++;
    p->told = true; /* and waits for nothing any more */
    sim_at(sim, rng_below(&sim->rng, 20 * MS), EVENT_PROC_RUN_ENDS, p->id, p->run);
}
