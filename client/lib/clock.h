/* Deadlines: points of the monotonic clock, so that setting the system clock does not move them. */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "proto/clock.h"

#define CLOCK_NEVER UINT64_MAX /* a deadline that never comes */

/* timeout_ms: negative means no time-out. */
static inline uint64_t clock_deadline(int64_t timeout_ms)
{
    if (timeout_ms < 0 || (uint64_t)timeout_ms > UINT64_MAX / NS_PER_MS / 2)
        return CLOCK_NEVER;
    return clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

/* As poll(2) wants it, rounded up: a wait never ends before its deadline. */
static inline int clock_left_ms(uint64_t deadline_ns)
{
    if (deadline_ns == CLOCK_NEVER)
        return -1;
    uint64_t now = clock_now_ns();
    if (deadline_ns <= now)
        return 0;
    uint64_t left_ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}
