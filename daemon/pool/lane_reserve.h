/* Lanes in reserve: one for the next worker, and those of the dead, which are freed when there is time.
 *
 * Making a lane takes most of a millisecond, as its memory is got in advance, and freeing it half of one. A worker that
 * died is replaced before that, and of many that die at once no pass frees more than a few.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane;

struct lane_reserve {
    struct lane *spare; /* no worker has ever had it; or NULL */
    struct lane **dead; /* owned */
    size_t dead_count, dead_size;
    bool wanted; /* the one is to be made, or others are to be freed */
};

/* → 0 or -errno. *ret is the caller's. */
int lane_reserve_take(struct lane_reserve *r, uint64_t generation, struct lane **ret);
/* It was taken for a worker that was not made, and is as new. lane: taken; NULL: nothing. */
void lane_reserve_return(struct lane_reserve *r, struct lane *lane);
/* Its worker has died. lane: taken; NULL: nothing. */
void lane_reserve_leave(struct lane_reserve *r, struct lane *lane);
/* Frees a few of the dead; when none is left makes the spare one. Sets r->wanted. */
void lane_reserve_tidy(struct lane_reserve *r);
void lane_reserve_free(struct lane_reserve *r);
