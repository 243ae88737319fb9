/* The event loop as every folder of the daemon sees it: the time of this pass, and whether there is more to do.
 *
 * The daemon is one thread. It handles events, then makes one pass over what they changed, then sleeps; see
 * daemon/supervisor/supervisor.c for the order of a pass. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/clock.h"
#include "daemon/base/stats.h"

struct loop {
    struct event_base *base;
    uint64_t now_ns, wall_ms; /* of this pass, or of the event being handled: see loop_tick() */
    bool again;               /* this pass has created work for another one: do not sleep */
    bool stopping;            /* the daemon accepts no more work */
    struct event *housekeeping;
    bool housekeeping_on; /* it is armed */
    struct stats stats;
};

/* Reads the clock: once per pass and once per event, not once per task. Every event handler must call it first, as it
 * may run after a sleep of any length. */
static inline void loop_tick(struct loop *loop)
{
    loop->now_ns = clock_now_ns();
    loop->wall_ms = clock_wall_ms();
}

/* No work may hold up the loop: anything that grows with a client's request (copies, writes, scans) does one step per
 * pass, more while the pass has time left, and continues in the next one. So other clients wait for one pass, not for
 * the whole work. */
#define STEP_BYTES (1u << 20)
#define PASS_NS    (5 * NS_PER_MS)

static inline bool loop_has_time(const struct loop *loop)
{
    return clock_now_ns() - loop->now_ns < PASS_NS;
}

/* Some work continues in the next pass. */
static inline void loop_defer(struct loop *loop)
{
    loop->stats.loop_deferrals++;
    loop->again = true;
}

/* Asks for housekeeping (deadlines that have no timer of their own) within half a second. */
static inline void loop_need_housekeeping(struct loop *loop)
{
    static const struct timeval soon = {.tv_usec = 500000};
    if (loop->housekeeping_on)
        return;
    loop->housekeeping_on = true;
    event_add(loop->housekeeping, &soon);
}
