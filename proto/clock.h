/* Clocks: monotonic for every deadline, wall clock only for times that people read. */
#pragma once

#include <stdint.h>
#include <time.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* Nanoseconds of CLOCK_MONOTONIC, so clock jumps do not move deadlines. */
static inline uint64_t clock_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline int64_t clock_now_ms(void)
{
    return (int64_t)(clock_now_ns() / NS_PER_MS);
}

/* Milliseconds since the Unix epoch, for records that people read; never for a deadline. */
static inline uint64_t clock_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

/* The sooner of two time-outs of poll(2); negative: none. */
static inline int clock_sooner_ms(int a, int b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}
