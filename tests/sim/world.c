/* One seed from its beginning to its end: the loop that plays the supervisor's loop. */
#include "tests/sim/sim.h"

#include <stdlib.h>

/* NULL: buried since. */
static struct proc *proc_of(const struct sim *sim, const struct event *event)
{
    return sim->procs[event->subject];
}

static void on_ready(struct sim *sim, const struct event *event)
{
    if (proc_of(sim, event))
        proc_ready(sim, proc_of(sim, event));
}

static void on_step(struct sim *sim, const struct event *event)
{
    if (proc_of(sim, event))
        proc_step(sim, proc_of(sim, event));
}

static void on_run_ends(struct sim *sim, const struct event *event)
{
    if (proc_of(sim, event))
        proc_run_ends(sim, proc_of(sim, event), event->run);
}

static void on_waits(struct sim *sim, const struct event *event)
{
    if (proc_of(sim, event))
        proc_waits(sim, proc_of(sim, event), event->run);
}

static void on_goes_on(struct sim *sim, const struct event *event)
{
    if (proc_of(sim, event))
        proc_goes_on(sim, proc_of(sim, event));
}

static void on_exit_wish(struct sim *sim, const struct event *event)
{
    struct proc *p = proc_of(sim, event);
    if (p && p->frozen_until_ns > sim->now_ns)
        sim_at(sim, p->frozen_until_ns - sim->now_ns, EVENT_PROC_EXITS, p->id, 0);
    else if (p)
        proc_die(sim, p);
}

static void on_results(struct sim *sim, const struct event *event)
{
    struct proc *p = proc_of(sim, event);
    if (!p)
        return;
    p->noticing = false;
    supervisor_collect(sim, p);
}

static void on_death(struct sim *sim, const struct event *event)
{
    if (proc_of(sim, event))
        supervisor_bury(sim, proc_of(sim, event));
}

static void on_spawn_answer(struct sim *sim, const struct event *event)
{
    supervisor_spawn_answer(sim, &sim->pools[event->subject]);
}

static event_handler *const handlers[EVENT_COUNT] = {
    [EVENT_SUBMIT] = scenario_submit,
    [EVENT_CANCEL] = scenario_cancel,
    [EVENT_OUTDATE] = scenario_outdate,
    [EVENT_RECONFIGURE] = scenario_reconfigure,
    [EVENT_SUSPEND] = scenario_suspend,
    [EVENT_OPEN] = scenario_open,
    [EVENT_PAUSE] = scenario_pause,
    [EVENT_MURDER] = scenario_murder,
    [EVENT_FREEZE] = scenario_freeze,
    [EVENT_END] = scenario_end,
    [EVENT_STOP_AGAIN] = scenario_stop_again,
    [EVENT_SPAWN_ANSWER] = on_spawn_answer,
    [EVENT_PROC_READY] = on_ready,
    [EVENT_PROC_STEP] = on_step,
    [EVENT_PROC_RUN_ENDS] = on_run_ends,
    [EVENT_PROC_WAITS] = on_waits,
    [EVENT_PROC_GOES_ON] = on_goes_on,
    [EVENT_PROC_EXITS] = on_exit_wish,
    [EVENT_NOTICE_RESULTS] = on_results,
    [EVENT_NOTICE_DEATH] = on_death,
};

static void pass(struct sim *sim)
{
    sim->passes++;
    core_run(sim->core, sim->now_ns);
    judge_rest(sim);
}

/* Everything due so far has happened; the next thing is an event or the core's own time, whichever comes first. The
 * loop is sometimes late, and sometimes takes several events in one pass. */
static bool turn(struct sim *sim)
{
    struct event event;
    uint64_t core_ns = core_next_ns(sim->core), next_ns = sim_next_ns(sim);
    if (core_ns == SIM_NEVER && next_ns == SIM_NEVER)
        return false;
    if (core_ns < next_ns) {
        uint64_t late_ns = rng_percent(&sim->rng, 10) ? rng_below(&sim->rng, 300 * US) : 0;
        if (core_ns < sim->now_ns)
            core_ns = sim->now_ns;
        if (late_ns > next_ns - core_ns)
            late_ns = next_ns - core_ns;
        sim->now_ns = core_ns + late_ns;
        pass(sim);
        return true;
    }
    bool more;
    do {
        sim_pop(sim, &event);
        sim->now_ns = event.at_ns;
        handlers[event.kind](sim, &event);
        next_ns = sim_next_ns(sim);
        more = next_ns != SIM_NEVER && next_ns - sim->now_ns < 20 * US && rng_percent(&sim->rng, 25);
    } while (more);
    pass(sim);
    return true;
}

void sim_run(uint64_t seed, bool trace)
{
    static struct sim sim; /* large */
    struct event *events = sim.events;
    struct proc **procs = sim.procs;
    size_t event_size = sim.event_size;
    uint32_t proc_size = sim.proc_size;
    sim = (struct sim){.seed = seed,
        .trace = trace,
        .rng = {seed},
        .now_ns = S,
        .events = events,
        .event_size = event_size,
        .procs = procs,
        .proc_size = proc_size};
    sim.core = core_new(&supervisor_ops, &sim);
    scenario_begin(&sim);
    while (turn(&sim))
        ;
    judge_end(&sim);
    /* Clients and pools end in any order. */
    for (uint32_t i = 0; i < SIM_CLIENTS; i += 2)
        core_client_free(sim.clients[i]);
    for (uint32_t i = 0; i < sim.pool_count; i++)
        core_pool_free(sim.pools[i].core);
    for (uint32_t i = 1; i < SIM_CLIENTS; i += 2)
        core_client_free(sim.clients[i]);
    core_free(sim.core);
}
