/* The supervisor's part in the simulated world: it performs the core's wishes, and tells it late what happened.
 *
 * Every wish passes the judge first. Finished tasks and buried workers are freed at once, so that a core that looks at
 * them again is seen by the address sanitizer.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static struct proc *proc_of(struct core_worker *worker)
{
    return (struct proc *)(void *)((char *)worker - offsetof(struct proc, core));
}

static struct sim_task *task_of(struct core_task *task)
{
    return ((struct live_task *)(void *)((char *)task - offsetof(struct live_task, core)))->task;
}

/* Workers do not wait while the supervisor thinks: just before it looks, one may take its next step. */
static void race(struct sim *sim, struct proc *p)
{
    if (!sim->mischief.races || !p->alive || p->frozen_until_ns > sim->now_ns || rng_percent(&sim->rng, 70))
        return;
    if (p->running && p->run_outcome != OUTCOME_CRASH)
        proc_run_ends(sim, p, p->run);
    else if (p->stepping)
        proc_step(sim, p);
}

static bool op_place(void *context, struct core_worker *worker, struct core_task *task)
{
    struct sim *sim = context;
    struct proc *p = proc_of(worker);
    struct sim_task *t = task_of(task);
    judge_place(sim, p, t);
    uint32_t oldest = p->head;
    if (sim->mischief.strict_slots && (int32_t)(p->next - oldest) < 0)
        oldest = p->next;
    if (p->tail - oldest >= SIM_SLOTS || rng_percent(&sim->rng, sim->mischief.place_refuses)) {
        sim_say(sim, "proc %u has no room for task %u", p->id, t->index);
        p->refused_pass = sim->passes;
        return false;
    }
    if (p->tail - p->next >= SIM_RING - 1)
        sim_fail(sim, "proc %u: more tasks than the ring of this test holds", p->id);
    sim_say(sim, "task %u goes to proc %u, behind %u", t->index, p->id, worker->placed);
    task->position = p->tail;
    *proc_slot(p, p->tail++) = (struct slot){.word = WORD_READY, .task = t};
    turns_placed(sim, t);
    t->placed_ever = true;
    t->placed_ns = sim->now_ns;
    proc_post(sim, p);
    return true;
}

static bool op_reclaim(void *context, struct core_worker *worker, struct core_task *task)
{
    struct sim *sim = context;
    struct proc *p = proc_of(worker);
    struct slot *slot = proc_slot(p, task->position);
    if (slot->task != task_of(task))
        sim_fail(sim, "a reclaim of task %u from proc %u, where it is not", task_of(task)->index, p->id);
    race(sim, p);
    if (slot->word != WORD_READY)
        return false;
    sim_say(sim, "task %u is taken back from proc %u", slot->task->index, p->id);
    slot->word = WORD_RECLAIMED;
    slot->task->requeued = true;
    turns_came_back(slot->task);
    if (!p->noticing) { /* its slot is collected like any other */
        p->noticing = true;
        sim_at(sim, rng_below(&sim->rng, 30 * US), EVENT_NOTICE_RESULTS, p->id, 0);
    }
    return true;
}

static bool op_started(void *context, struct core_worker *worker, struct core_task *task)
{
    (void)context;
    return proc_slot(proc_of(worker), task->position)->word != WORD_READY;
}

static void op_cancel(void *context, struct core_worker *worker, struct core_task *task)
{
    struct sim *sim = context;
    struct proc *p = proc_of(worker);
    struct sim_task *t = task_of(task);
    if (t->grace_ms == 0 || t->told_ns != 0)
        sim_fail(sim, "task %u is told to stop without a grace, or twice", t->index);
    sim_say(sim, "task %u is told to stop", t->index);
    t->told_ns = sim->now_ns;
    if (proc_slot(p, task->position)->word == WORD_STARTED)
        proc_told(sim, p);
}

static bool op_kill_task(void *context, struct core_worker *worker, struct core_task *task)
{
    struct sim *sim = context;
    struct proc *p = proc_of(worker);
    struct slot *slot = proc_slot(p, task->position);
    judge_kill_task(sim, p, task_of(task));
    race(sim, p);
    if (slot->word != WORD_STARTED)
        return false;
    sim_say(sim, "proc %u is killed for task %u", p->id, slot->task->index);
    slot->word = WORD_KILLING;
    proc_die(sim, p);
    return true;
}

static void op_kill_worker(void *context, struct core_worker *worker)
{
    struct sim *sim = context;
    struct proc *p = proc_of(worker);
    judge_kill_worker(sim, p);
    p->kill_sent = true;
    if (!p->ready) /* too late: as bad as so many that fail at once */
        sim->pools[p->pool].failed_births += CORE_DOWN_BIRTHS;
    if (!p->ready && rng_percent(&sim->rng, 50))
        sim_say(sim, "proc %u has no pid to be killed by yet", p->id);
    else
        proc_die(sim, p);
}

static void op_retire(void *context, struct core_worker *worker)
{
    struct sim *sim = context;
    struct proc *p = proc_of(worker);
    judge_retire(sim, p);
    sim_say(sim, "proc %u is retired", p->id);
    p->retiring = true;
    sim_at(sim, rng_below(&sim->rng, 2 * MS), EVENT_PROC_EXITS, p->id, 0);
}

static void answer_spawn(struct sim *sim, struct sim_pool *pool)
{
    pool->asked--;
    if (rng_percent(&sim->rng, sim->mischief.spawn_fails)) {
        sim_say(sim, "a spawn fails");
        pool->failed_births++;
        core_spawn_failed(pool->core, sim->now_ns);
        return;
    }
    struct proc *p = proc_new(sim, (uint32_t)(pool - sim->pools));
    sim_say(sim, "proc %u is born in pool %u", p->id, p->pool);
    core_worker_add(pool->core, &p->core, sim->now_ns);
}

void supervisor_spawn_answer(struct sim *sim, struct sim_pool *pool)
{
    answer_spawn(sim, pool);
}

static void op_spawn(void *context, struct core_pool *core_pool)
{
    struct sim *sim = context;
    struct sim_pool *pool = core_pool_userdata(core_pool);
    pool->asked++;
    judge_spawn(sim, pool);
    if (rng_percent(&sim->rng, 50))
        answer_spawn(sim, pool);
    else
        sim_at(sim, rng_below(&sim->rng, MS), EVENT_SPAWN_ANSWER, (uint32_t)(pool - sim->pools), 0);
}

static void op_finish(void *context, struct core_task *task, enum core_why why, void *report)
{
    (void)report;
    struct sim *sim = context;
    struct sim_task *t = task_of(task);
    sim_say(sim, "task %u is finished: state %d, attempt %u", t->index, (int)task->state, task->attempt);
    judge_finish(sim, t, why);
    turns_finish(sim, t);
    core_flow_unref(task->flow);
    t->finished = true;
    t->finish_ns = sim->now_ns;
    t->state = task->state;
    sim->unfinished--;
    free(t->live);
    t->live = NULL;
    for (uint32_t i = 0; i < sim->proc_count; i++)
        if (sim->procs[i] && sim->procs[i]->child == t)
            sim_at(sim, rng_below(&sim->rng, 100 * US), EVENT_PROC_GOES_ON, i, 0);
    /* What a map does: the next chunk is submitted, or the others are cancelled, from inside. */
    struct sim_task *other = rng_percent(&sim->rng, 10) ? scenario_task(sim) : NULL;
    if (other) {
        other->follower = true;
        other->pool = t->pool;
        other->front = rng_percent(&sim->rng, 50) || other->start_ns > 0;
        supervisor_submit(sim, other);
    }
    if (sim->mischief.nested && rng_percent(&sim->rng, 10)) {
        other = &sim->tasks[rng_below(&sim->rng, sim->task_count)];
        if (other->live) {
            sim_say(sim, "task %u is led", other->index);
            other->front = other->ahead = true;
            core_lead(&other->live->core, sim->now_ns);
            turns_look(sim);
        }
    }
    if (rng_percent(&sim->rng, sim->mischief.cancel / 2)) {
        other = &sim->tasks[rng_below(&sim->rng, sim->task_count)];
        if (other->live)
            supervisor_cancel(sim, other, CORE_WHY_CANCEL);
    }
}

static void op_pool_empty(void *context, struct core_pool *core_pool)
{
    struct sim *sim = context;
    struct sim_pool *pool = core_pool_userdata(core_pool);
    struct core_pool_counts counts;
    core_pool_counts(core_pool, &counts);
    if (!pool->closed || pool->empty_told || counts.queued || counts.placed || counts.workers)
        sim_fail(sim, "pool_empty for a pool that is not closed, not empty, or was told already");
    pool->empty_told = true;
}

const struct core_ops supervisor_ops = {
    .place = op_place,
    .reclaim = op_reclaim,
    .started = op_started,
    .cancel = op_cancel,
    .kill_task = op_kill_task,
    .kill_worker = op_kill_worker,
    .retire = op_retire,
    .spawn = op_spawn,
    .finish = op_finish,
    .pool_empty = op_pool_empty,
};

void supervisor_submit(struct sim *sim, struct sim_task *t)
{
    struct live_task *live = malloc(sizeof *live);
    struct sim_pool *pool = &sim->pools[t->pool];
    if (!live)
        abort();
    memset(live, 0xa5, sizeof *live); /* the core must set all that is its own */
    live->task = t;
    live->core.pool = pool->core;
    live->core.flow = core_flow_get(sim->clients[t->client], pool->core, t->user, turns_priority(t->level));
    if (!live->core.flow)
        abort();
    live->core.function = &pool->functions[t->function];
    live->core.attempts = t->attempts;
    live->core.timeout_ms = t->timeout_ms;
    live->core.grace_ms = t->grace_ms;
    live->core.start_ns = t->start_ns = t->start_ns ? sim->now_ns + t->start_ns : 0;
    live->core.expires_ns = t->expires_ns = t->expires_ns ? sim->now_ns + t->expires_ns : 0;
    live->core.alone = t->alone;
    live->core.chunk = t->chunk;
    t->live = live;
    t->submitted = true;
    t->submit_ns = sim->now_ns;
    t->order = ++sim->order;
    sim->unfinished++;
    sim_say(sim, "task %u is submitted to pool %u", t->index, t->pool);
    if (t->ahead)
        core_submit_ahead(&live->core, sim->now_ns);
    else if (t->front)
        core_submit_front(&live->core, sim->now_ns);
    else
        core_submit(&live->core, sim->now_ns);
    turns_submit(sim, t);
}

void supervisor_cancel(struct sim *sim, struct sim_task *t, enum core_why why)
{
    struct core_task *task = &t->live->core;
    bool ran = task->state == MPOOL_STATE_PLACED && task->worker &&
               proc_slot(proc_of(task->worker), task->position)->word != WORD_READY;
    bool ending = task->ending;
    uint32_t runs = t->runs_begun;
    sim_say(sim, "task %u is cancelled", t->index);
    if (t->asked == CORE_WHY_RESULT && !ending) {
        t->asked = why;
        t->asked_ns = sim->now_ns;
    }
    core_cancel(task, why, sim->now_ns);
    ran |= t->live && t->runs_begun > runs; /* it began just then */
    if (!ran && !ending && t->live)
        sim_fail(sim, "task %u was not running, and is not finished by its cancel", t->index);
}

void supervisor_collect(struct sim *sim, struct proc *p)
{
    while (p->head != p->tail) {
        struct slot *slot = proc_slot(p, p->head);
        if (slot->word != WORD_DONE && slot->word != WORD_RECLAIMED)
            return;
        p->head++;
        if (slot->word == WORD_RECLAIMED)
            continue;
        static const enum core_result results[] = {
            [OUTCOME_OK] = CORE_RESULT_OK,
            [OUTCOME_FAILED] = CORE_RESULT_FAILED,
            [OUTCOME_RETRYABLE] = CORE_RESULT_FAILED_RETRYABLE,
        };
        sim->collecting = slot->task;
        sim->collected = slot->outcome;
        slot->task->runs_ended++;
        slot->task->requeued = true; /* should it come back */
        if (!p->core.healthy)
            sim->pools[p->pool].failed_births = 0;
        p->refused_pass = 0;
        turns_done(sim, slot->task, slot->run_ns);
        core_task_done(&slot->task->live->core, results[slot->outcome], slot->run_ns, NULL, sim->now_ns);
        sim->collecting = NULL;
    }
}

void supervisor_bury(struct sim *sim, struct proc *p)
{
    supervisor_collect(sim, p);
    struct core_task *head = TAILQ_FIRST(&p->core.lane);
    struct slot *slot = p->head != p->tail ? proc_slot(p, p->head) : NULL;
    bool started = slot && slot->word != WORD_READY;
    if (head != (slot ? &slot->task->live->core : NULL))
        sim_fail(sim, "proc %u: the core's lane and the real one disagree", p->id);
    sim->burying = p;
    sim->buried = started ? slot->task : NULL;
    for (uint32_t i = p->head; i != p->tail; i++) {
        struct sim_task *t = proc_slot(p, i)->task;
        t->requeued = true;
        if (i == p->head && started) {
            t->runs_ended++;
            t->charged_ns = 0;
            t->leaving = false;
        } else if (proc_slot(p, i)->word == WORD_READY) {
            turns_came_back(t);
        }
    }
    sim_say(sim, "proc %u is buried%s", p->id, started ? ", its head had started" : "");
    sim->pools[p->pool].failed_births += !started;
    core_worker_died(&p->core, started, NULL, sim->now_ns);
    sim->burying = NULL;
    sim->buried = NULL;
    sim->procs[p->id] = NULL;
    sim->proc_alive--;
    free(p);
}
