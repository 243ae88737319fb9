/* The inside of a lane, for tests only: the mappings themselves.
 *
 * ThreadSanitizer knows memory by address: it can check the two ends only where both use one mapping. So a worker's end
 * may be built on the memory of the supervisor's, in the same process. Everything stays owned by the lane and
 * sleep_word, which must outlive it.
 */
#pragma once

#include "daemon/lane/lane.h"
#include "daemon/lane/layout.h"
#include "daemon/lane/shm.h"
#include "daemon/lane/worker_lane.h"

const struct shm_map *lane_map_s(const struct lane *lane);
const struct shm_map *lane_map_w(const struct lane *lane);
const struct layout_sleep_word *sleep_word_page(const struct sleep_word *b);

/* As worker_lane_open(), without mappings of its own. → 0 or -ENOMEM. */
int worker_lane_attach(struct worker_lane **ret, const struct shm_map *s, const struct shm_map *w,
    const struct layout_sleep_word *sleep_word, int doorbell);
