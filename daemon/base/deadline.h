/* The timer for the core's next run: one timer, finer than those of the event loop, and rarely set.
 *
 * libevent's own precise timers make a system call each time it polls for events. This one makes a system call only
 * when the deadline moves closer. When the deadline moves away the timer is left alone, fires early and is set again
 * then: up to a million tasks a second come and go, and most move the deadline later. */
#pragma once

#include <event2/event.h>
#include <stdint.h>

struct deadline {
    int fd;
    struct event *on_expired;
    uint64_t set_ns; /* when it fires; UINT64_MAX: disarmed */
};

/* Wakes the loop when it fires; does nothing else. → 0 or -errno; call deinit in any case. */
int deadline_init(struct deadline *d, struct event_base *base);
void deadline_deinit(struct deadline *d);
/* Fires at at_ns of CLOCK_MONOTONIC or earlier; UINT64_MAX: not needed. */
void deadline_set(struct deadline *d, uint64_t at_ns);
