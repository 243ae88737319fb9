/* May a peer use this descriptor, or is it one of the last, which workers need?
 *
 * What peers can make the daemon keep open is capped below the process limit, so that enough descriptors remain to
 * start one worker and all workers that the pools still lack. Long-lived uses, such as connections and kept results,
 * are refused a little earlier, so that short-lived ones, such as the arguments of calls, can always proceed in turn.
 * The lowest free number shows how many are in use, so a descriptor is judged by its own number. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct descriptors {
    uint64_t limit; /* what the process may open; RLIM_INFINITY: no limit */
    /* How many workers do the pools still lack? NULL: none. */
    uint64_t (*workers_lacking)(const void *context);
    const void *context;
};

enum descriptor_use { DESCRIPTOR_LASTING, DESCRIPTOR_PASSING };

/* How many long-lived descriptors may all peers together hold? Called once, before the first peer connects, while only
 * the daemon's own descriptors are open and no worker exists. UINT64_MAX: no limit. */
uint64_t descriptors_for_peers(const struct descriptors *d);
/* fd: just made or received. → false: close it again. */
bool descriptors_allow(const struct descriptors *d, int fd, enum descriptor_use use);
/* Would one more short-lived descriptor be allowed? Two system calls. */
bool descriptors_left(const struct descriptors *d);
