/* The state of a running map. Shared by the half that pulls and sends (map_pull.c) and the half that callers see
 * (map.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mpool/client.h>

#include "client/lib/answers.h"
#include "client/lib/handle.h"
#include "client/lib/map_request.h"
#include "client/lib/pace.h"
#include "proto/buf.h"

TAILQ_HEAD(map_requests, map_request);

struct mpool_map {
    struct source source;
    mpool_client *client; /* NULL when it was disconnected */
    char *function, *pool, *name;
    mpool_pull_fn *pull;
    void *userdata;
    mpool_map_options options;
    mpool_options task;    /* options.task points to it; its strings are the ones above */
    struct wire_buf chunk; /* the items of the request that is being made, behind room for their array's head */
    struct pace pace;
    struct answers answers;
    struct map_requests requests;
    uint32_t in_flight, in_flight_max;
    size_t bytes_in_flight;
    uint64_t pulled, given;
    bool asking; /* for the number of workers, by: */
    uint32_t asking_msgid;
    bool dry;   /* the source has nothing now; not asked again before the next look */
    bool ended; /* the source has; with: */
    int end_code;
    bool cancelled;
    int broken;    /* an answer could not be kept: -ENOMEM */
    unsigned busy; /* its functions are on the stack: must not be released */
    bool dead;     /* mpool_map_free() came while it could not be released */
};

/* Asks the daemon how many workers there are. A failure leaves the guess as it is. */
void map_pull_ask_workers(mpool_map *map);
/* Is there room to pull another item now? */
bool map_pull_wanted(const mpool_map *map);
/* Pulls and sends as long as map_pull_wanted(). Runs the user's code. */
void map_pull(mpool_map *map);
