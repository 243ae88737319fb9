/* What comes first? A pairing heap of timers that are embedded in whatever waits.
 *
 * Arming is constant time and never allocates, so it cannot fail; disarming and firing are logarithmic, amortised.
 * Knows no clock: the caller compares the first timer with the time that it was given. The time may be a virtual one,
 * as in turns.c.
 */
#pragma once

#include "daemon/core/core.h"

struct core_timers {
    struct core_timer *root; /* the earliest; NULL: none armed */
    uint32_t armed;          /* how often one was armed */
};

/* Arms the timer, or moves it when it is already armed. Of two with the same time the one that was armed first comes
 * first. */
void core_timer_arm(struct core_timers *timers, struct core_timer *timer, uint8_t kind, uint64_t at_ns);
/* Does nothing if it is not armed. */
void core_timer_disarm(struct core_timers *timers, struct core_timer *timer);

static inline struct core_timer *core_timer_first(const struct core_timers *timers)
{
    return timers->root;
}
