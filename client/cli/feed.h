/* Maps over a source that may run dry for a while: a pipe whose writer is slow.
 *
 * libmpoolclient's pull may not say "nothing just now". So the items are fed in batches, each a map of its own: a dry
 * source ends the batch, and the next begins when the source flows again. A source that never runs dry is one batch.
 * Results keep coming meanwhile. A few batches may be open at once, and no more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mpool/client.h>

#define FEED_DRY (-EAGAIN) /* what a feed's pull returns for "nothing just now" */

enum { FEED_BATCHES = 8 };

struct feed_batch {
    struct feed *feed;
    mpool_map *map;
    uint64_t first; /* index of its first item */
    uint64_t left;  /* items that it may still pull */
    bool full;      /* it pulls no more */
};

struct feed {
    mpool_client *client;      /* borrowed */
    const char *function;      /* borrowed */
    mpool_map_options options; /* window 0: the library's */
    mpool_pull_fn *pull;       /* may return FEED_DRY */
    void *userdata;
    struct feed_batch *batches[FEED_BATCHES]; /* open ones, oldest first */
    size_t count;
    uint64_t pulled, given;
    bool dry;     /* wait until the source flows, then clear this */
    bool ended;   /* the source has, or feed_stop() */
    int end_code; /* what pull returned at last */
};

/* → 1 with an item (its index counted over all batches); 0 all have been given; -EAGAIN nothing just now: wait for the
 * connection, and for the source while feed_wants_source(); other negative: as mpool_map_next(). */
int feed_next(struct feed *feed, mpool_item *ret_item);

/* Whether the source is dry and more of it could be taken. */
bool feed_wants_source(const struct feed *feed);

/* Takes nothing more from the source. What was taken goes on. */
void feed_stop(struct feed *feed);
/* The same, and what was taken ends with MPOOL_ECANCELLED. */
void feed_cancel(struct feed *feed);
void feed_reset(struct feed *feed);
