/* Stores the bytes of queued items in a row of chunks: written at the end, read from the front.
 *
 * An item is one run of opaque bytes behind its length, and for a token its weight. Adding and dropping one costs the
 * copy and nothing more; memory is allocated a chunk at a time, in sizes that follow what is there, and an empty log
 * keeps a chunk of at most 64 KiB. Knows no cap: its owner counts. Zeroed: empty. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_ITEM_MAX INT32_MAX /* bytes of one item */

struct channel_chunk;

/* One item: its bytes, borrowed. A token stands for something that is stored elsewhere, and has the weight of that. */
struct channel_item {
    const uint8_t *bytes;
    uint32_t length;
    bool token;
    uint64_t weight; /* what it counts for: its length, unless it is a token */
};

/* Disposes of a token that is thrown away. */
typedef void channel_dispose_fn(const uint8_t *token, size_t length);

static inline struct channel_item channel_item_of(const void *bytes, size_t length)
{
    return (struct channel_item){.bytes = bytes, .length = (uint32_t)length, .weight = length};
}

struct channel_log {
    struct channel_chunk *head, *tail;
    uint64_t bytes; /* total weight of the items */
    uint32_t items, tokens;
    uint32_t grow; /* size of the next chunk; 0: the minimum */
};

/* dispose: may be NULL when there can be no token. */
void channel_log_deinit(struct channel_log *log, channel_dispose_fn *dispose);
/* Makes room for items of so many bytes in all, in one chunk of just that size. Only for an empty log. → 0; -ENOMEM. */
int channel_log_reserve(struct channel_log *log, uint32_t items, uint64_t bytes);
/* Copies the item; its length is at most CHANNEL_ITEM_MAX. → 0; -ENOMEM, nothing changed. */
int channel_log_add(struct channel_log *log, const struct channel_item *item);
/* The oldest item, borrowed until it is dropped. → false: empty. */
bool channel_log_first(const struct channel_log *log, struct channel_item *ret_item);
/* Drops the oldest item; a token is the caller's. The log must not be empty. */
void channel_log_drop(struct channel_log *log);
/* The limit of a move: items, bytes that they weigh, and what they cost if each costs some more than it weighs. */
struct channel_room {
    uint32_t items, each;
    uint64_t bytes, cost;
};
/* Moves items from the front of one to the end of the other while there is room; a large row moves without a copy.
 * *ret_moved: how many. → 0; -ENOMEM: those that were moved are. */
int channel_log_move(
    struct channel_log *to, struct channel_log *from, const struct channel_room *room, uint32_t *ret_moved);
