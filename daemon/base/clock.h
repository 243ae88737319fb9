/* What the daemon's loop needs of clocks beyond proto/clock.h. */
#pragma once

#include <sys/time.h>

#include "proto/clock.h"

/* As clock_now_ns() at the kernel's last tick: at most a few milliseconds old, at a quarter of the cost. */
static inline uint64_t clock_coarse_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* As libevent's timers want it. */
static inline struct timeval clock_timeval(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}
