#include "daemon/pool/lane_reserve.h"

#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/lane/lane.h"

#define FREE_AT_ONCE 2 /* takes about a millisecond */

int lane_reserve_take(struct lane_reserve *r, uint64_t generation, struct lane **ret)
{
    r->wanted = true;
    if (!r->spare)
        return lane_new(ret, generation);
    lane_stamp(r->spare, generation);
    *ret = TAKE(r->spare);
    return 0;
}

void lane_reserve_return(struct lane_reserve *r, struct lane *lane)
{
    if (r->spare)
        lane_reserve_leave(r, lane);
    else
        r->spare = lane;
}

void lane_reserve_leave(struct lane_reserve *r, struct lane *lane)
{
    if (!lane)
        return;
    if (r->dead_count == r->dead_size) {
        size_t size = r->dead_size ? r->dead_size * 2 : 16;
        struct lane **grown = realloc(r->dead, size * sizeof *grown);
        if (!grown) {
            lane_free(lane);
            return;
        }
        r->dead = grown;
        r->dead_size = size;
    }
    r->dead[r->dead_count++] = lane;
    r->wanted = true;
}

void lane_reserve_trim(struct lane_reserve *r)
{
    for (int i = 0; i < FREE_AT_ONCE && r->dead_count > 0; i++)
        lane_free(r->dead[--r->dead_count]);
    r->wanted = r->dead_count > 0;
    if (!r->wanted && !r->spare && lane_new(&r->spare, 0) < 0)
        log_debug("no lane in reserve"); /* not an error: the next worker makes its own attempt */
}

void lane_reserve_free(struct lane_reserve *r)
{
    while (r->dead_count > 0)
        lane_free(r->dead[--r->dead_count]);
    free(r->dead);
    lane_free(r->spare);
    *r = (struct lane_reserve){0};
}
