/* Which items of one map request has the daemon answered?
 *
 * A request asks for a row of items; their answers come in pieces, in any order, or all at once. Each item counts once:
 * an answer outside the row, or a second one, breaks the protocol. When the request ends, whatever was not answered
 * has failed the way the request did.
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

/* What has not been answered fails. → 0; -ENOMEM. */
int map_request_fail_rest(struct map_request *request, struct answers *answers, int code, const char *text);
