/* How many items go into a map's next request?
 *
 * As many as the daemon answers in about two milliseconds at the rate measured so far: few enough that long items
 * spread over the workers and results come steadily, enough that the cost of a request drowns. It begins with one. Time
 * while nothing was in flight does not count. Pure: the time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_CHUNK_MAX 16384u

struct pace {
    uint32_t chunk;
    bool fixed;
    double ns_per_item; /* smoothed; 0 before the first sample */
    uint64_t since_ns;  /* up to when time has been counted */
    uint64_t busy_ns;   /* the sample under way: time with something in flight, … */
    uint64_t items;     /* … and what was answered in it */
};

/* chunk: 0: measured; else it stays so. */
void pace_init(struct pace *pace, uint32_t chunk);
/* The first request is sent while none is in flight. */
void pace_begin(struct pace *pace, uint64_t now_ns);
void pace_answered(struct pace *pace, uint64_t items, uint64_t now_ns);
