/* How does a source that may run dry become maps? See feed.h. */
#include "client/cli/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a batch pulls from. Its index in the feed is the order of pulls: only the newest batch is ever not full. */
static int pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct feed_batch *batch = userdata;
    struct feed *feed = batch->feed;
    int r = feed->ended || batch->left == 0 ? 0 : feed->pull(feed->userdata, ret_item, ret_length);
    if (r > 0) {
        feed->pulled++;
        batch->full = --batch->left == 0;
        return r;
    }
    batch->full = true;
    if (r == FEED_DRY)
        feed->dry = true;
    else if (!feed->ended && batch->left > 0) {
        feed->ended = true;
        feed->end_code = r;
    }
    return 0;
}

/* How many items the next batch may take: with a window (--jobs), what is left of it, and all it likes without one. A
 * batch that starts with less than the whole window takes that many items alone, so that the next gets the rest. */
static uint64_t room(const struct feed *feed)
{
    if (feed->options.window == 0)
        return UINT64_MAX;
    uint64_t outstanding = feed->pulled - feed->given;
    if (outstanding == 0)
        return UINT64_MAX;
    return outstanding < feed->options.window ? feed->options.window - outstanding : 0;
}

static bool may_open(const struct feed *feed)
{
    bool pulling = feed->count > 0 && !feed->batches[feed->count - 1]->full;
    return !feed->ended && !pulling && feed->count < FEED_BATCHES && room(feed) > 0;
}

static int open_batch(struct feed *feed)
{
    struct feed_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return -ENOMEM;
    *batch = (struct feed_batch){.feed = feed, .first = feed->pulled, .left = room(feed)};
    mpool_map_options options = feed->options;
    if (options.window > 0 && batch->left < options.window)
        options.window = (uint32_t)batch->left;
    int r = mpool_map_start(feed->client, &batch->map, feed->function, pull, batch, &options);
    if (r < 0) {
        free(batch);
        return r;
    }
    feed->batches[feed->count++] = batch;
    return 0;
}

static void close_batch(struct feed *feed, size_t at)
{
    mpool_map_free(feed->batches[at]->map);
    free(feed->batches[at]);
    feed->count--;
    memmove(feed->batches + at, feed->batches + at + 1, (feed->count - at) * sizeof feed->batches[0]);
}

/* → 1 an item; 0 nothing ready; negative. */
static int take_from(struct feed *feed, size_t at, mpool_item *ret_item)
{
    struct feed_batch *batch = feed->batches[at];
    int r = mpool_map_next(batch->map, ret_item, 0);
    if (r == 1) {
        ret_item->index += batch->first;
        feed->given++;
    } else if (r == 0) {
        close_batch(feed, at);
    }
    return r == -ETIMEDOUT ? 0 : r;
}

int feed_next(struct feed *feed, mpool_item *ret_item)
{
    for (;;) {
        if (!feed->dry && may_open(feed)) {
            int r = open_batch(feed);
            if (r < 0)
                return r;
        }
        bool closed = false;
        for (size_t i = 0; i < feed->count;) {
            size_t open = feed->count;
            int r = take_from(feed, i, ret_item);
            if (r != 0)
                return r;
            if (feed->count < open)
                closed = true; /* and the next has moved to its place */
            else if (feed->options.unordered)
                i++;
            else
                break;
        }
        if (feed->count == 0 && feed->ended)
            return feed->end_code;
        if (!closed && (feed->dry || !may_open(feed)))
            return -EAGAIN;
    }
}

bool feed_wants_source(const struct feed *feed)
{
    return feed->dry && may_open(feed);
}

void feed_stop(struct feed *feed)
{
    feed->ended = true;
}

void feed_cancel(struct feed *feed)
{
    feed->ended = true;
    for (size_t i = 0; i < feed->count; i++)
        mpool_map_cancel(feed->batches[i]->map);
}

void feed_reset(struct feed *feed)
{
    while (feed->count > 0)
        close_batch(feed, feed->count - 1);
}
