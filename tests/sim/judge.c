/* Was that allowed, and is nothing forgotten? The reference model: what truly happened against what the core wants.
 *
 * It knows each task's runs from the simulated workers themselves, not from the core. Its own idea of the rules is
 * written down anew here, in the simplest way, without the core's private headers.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LATE (400 * US) /* the simulated loop may call core_run() so much after core_next_ns() */

void sim_say(const struct sim *sim, const char *format, ...)
{
    if (!sim->trace)
        return;
    va_list args;
    va_start(args, format);
    printf("# %12.3f us  ", (double)sim->now_ns / 1e3);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sim: seed %llu at %.3f us: ", (unsigned long long)sim->seed, (double)sim->now_ns / 1e3);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

/* ---- wishes
 * ------------------------------------------------------------------------------------------------------------- */

static uint32_t depth(const struct core_task *task)
{
    const struct core_function *f = task->function;
    uint64_t mean = task->chunk ? f->chunk_mean_ns : f->mean_ns;
    if (task->alone || mean == 0 || mean > MS)
        return 1;
    if (mean > 200 * US)
        return 2;
    if (mean > 50 * US)
        return 4;
    return mean > 10 * US ? 16 : 64;
}

void judge_place(struct sim *sim, struct proc *p, struct sim_task *t)
{
    struct sim_pool *pool = &sim->pools[t->pool];
    struct core_task *head = TAILQ_FIRST(&p->core.lane);
    uint32_t waiting = 0;
    for (uint32_t i = p->next; i != p->tail; i++)
        waiting += proc_slot(p, i)->word == WORD_READY;
    if (t->finished || t->running || sim->stopping || p->pool != t->pool || !p->ready || p->retiring)
        sim_fail(sim, "task %u may not be placed on proc %u now", t->index, p->id);
    if (sim->now_ns < t->start_ns)
        sim_fail(sim, "task %u is placed before its start", t->index);
    if (t->expires_ns && t->runs_begun == 0 && sim->now_ns >= t->expires_ns)
        sim_fail(sim, "task %u is placed after its deadline", t->index);
    if (!t->ahead && !pool->closed && (pool->paused || t->live->core.function->paused))
        sim_fail(sim, "task %u is placed though it is paused", t->index);
    if (p->refused_pass == sim->passes)
        sim_fail(sim, "proc %u is asked again in the pass in which it refused", p->id);
    if (head && (t->alone || head->alone))
        sim_fail(sim, "task %u and task on proc %u do not want to share a lane", t->index, p->id);
    if (head && (p->core.placed >= depth(head) || p->core.placed >= depth(&t->live->core)))
        sim_fail(sim, "the lane of proc %u is too long for task %u", p->id, t->index);
    uint32_t max_tasks = pool->config.max_tasks;
    if (max_tasks > 0 && !pool->reconfigured && p->claims + waiting >= max_tasks)
        sim_fail(sim, "proc %u gets more than max_tasks", p->id);
    if (head && t->ahead)
        sim_fail(sim, "task %u, for which a worker waits, is placed behind another one", t->index);
    for (uint32_t i = 0; !t->ahead && i < sim->task_count; i++) {
        const struct sim_task *other = &sim->tasks[i];
        if (other->live && other->ahead && other->pool == t->pool && other->live->core.state == MPOOL_STATE_QUEUED)
            sim_fail(sim, "task %u goes before task %u, for which a worker waits", t->index, i);
    }
    turns_place(sim, t);
}

void judge_claim(struct sim *sim, struct proc *p, struct sim_task *t)
{
    struct sim_pool *pool = &sim->pools[p->pool];
    if (t->finished)
        sim_fail(sim, "task %u is run though it is finished", t->index);
    if (t->expires_ns && t->runs_begun == 0 && sim->now_ns >= t->expires_ns + LATE)
        sim_fail(sim, "task %u begins after its deadline", t->index);
    if (t->running)
        sim_fail(sim, "task %u is run twice at once", t->index);
    if (t->succeeded)
        sim_fail(sim, "task %u is run again after it had succeeded", t->index);
    if (t->runs_begun >= t->attempts)
        sim_fail(sim, "task %u is run more often than it may", t->index);
    if (sim->stopped)
        sim_fail(sim, "task %u begins although the core was stopped", t->index);
    if (!pool->reconfigured && pool->config.max_tasks > 0 && p->claims >= pool->config.max_tasks)
        sim_fail(sim, "proc %u runs more than max_tasks", p->id);
}

static bool grace_is_over(const struct sim *sim, const struct sim_task *t)
{
    return t->grace_ms == 0 || (t->told_ns != 0 && sim->now_ns >= t->told_ns + t->grace_ms * MS);
}

void judge_kill_task(struct sim *sim, struct proc *p, struct sim_task *t)
{
    bool shutdown = sim->stopping && sim->now_ns >= sim->stop_deadline_ns;
    bool asked = t->asked != CORE_WHY_RESULT && grace_is_over(sim, t);
    bool late = t->timeout_ms > 0 && sim->now_ns >= t->placed_ns + t->timeout_ms * MS && grace_is_over(sim, t);
    if (t->finished || p->core.state == CORE_WORKER_DYING || !(shutdown || asked || late))
        sim_fail(sim, "proc %u is to be killed for task %u without a reason", p->id, t->index);
}

void judge_kill_worker(struct sim *sim, struct proc *p)
{
    for (uint32_t i = p->head; i != p->tail; i++)
        if (p->alive && (proc_slot(p, i)->word == WORD_STARTED || proc_slot(p, i)->word == WORD_READY))
            sim_fail(sim, "proc %u is killed although it has tasks", p->id);
    bool over = sim->stopping || sim->pools[p->pool].closed;
    bool deaf = p->core.strikes > 0; /* stuck, and not needed any more, or too often */
    if (p->core.state != CORE_WORKER_DYING || !(p->retiring || p->kill_sent || !p->ready || !p->alive || deaf || over))
        sim_fail(sim, "proc %u is killed without a reason", p->id);
}

void judge_retire(struct sim *sim, struct proc *p)
{
    if (p->retiring || !p->ready || p->core.placed > 0)
        sim_fail(sim, "proc %u may not be retired now", p->id);
    for (uint32_t i = p->head; i != p->tail; i++)
        if (proc_slot(p, i)->word != WORD_RECLAIMED)
            sim_fail(sim, "proc %u is retired with a task in its lane", p->id);
}

void judge_spawn(struct sim *sim, struct sim_pool *pool)
{
    const struct core_worker *w;
    uint32_t fresh = pool->asked, all = pool->asked, waiting = 0;
    TAILQ_FOREACH (w, core_pool_workers(pool->core), every) {
        all += w->state != CORE_WORKER_DYING;
        fresh += w->state != CORE_WORKER_DYING && w->state != CORE_WORKER_RETIRING && !w->expiring;
        waiting += w->waiting && w->placed > 0;
    }
    if (!pool->open || sim->stopping)
        sim_fail(sim, "a spawn in a pool that cannot");
    if (waiting > pool->nested_ever)
        sim_fail(sim, "%u workers wait for tasks", waiting);
    if (fresh > pool->config.max + waiting || all > 2 * (pool->max_ever + pool->nested_ever))
        sim_fail(sim, "more workers than allowed: %u that stay, %u in all", fresh, all);
}

/* May what waits in this pool be told that no worker will come? Not while one lives that could take it. */
static bool is_down(const struct sim_pool *pool)
{
    const struct core_worker *w;
    TAILQ_FOREACH (w, core_pool_workers(pool->core), every) {
        bool works = w->state == CORE_WORKER_BUSY || w->state == CORE_WORKER_RETIRING;
        if (w->state == CORE_WORKER_IDLE || w->state == CORE_WORKER_STUCK)
            return false;
        if (works && !w->waiting && !pool->config.once)
            return false;
    }
    return pool->given_up || pool->failed_births >= CORE_DOWN_BIRTHS;
}

void judge_finish(struct sim *sim, struct sim_task *t, enum core_why why)
{
    const struct core_task *task = &t->live->core;
    bool dying = sim->buried == t, ok = false;
    if (t->finished)
        sim_fail(sim, "task %u is finished twice", t->index);
    if (t->running)
        sim_fail(sim, "task %u is finished while a worker runs it", t->index);
    if (task->attempt != t->runs_ended)
        sim_fail(sim, "task %u: %u attempts are counted, %u were", t->index, task->attempt, t->runs_ended);
    switch (why) {
    case CORE_WHY_RESULT:
        ok = sim->collecting == t;
        if (sim->collected == OUTCOME_OK)
            ok = ok && task->state == MPOOL_STATE_DONE;
        else
            ok = ok && task->state == MPOOL_STATE_FAILED;
        if (sim->collected == OUTCOME_RETRYABLE)
            ok = ok && (t->runs_ended == t->attempts || task->stop || sim->stopping);
        break;
    case CORE_WHY_LOST:
        ok = dying && task->state == MPOOL_STATE_LOST && !task->stop && (t->runs_ended == t->attempts || sim->stopping);
        break;
    case CORE_WHY_TIMEOUT:
        ok = dying && task->state == MPOOL_STATE_TIMEOUT && t->timeout_ms > 0 &&
             sim->now_ns >= t->placed_ns + t->timeout_ms * MS;
        break;
    case CORE_WHY_CANCEL: ok = task->state == MPOOL_STATE_CANCELLED && t->asked == CORE_WHY_CANCEL; break;
    case CORE_WHY_EXPIRED:
        ok = task->state == MPOOL_STATE_EXPIRED && t->expires_ns && sim->now_ns >= t->expires_ns && t->runs_begun == 0;
        break;
    case CORE_WHY_SHUTDOWN:
        ok = task->state == MPOOL_STATE_SHUTDOWN && (sim->stopping || t->asked == CORE_WHY_SHUTDOWN);
        break;
    case CORE_WHY_DOWN:
        ok = task->state == MPOOL_STATE_FAILED && !task->stop && !dying && is_down(&sim->pools[t->pool]);
        break;
    }
    if (!ok || (t->succeeded && sim->collecting != t))
        sim_fail(sim, "task %u: state %d because of %d is not what happened", t->index, (int)task->state, (int)why);
}

/* ---- after every pass
 * ------------------------------------------------------------------------------------------------------ */

/* For how long has some worker of the pool been free for anything? */
static uint64_t idle_for_ns(const struct sim *sim, const struct sim_pool *pool)
{
    const struct core_worker *w;
    uint64_t longest = 0;
    TAILQ_FOREACH (w, core_pool_workers(pool->core), every)
        if (w->state == CORE_WORKER_IDLE && !w->standby && !w->blocked && sim->now_ns - w->state_ns > longest)
            longest = sim->now_ns - w->state_ns;
    /* One that refused in between was not free all the time; its record is not kept. */
    return sim->mischief.place_refuses || sim->mischief.strict_slots ? 0 : longest;
}

static void judge_lane(struct sim *sim, struct proc *p, uint64_t idle_ns)
{
    struct core_worker *w = &p->core;
    struct core_task *task, *head = TAILQ_FIRST(&w->lane);
    uint64_t head_ns = sim->now_ns - w->head_since_ns;
    if (!head || w->state == CORE_WORKER_DYING)
        return;
    enum word word = proc_slot(p, head->position)->word;
    if (word == WORD_READY && ((idle_ns > 45 * MS && head_ns > 45 * MS) || head_ns > 5 * S + 45 * MS))
        sim_fail(sim, "proc %u does not claim, and nobody minds", p->id);
    if ((idle_ns > 2 * MS && head_ns > 2 * MS) || head_ns > 3 * MS + 2 * LATE)
        TAILQ_FOREACH (task, &w->lane, link)
            if (task != head && proc_slot(p, task->position)->word == WORD_READY)
                sim_fail(sim, "a task waits on proc %u behind a slow one", p->id);
    if (word != WORD_STARTED)
        return;
    struct sim_task *t = proc_slot(p, head->position)->task;
    uint64_t since_ns = t->claimed_ns > w->head_since_ns ? t->claimed_ns : w->head_since_ns;
    if (t->timeout_ms > 0 && !head->stop && sim->now_ns > since_ns + 2 * t->timeout_ms * MS + 25 * MS)
        sim_fail(sim, "task %u runs longer than it may", t->index);
    if (head->stop && t->told_ns && sim->now_ns > t->told_ns + t->grace_ms * MS + LATE)
        sim_fail(sim, "task %u was told to stop, and its grace is over", t->index);
    if (head->stop && !t->grace_ms)
        sim_fail(sim, "task %u has no grace, and still runs", t->index);
    if (sim->stopping && sim->now_ns > sim->stop_deadline_ns + LATE)
        sim_fail(sim, "task %u runs after the end", t->index);
}

static void judge_pool(struct sim *sim, struct sim_pool *pool)
{
    struct core_worker *w;
    uint32_t active = 0, all = 0, unsettled = 0;
    uint64_t idle_ns = idle_for_ns(sim, pool);
    TAILQ_FOREACH (w, core_pool_workers(pool->core), every) {
        struct proc *p = (struct proc *)(void *)((char *)w - offsetof(struct proc, core));
        bool dying = w->state == CORE_WORKER_DYING, starting = w->state == CORE_WORKER_STARTING;
        all += !dying;
        active += !dying && !starting && !w->standby;
        unsettled += w->state != CORE_WORKER_IDLE || w->expiring;
        judge_lane(sim, p, idle_ns);
    }
    if (active > pool->max_ever + pool->nested_ever || all + pool->asked > 2 * (pool->max_ever + pool->nested_ever))
        sim_fail(sim, "%u workers at work, %u in all, where at most %u may be", active, all, pool->max_ever);
    struct core_pool_counts counts;
    core_pool_counts(pool->core, &counts);
    if (counts.workers != all + pool->asked || counts.starting + counts.idle + counts.busy > counts.workers)
        sim_fail(sim, "the pool miscounts its workers");
    if (counts.queued + counts.placed + unsettled + pool->asked == 0 && pool->open && sim->pool_count == 1 &&
        pool->config.idle_timeout_ms == 0 && counts.workers >= pool->config.min && !sim->stopping &&
        core_next_ns(sim->core) != SIM_NEVER)
        sim_fail(sim, "nothing is in flight, and yet a timer is set");
}

void judge_rest(struct sim *sim)
{
    core_check(sim->core, sim->now_ns);
    turns_look(sim);
    for (uint32_t i = 0; i < sim->task_count; i++) {
        const struct sim_task *t = &sim->tasks[i];
        if (!t->live || t->runs_begun > 0)
            continue;
        if (t->expires_ns && sim->now_ns > t->expires_ns + LATE)
            sim_fail(sim, "task %u has not been told that it is too late", i);
        if (t->live->core.state == MPOOL_STATE_DELAYED && sim->now_ns > t->start_ns + LATE)
            sim_fail(sim, "task %u waits though its start has come", i);
    }
    for (uint32_t i = 0; i < sim->pool_count; i++)
        judge_pool(sim, &sim->pools[i]);
    if (sim->ended && sim->now_ns > sim->end_ns + 3000 * S)
        sim_fail(sim, "no end");
}

void judge_end(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->task_count; i++) {
        struct sim_task *t = &sim->tasks[i];
        if (t->submitted && !t->finished)
            sim_fail(sim, "task %u is never finished", i);
        uint64_t slack_ns = 50 * MS + sim->task_count * 4 * MS;
        if (t->submitted && sim->mischief.quiet && t->finish_ns - t->submit_ns > sim->busiest_ns + slack_ns)
            sim_fail(sim, "task %u waited for longer than all work took", i);
    }
    if (sim->proc_alive > 0 || !core_is_empty(sim->core))
        sim_fail(sim, "%u workers are left", sim->proc_alive);
    if (core_next_ns(sim->core) != SIM_NEVER)
        sim_fail(sim, "a timer is left");
    for (uint32_t i = 0; i < sim->pool_count; i++)
        if (sim->pools[i].closed != sim->pools[i].empty_told)
            sim_fail(sim, "pool %u is closed and was not told to be empty", i);
}
