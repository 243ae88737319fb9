/* When is the next thing due? A pairing heap of timers that are embedded in whoever waits.
 *
 * Arming is constant time and never allocates, so it cannot fail; disarming and firing are logarithmic, amortised.
 * Knows no clock: whoever asks for the first compares it with the time it was given.
 */
#pragma once

#include "daemon/core/core.h"

struct core_timers {
    struct core_timer *root; /* the earliest; NULL: none armed */
};

/* Arms the timer, or moves it when it is armed already. Which of two with the same time comes first is not promised,
 * but depends on the calls alone, never on addresses: a run can be replayed. */
void core_timer_arm(struct core_timers *timers, struct core_timer *timer, uint8_t kind, uint64_t at_ns);
/* Not armed: nothing. */
void core_timer_disarm(struct core_timers *timers, struct core_timer *timer);

static inline struct core_timer *core_timer_first(const struct core_timers *timers)
{
    return timers->root;
}
