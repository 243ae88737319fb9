/* What users, administrators and bad luck do in a seed. */
#include "tests/sim/sim.h"

static uint32_t chance32(struct sim *sim, uint32_t from, uint32_t to)
{
    return (uint32_t)rng_between(&sim->rng, from, to);
}

static struct core_pool_config random_config(struct sim *sim, bool once)
{
    struct rng *rng = &sim->rng;
    struct core_pool_config config = {
        .min = chance32(sim, 1, 3), .max_nested = chance32(sim, 0, 4), .start_timeout_ms = 60000};
    config.max = config.min + chance32(sim, 0, 3);
    if (once) /* a process of its own for each task */
        return (struct core_pool_config){.max = config.max,
            .max_tasks = 1,
            .once = true,
            .idle_timeout_ms = rng_between(rng, 1, 300),
            .start_timeout_ms = config.start_timeout_ms};
    if (rng_percent(rng, 50))
        config.idle_timeout_ms = rng_between(rng, 1, 300);
    if (rng_percent(rng, 30))
        config.max_tasks = rng_percent(rng, 50) ? chance32(sim, 1, 4) : chance32(sim, 5, 30);
    return config;
}

static void choose_mischief(struct sim *sim)
{
    struct mischief *m = &sim->mischief;
    struct rng *rng = &sim->rng;
    unsigned kind = (unsigned)rng_below(rng, 8);
    bool all = kind >= 6;
    m->failure = 5;
    if (kind == 0) {
        m->quiet = true;
        return;
    }
    if (all || kind == 1) {
        m->crash = 1 + (unsigned)rng_below(rng, 30);
        m->retryable = (unsigned)rng_below(rng, 30);
        m->murder = 30;
    }
    if (all || kind == 2) {
        m->freeze = 30;
        m->slow_wake = (unsigned)rng_below(rng, 20);
    }
    if (all || kind == 3) {
        m->young = (unsigned)rng_below(rng, 70);
        m->spawn_fails = (unsigned)rng_below(rng, 50);
    }
    if (all || kind == 4)
        m->admin = 50;
    if (all || kind == 5) {
        m->place_refuses = (unsigned)rng_below(rng, 30);
        m->strict_slots = rng_percent(rng, 50);
    }
    m->races = rng_percent(rng, 50);
    m->hang = (unsigned)rng_below(rng, 20);
    m->cancel = (unsigned)rng_below(rng, 30);
    m->nested = rng_percent(rng, 40) ? (unsigned)rng_below(rng, 60) : 0;
}

struct sim_task *scenario_task(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    if (sim->task_count == SIM_TASKS)
        return NULL;
    struct sim_task *t = &sim->tasks[sim->task_count];
    *t = (struct sim_task){.index = sim->task_count++, .function = chance32(sim, 0, 3), .attempts = 1};
    t->pool = chance32(sim, 0, sim->pool_count - 1);
    /* Mostly alike, so that several wait within one level, user and client. */
    t->level = rng_percent(rng, 60) ? 1 : chance32(sim, 0, SIM_LEVELS - 1);
    t->client = chance32(sim, 0, rng_percent(rng, 50) ? 1 : SIM_CLIENTS - 1);
    t->user = rng_percent(rng, 80) ? t->client % SIM_USERS : chance32(sim, 0, SIM_USERS - 1);
    if (rng_percent(rng, 40))
        t->attempts = chance32(sim, 2, 4);
    if (!sim->mischief.quiet && rng_percent(rng, 30))
        t->timeout_ms = chance32(sim, 1, rng_percent(rng, 50) ? 10 : 500);
    if (rng_percent(rng, 40))
        t->grace_ms = chance32(sim, 1, 100);
    t->alone = rng_percent(rng, 8);
    t->chunk = rng_percent(rng, 15);
    t->front = rng_percent(rng, 3);
    if (!sim->mischief.quiet && rng_percent(rng, 10)) {
        t->start_ns = rng_between(rng, 1, rng_percent(rng, 50) ? MS : 200 * MS);
        t->front = true; /* need not wait for those who came earlier: it comes late */
    }
    if (!sim->mischief.quiet && rng_percent(rng, 15))
        t->expires_ns = rng_below(rng, rng_percent(rng, 50) ? MS : 100 * MS);
    return t;
}

static void plan(struct sim *sim, unsigned max, enum event_kind kind, uint64_t span_ns)
{
    for (uint64_t n = rng_below(&sim->rng, max + 1); n > 0; n--)
        sim_at(sim, rng_below(&sim->rng, span_ns), kind, chance32(sim, 0, sim->pool_count - 1), 0);
}

void scenario_begin(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    choose_mischief(sim);
    sim->pool_count = rng_percent(rng, 70) ? 1 : 2;
    for (uint32_t i = 0; i < SIM_CLIENTS; i++)
        if (!(sim->clients[i] = core_client_new()))
            sim_fail(sim, "no memory");
    for (uint32_t i = 0; i < sim->pool_count; i++) {
        struct sim_pool *pool = &sim->pools[i];
        pool->config = random_config(sim, rng_percent(rng, 20));
        pool->nested_ever = pool->config.max_nested;
        pool->max_ever = pool->config.max;
        pool->core = core_pool_new(sim->core, &pool->config, pool);
        sim_say(sim, "pool %u: %u..%u workers, %u nested, idle %llu ms, max_tasks %u%s", i, pool->config.min,
            pool->config.max, pool->config.max_nested, (unsigned long long)pool->config.idle_timeout_ms,
            pool->config.max_tasks, pool->config.once ? ", once" : "");
        sim_at(sim, rng_below(rng, 5 * MS), EVENT_OPEN, i, 0);
    }
    uint64_t span_ns = rng_percent(rng, 50) ? 20 * MS : 2 * S;
    for (uint64_t bursts = rng_between(rng, 1, 5); bursts > 0; bursts--) {
        uint64_t at_ns = rng_below(rng, span_ns), step_ns = rng_percent(rng, 50) ? 0 : rng_below(rng, MS);
        uint32_t same = chance32(sim, 0, 7); /* often all of one kind, so that lanes grow long */
        for (uint64_t n = rng_between(rng, 1, rng_percent(rng, 10) ? 70 : 14); n > 0; n--, at_ns += step_ns) {
            struct sim_task *t = scenario_task(sim);
            if (!t)
                break;
            if (same < 4)
                t->function = same;
            sim_at(sim, at_ns, EVENT_SUBMIT, t->index, 0);
            if (rng_percent(rng, sim->mischief.cancel))
                sim_at(sim, at_ns + rng_below(rng, rng_percent(rng, 50) ? MS : 300 * MS), EVENT_CANCEL, t->index, 0);
        }
    }
    if (rng_percent(rng, sim->mischief.murder * 2))
        plan(sim, 8, EVENT_MURDER, span_ns);
    if (rng_percent(rng, sim->mischief.freeze * 2))
        plan(sim, 5, EVENT_FREEZE, span_ns);
    if (rng_percent(rng, sim->mischief.admin)) {
        plan(sim, 4, EVENT_OUTDATE, span_ns);
        plan(sim, 2, EVENT_RECONFIGURE, span_ns);
        plan(sim, 1, EVENT_SUSPEND, span_ns);
        plan(sim, 6, EVENT_PAUSE, span_ns);
    }
    uint64_t end_ns = rng_percent(rng, 30) ? 600 * S : rng_below(rng, 2 * span_ns);
    sim_at(sim, sim->mischief.quiet ? 600 * S : end_ns, EVENT_END, 0, 0);
}

static struct proc *random_proc(struct sim *sim)
{
    for (int tries = 0; tries < 8 && sim->proc_count > 0; tries++) {
        struct proc *p = sim->procs[rng_below(&sim->rng, sim->proc_count)];
        if (p && p->alive)
            return p;
    }
    return NULL;
}

static void stop(struct sim *sim, uint64_t grace_ms)
{
    uint64_t deadline_ns = sim->now_ns + grace_ms * MS;
    sim_say(sim, "stop, grace %llu ms", (unsigned long long)grace_ms);
    if (!sim->stopping || deadline_ns < sim->stop_deadline_ns)
        sim->stop_deadline_ns = deadline_ns;
    sim->stopping = true;
    core_stop(sim->core, grace_ms, sim->now_ns);
    sim->stopped = true;
    for (uint32_t i = 0; i < sim->task_count; i++)
        if (sim->tasks[i].live && sim->tasks[i].live->core.state == MPOOL_STATE_BACKOFF)
            sim_fail(sim, "task %u is not finished by the stop", i);
}

static void pause(struct sim *sim, struct sim_pool *pool, bool paused)
{
    pool->paused = paused;
    core_pool_pause(pool->core, paused, sim->now_ns);
    turns_look(sim);
}

void scenario_pause(struct sim *sim, const struct event *event)
{
    struct sim_pool *pool = &sim->pools[event->subject];
    struct core_function *f = &pool->functions[rng_below(&sim->rng, 4)];
    if (sim->ended)
        return;
    if (rng_percent(&sim->rng, 50)) {
        sim_say(sim, "pool %u is %s", event->subject, pool->paused ? "resumed" : "paused");
        pause(sim, pool, !pool->paused);
    } else {
        sim_say(sim, "a function of pool %u is %s", event->subject, f->paused ? "resumed" : "paused");
        core_function_pause(pool->core, f, !f->paused, sim->now_ns);
        turns_look(sim);
    }
}

void scenario_end(struct sim *sim, const struct event *event)
{
    struct rng *rng = &sim->rng;
    (void)event;
    sim->ended = true;
    sim->end_ns = sim->now_ns;
    for (uint32_t i = 0; i < sim->pool_count; i++)
        if (rng_percent(rng, 50)) /* a closed or stopping pool does not mind */
            pause(sim, &sim->pools[i], false);
    for (uint32_t i = 0; i < sim->pool_count; i++)
        if (!sim->pools[i].open) {
            sim->pools[i].open = true;
            sim->pools[i].given_up = false;
            core_pool_open(sim->pools[i].core);
        }
    if (rng_percent(rng, 50)) {
        stop(sim, rng_percent(rng, 20) ? 0 : rng_below(rng, 3000));
        if (rng_percent(rng, 40))
            sim_at(sim, rng_below(rng, S), EVENT_STOP_AGAIN, 0, 0);
    }
    if (!sim->stopping || rng_percent(rng, 20))
        for (uint32_t i = 0; i < sim->pool_count; i++) {
            sim_say(sim, "pool %u is closed", i);
            sim->pools[i].closed = true;
            core_pool_close(sim->pools[i].core);
        }
}

void scenario_stop_again(struct sim *sim, const struct event *event)
{
    (void)event;
    stop(sim, rng_below(&sim->rng, 100));
}

void scenario_submit(struct sim *sim, const struct event *event)
{
    if (!sim->ended)
        supervisor_submit(sim, &sim->tasks[event->subject]);
}

void scenario_cancel(struct sim *sim, const struct event *event)
{
    struct sim_task *t = &sim->tasks[event->subject];
    if (t->live)
        supervisor_cancel(sim, t, rng_percent(&sim->rng, 80) ? CORE_WHY_CANCEL : CORE_WHY_SHUTDOWN);
}

void scenario_murder(struct sim *sim, const struct event *event)
{
    struct proc *p = random_proc(sim);
    (void)event;
    if (p)
        proc_die(sim, p);
}

void scenario_freeze(struct sim *sim, const struct event *event)
{
    struct proc *p = random_proc(sim);
    (void)event;
    if (p)
        proc_freeze(sim, p, rng_between(&sim->rng, MS, rng_percent(&sim->rng, 10) ? 60 * S : 3 * S));
}

void scenario_outdate(struct sim *sim, const struct event *event)
{
    struct proc *p = random_proc(sim);
    (void)event;
    if (!p || sim->ended)
        return;
    sim_say(sim, "proc %u is outdated", p->id);
    core_worker_outdate(&p->core, sim->now_ns);
}

void scenario_reconfigure(struct sim *sim, const struct event *event)
{
    struct sim_pool *pool = &sim->pools[event->subject];
    if (sim->ended)
        return;
    pool->config = random_config(sim, pool->config.once);
    if (pool->config.max_nested > pool->nested_ever)
        pool->nested_ever = pool->config.max_nested;
    sim_say(sim, "pool %u: %u..%u workers, idle %llu ms, max_tasks %u", event->subject, pool->config.min,
        pool->config.max, (unsigned long long)pool->config.idle_timeout_ms, pool->config.max_tasks);
    pool->reconfigured = true;
    if (pool->config.max > pool->max_ever)
        pool->max_ever = pool->config.max;
    core_pool_reconfigure(pool->core, &pool->config, sim->now_ns);
}

void scenario_suspend(struct sim *sim, const struct event *event)
{
    struct sim_pool *pool = &sim->pools[event->subject];
    if (sim->ended)
        return;
    sim_say(sim, "pool %u is suspended", event->subject);
    pool->open = false;
    core_pool_suspend(pool->core);
    if (rng_percent(&sim->rng, 30)) {
        sim_say(sim, "pool %u is given up", event->subject);
        pool->given_up = true;
        core_pool_give_up(pool->core);
    }
    sim_at(sim, rng_below(&sim->rng, 3 * S), EVENT_OPEN, event->subject, 0);
}

void scenario_open(struct sim *sim, const struct event *event)
{
    struct sim_pool *pool = &sim->pools[event->subject];
    if (sim->ended || pool->open)
        return;
    sim_say(sim, "pool %u is open", event->subject);
    pool->open = true;
    pool->given_up = false;
    core_pool_open(pool->core);
}
