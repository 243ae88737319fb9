/* Validates the results of some items, which come from a worker.
 *
 * They must be a sequence of the given number of whole values, or of pairs [error, result], with nothing before,
 * between or after them. They may be of any size, so they are checked step by step. Allocates nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/scan.h"

struct map_check {
    bool pairs;
    uint32_t count, done, failed; /* failed: pairs whose error is not nil, so far */
    uint32_t max_depth;           /* of a value, or a pair's result */
    size_t at;                    /* where the pair being checked begins */
    struct wire_scan scan;        /* of that pair, or of the whole sequence */
};

void map_check_init(struct map_check *c, uint32_t count, bool pairs, uint32_t max_depth);
/* Checks about `most` more bytes, which must not change meanwhile. → 1: all are valid; 0: there is more to check;
 * -EBADMSG */
int map_check_step(struct map_check *c, const uint8_t *bytes, size_t length, size_t max);
/* Does this complete pair report a failure? → -EBADMSG: it is not a pair. */
int map_check_pair(const uint8_t *pair, size_t length, bool *ret_failed);
