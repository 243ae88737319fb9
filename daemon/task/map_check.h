/* Are the results of some items what was asked for, and harmless? They come from a worker.
 *
 * Either a row of so many whole values, or of so many pairs [error, result]; nothing before, between or behind them.
 * They may be of any size, so they are looked at a step at a time. Allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/scan.h"

struct map_check {
    bool pairs;
    uint32_t count, done, failed; /* failed: pairs whose error is not nil, so far */
    uint32_t max_depth;           /* of a value, or a pair's result */
    size_t at;                    /* where the pair begins that is looked at */
    struct wire_scan scan;        /* of it, or of the whole row */
};

void map_check_init(struct map_check *c, uint32_t count, bool pairs, uint32_t max_depth);
/* Looks at about `most` bytes more; the bytes may not have changed. → 1: all is good; 0: there is more to look at;
 * -EBADMSG */
int map_check_step(struct map_check *c, const uint8_t *bytes, size_t length, size_t most);
/* Does this pair, whole, tell a failure? → -EBADMSG: it is no pair. */
int map_check_pair(const uint8_t *pair, size_t length, bool *ret_failed);
