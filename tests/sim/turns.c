/* Whose turn is it? The rules of daemon/core/turns.c in their simplest form: arrays, and a walk over all of them.
 *
 * What waits is looked up in the tasks themselves each time something happens; only the time that each flow and user
 * has used is kept here.
 */
#include "tests/sim/sim.h"

#define TURN_NS (100 * US)

static const uint8_t priorities[SIM_LEVELS] = {0, 128, 255};

uint8_t turns_priority(uint32_t level)
{
    return priorities[level];
}

static uint64_t cost_ns(uint64_t ns)
{
    return ((ns < 60 * S ? ns : 60 * S) / US + 1) * US;
}

static struct sim_flow *flow_of(struct sim *sim, const struct sim_task *t)
{
    return &sim->flows[t->pool][t->level][t->user][t->client];
}

static void more(struct sim_turn *turn, uint64_t clock_ns, int64_t ns)
{
    turn->used_ns = ns < 0 && (uint64_t)-ns > turn->used_ns ? 0 : turn->used_ns + (uint64_t)ns;
    if (turn->waits && turn->used_ns < clock_ns)
        turn->used_ns = clock_ns;
    if (turn->used_ns >= turn->place_ns + TURN_NS || turn->used_ns < turn->place_ns)
        turn->place_ns = turn->used_ns;
}

static void use(struct sim *sim, const struct sim_task *t, int64_t ns)
{
    struct sim_turn *user = &sim->users[t->pool][t->level][t->user];
    more(&flow_of(sim, t)->turn, user->clock_ns, ns);
    more(user, sim->levels[t->pool][t->level].clock_ns, ns);
}

static void give_back(struct sim *sim, struct sim_task *t)
{
    if (t->came_back)
        use(sim, t, -(int64_t)t->charged_ns);
    if (t->came_back)
        t->charged_ns = 0;
    t->came_back = false;
}

static bool queues(const struct sim *sim, const struct sim_task *t)
{
    return t->live && t->live->core.state == MPOOL_STATE_QUEUED && !t->live->core.ahead && !t->leaving &&
           (!t->live->core.function->paused || sim->pools[t->pool].closed);
}

static void look(struct sim_turn *turn, bool waits, uint64_t clock_ns)
{
    if (waits && !turn->waits && turn->used_ns < clock_ns)
        turn->used_ns = clock_ns;
    if (waits && !turn->waits)
        turn->place_ns = turn->used_ns;
    turn->waits = waits;
}

/* Who waits now? A flow that begins to wait starts at the clock. */
void turns_look(struct sim *sim)
{
    bool waits[SIM_POOLS][SIM_LEVELS][SIM_USERS][SIM_CLIENTS] = {0};
    for (uint32_t i = 0; i < sim->task_count; i++) {
        struct sim_task *t = &sim->tasks[i];
        if (t->live && t->live->core.state == MPOOL_STATE_QUEUED)
            give_back(sim, t);
        else
            t->leaving = false;
        if (t->live && t->live->core.function->paused)
            t->requeued = true; /* it goes to the front at the end of the pause */
        if (queues(sim, t))
            waits[t->pool][t->level][t->user][t->client] = true;
    }
    for (uint32_t p = 0; p < sim->pool_count; p++)
        for (uint32_t l = 0; l < SIM_LEVELS; l++)
            for (uint32_t u = 0; u < SIM_USERS; u++) {
                bool any = false;
                for (uint32_t c = 0; c < SIM_CLIENTS; c++) {
                    look(&sim->flows[p][l][u][c].turn, waits[p][l][u][c], sim->users[p][l][u].clock_ns);
                    any |= waits[p][l][u][c];
                }
                look(&sim->users[p][l][u], any, sim->levels[p][l].clock_ns);
            }
}

void turns_submit(struct sim *sim, struct sim_task *t)
{
    struct sim_turn *flow = &flow_of(sim, t)->turn, *user = &sim->users[t->pool][t->level][t->user];
    if (flow->members++ == 0) { /* who has nothing in the core owes nothing */
        flow->used_ns = 0;
        if (user->members++ == 0)
            user->used_ns = 0;
    }
    turns_look(sim);
}

void turns_finish(struct sim *sim, struct sim_task *t)
{
    turns_look(sim);
    give_back(sim, t); /* it was taken back in order to be finished */
    if (--flow_of(sim, t)->turn.members == 0)
        sim->users[t->pool][t->level][t->user].members--;
}

void turns_place(struct sim *sim, struct sim_task *t)
{
    turns_look(sim);
    if (t->live->core.ahead)
        return;
    for (uint32_t l = t->level + 1; l < SIM_LEVELS; l++)
        for (uint32_t u = 0; u < SIM_USERS; u++)
            if (sim->users[t->pool][l][u].waits)
                sim_fail(
                    sim, "task %u of priority %u goes before one of %u", t->index, priorities[t->level], priorities[l]);
    const struct sim_turn *users = sim->users[t->pool][t->level];
    for (uint32_t u = 0; u < SIM_USERS; u++)
        if (users[u].waits && users[u].place_ns < users[t->user].place_ns)
            sim_fail(sim, "task %u of user %u (%llu ns used when its turn began) goes before one of user %u (%llu ns)",
                t->index, t->user, (unsigned long long)users[t->user].place_ns, u,
                (unsigned long long)users[u].place_ns);
    const struct sim_flow *flows = sim->flows[t->pool][t->level][t->user];
    for (uint32_t c = 0; c < SIM_CLIENTS; c++)
        if (flows[c].turn.waits && flows[c].turn.place_ns < flows[t->client].turn.place_ns)
            sim_fail(sim,
                "task %u of client %u (%llu ns used when its turn began) goes before one of client %u (%llu ns)",
                t->index, t->client, (unsigned long long)flows[t->client].turn.place_ns, c,
                (unsigned long long)flows[c].turn.place_ns);
    if (t->front || t->placed_ever || t->requeued)
        return;
    struct sim_flow *flow = flow_of(sim, t);
    if (t->order < flow->last_order)
        sim_fail(sim, "task %u is overtaken by one that came later", t->index);
    flow->last_order = t->order;
    for (uint32_t i = 0; i < sim->task_count; i++)
        if (queues(sim, &sim->tasks[i]) && sim->tasks[i].placed_ever && flow_of(sim, &sim->tasks[i]) == flow)
            sim_fail(sim, "task %u goes before task %u, which was placed before and came back", t->index, i);
}

void turns_placed(struct sim *sim, struct sim_task *t)
{
    const struct core_function *f = t->live->core.function;
    uint64_t mean_ns = t->chunk ? f->chunk_mean_ns : f->mean_ns;
    struct sim_turn *user = &sim->users[t->pool][t->level][t->user];
    t->leaving = true;
    turns_look(sim);
    if (!t->live->core.ahead) {
        sim->levels[t->pool][t->level].clock_ns = user->place_ns;
        user->clock_ns = flow_of(sim, t)->turn.place_ns;
    }
    t->charged_ns = cost_ns(mean_ns ? mean_ns : MS);
    use(sim, t, (int64_t)t->charged_ns);
}

void turns_came_back(struct sim_task *t)
{
    t->came_back = true;
    t->leaving = false;
}

void turns_done(struct sim *sim, struct sim_task *t, uint64_t run_ns)
{
    int64_t more_ns = (int64_t)cost_ns(run_ns) - (int64_t)t->charged_ns;
    turns_look(sim);
    t->charged_ns = 0;
    if (more_ns >= (int64_t)TURN_NS || more_ns <= -(int64_t)TURN_NS)
        use(sim, t, more_ns);
}
