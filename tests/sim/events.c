/* What happens next in the simulated world? Chance and time, both replayable. */
#include "tests/sim/sim.h"

#include <stdlib.h>

/* splitmix64: every seed, also a small one, gives an unrelated sequence. */
uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    return rng_next(rng) % n;
}

uint64_t rng_between(struct rng *rng, uint64_t from, uint64_t to)
{
    return from + rng_below(rng, to - from + 1);
}

bool rng_percent(struct rng *rng, unsigned percent)
{
    return percent > 0 && rng_below(rng, 100) < percent;
}

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void sim_at(struct sim *sim, uint64_t delay_ns, enum event_kind kind, uint32_t subject, uint32_t run)
{
    if (sim->event_count == sim->event_size) {
        sim->event_size = sim->event_size ? sim->event_size * 2 : 256;
        sim->events = reallocarray(sim->events, sim->event_size, sizeof *sim->events);
        if (!sim->events)
            abort();
    }
    struct event event = {
        .at_ns = sim->now_ns + delay_ns, .order = sim->order++, .kind = kind, .subject = subject, .run = run};
    size_t i = sim->event_count++;
    for (; i > 0 && before(&event, &sim->events[(i - 1) / 2]); i = (i - 1) / 2)
        sim->events[i] = sim->events[(i - 1) / 2];
    sim->events[i] = event;
}

uint64_t sim_next_ns(const struct sim *sim)
{
    return sim->event_count ? sim->events[0].at_ns : SIM_NEVER;
}

bool sim_pop(struct sim *sim, struct event *ret)
{
    if (sim->event_count == 0)
        return false;
    *ret = sim->events[0];
    struct event last = sim->events[--sim->event_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sim->event_count)
            break;
        if (child + 1 < sim->event_count && before(&sim->events[child + 1], &sim->events[child]))
            child++;
        if (!before(&sim->events[child], &last))
            break;
        sim->events[i] = sim->events[child];
        i = child;
    }
    if (sim->event_count)
        sim->events[i] = last;
    return true;
}
