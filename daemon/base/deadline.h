/* When does the heart want to be run next? One timer, finer than those of the event loop, and seldom set.
 *
 * libevent's own precise timers make a system call each time it looks for events. This one makes one when the time
 * comes nearer; when it moves away it is left as it is, goes off early, and is set again then: tasks come and go a
 * million times a second, and their deadlines are mostly later ones.
 */
#pragma once

#include <event2/event.h>
#include <stdint.h>

struct deadline {
    int fd;
    struct event *on_expired;
    uint64_t set_ns; /* goes off then; UINT64_MAX: not at all */
};

/* The loop wakes when it goes off; nothing else happens. → 0 or -errno; deinit in any case. */
int deadline_init(struct deadline *d, struct event_base *base);
void deadline_deinit(struct deadline *d);
/* Goes off at at_ns of CLOCK_MONOTONIC, or before; UINT64_MAX: need not. */
void deadline_set(struct deadline *d, uint64_t at_ns);
