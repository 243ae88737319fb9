/* A pool of lanes: a spare one for the next worker, and those of dead workers, which are freed when there is time.
 *
 * Making a lane takes most of a millisecond, as its memory is allocated in advance, and freeing it half of one. A dead
 * worker is replaced before its lane is freed, and if many die at once no pass frees more than a few lanes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane;

struct lane_reserve {
    struct lane *spare; /* never used by a worker; or NULL */
    struct lane **dead; /* owned */
    size_t dead_count, dead_size;
    bool wanted; /* the spare one must be made, or dead ones freed */
};

/* → 0 or -errno. *ret is the caller's. */
int lane_reserve_take(struct lane_reserve *r, uint64_t generation, struct lane **ret);
/* Returns a lane that was taken for a worker which was not started; it is still unused. lane: taken; NULL: nothing. */
void lane_reserve_return(struct lane_reserve *r, struct lane *lane);
/* Its worker has died. lane: taken; NULL: nothing. */
void lane_reserve_leave(struct lane_reserve *r, struct lane *lane);
/* Frees a few of the dead; when none is left, makes the spare one. Sets r->wanted. */
void lane_reserve_trim(struct lane_reserve *r);
void lane_reserve_free(struct lane_reserve *r);
