/* May peers have this descriptor, or is it one of the last, which workers need?
 *
 * What a peer can make the daemon hold open stops before the process' limit: enough stays for the workers that the
 * pools still lack, and for a birth. What lasts, such as connections and kept results, stops a little earlier, so that
 * what is passing, such as the arguments of calls, can always wait for its turn. The lowest free number tells how many
 * are in use, so a descriptor's own number is asked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct descriptors {
    uint64_t limit; /* what the process may use; RLIM_INFINITY: no limit */
    /* How many workers do the pools still lack? NULL: none. */
    uint64_t (*workers_lacking)(const void *context);
    const void *context;
};

enum descriptor_use { DESCRIPTOR_LASTING, DESCRIPTOR_PASSING };

/* How many may peers hold for long, all together? Asked once, before the first of them comes: nothing but the daemon's
 * own is open, and no worker has been made. UINT64_MAX: there is no limit. */
uint64_t descriptors_for_peers(const struct descriptors *d);
/* fd: just made or received. → false: close it again. */
bool descriptors_allow(const struct descriptors *d, int fd, enum descriptor_use use);
/* Would one more be allowed for what is passing? Two system calls. */
bool descriptors_left(const struct descriptors *d);
