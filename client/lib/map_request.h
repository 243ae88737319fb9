/* Which items of one map request has the daemon answered?
 *
 * A request covers a range of items; their answers arrive in pieces, in any order, or all at once. Each item is
 * answered once: an answer outside the range, or a second one, is a protocol error. When the request ends, the items
 * not yet answered fail with the error of the request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "client/lib/answers.h"
#include "proto/reader.h"

struct map_request {
    TAILQ_ENTRY(map_request) link;
    mpool_map *map;
    uint32_t msgid;
    uint64_t first; /* index of its first item */
    uint32_t count, covered;
    size_t bytes;   /* of its items */
    uint64_t got[]; /* a bit an item */
};

struct map_request *map_request_new(mpool_map *map, uint64_t first, uint32_t count, size_t bytes);

/* pairs: an array of [error, result], for the items from `first` on, counted within the request.
 * → the number of items; MPOOL_EPROTOCOL; -ENOMEM. */
int map_request_take(struct map_request *request, struct answers *answers, uint64_t first, struct wire_reader pairs);

/* Fails the items that have not been answered. → 0; -ENOMEM. */
int map_request_fail_rest(struct map_request *request, struct answers *answers, int code, const char *text);
