/* How many items go into a map's next request?
 *
 * As many as the daemon answers in about two milliseconds at the rate measured so far: few enough that long items
 * spread over the workers and results arrive steadily, enough that the cost of a request is negligible. The first
 * request has one item. Time with nothing in flight is not counted. Pure: the time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_CHUNK_MAX 16384u

struct pace {
    uint32_t chunk;
    bool fixed;
    double ns_per_item; /* smoothed; 0 before the first sample */
    uint64_t since_ns;  /* time has been counted up to here */
    uint64_t busy_ns;   /* the current sample: time with something in flight, … */
    uint64_t items;     /* … and the items answered in it */
};

/* chunk: a fixed size; 0: measured. */
void pace_init(struct pace *pace, uint32_t chunk);
/* The first request is sent while none is in flight. */
void pace_begin(struct pace *pace, uint64_t now_ns);
void pace_answered(struct pace *pace, uint64_t items, uint64_t now_ns);
