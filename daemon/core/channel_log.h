/* Where do the bytes of queued items lie? In a row of chunks: written at the end, read from the front.
 *
 * An item is one run of opaque bytes behind its length. Adding and dropping one costs the copy and nothing more; memory
 * is taken a chunk at a time, in sizes that follow what is there, and an empty log keeps a chunk of 64 KiB at most.
 * Knows no cap: whoever owns it counts. Zeroed: empty. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_ITEM_MAX UINT32_MAX /* bytes of one item */

struct channel_chunk;

struct channel_log {
    struct channel_chunk *head, *tail;
    uint64_t bytes; /* of the items, without their lengths */
    uint32_t items;
    uint32_t grow; /* size of the next chunk; 0: the least */
};

void channel_log_deinit(struct channel_log *log);
/* Makes room for items of so many bytes in all, in one chunk of just that size. Only for an empty log. → 0; -ENOMEM. */
int channel_log_reserve(struct channel_log *log, uint32_t items, uint64_t bytes);
/* length: at most CHANNEL_ITEM_MAX. → 0; -ENOMEM, nothing changed. */
int channel_log_add(struct channel_log *log, const void *bytes, size_t length);
/* The oldest item, borrowed until it is dropped. → false: empty. */
bool channel_log_first(const struct channel_log *log, const uint8_t **ret_bytes, size_t *ret_length);
/* Drops the oldest item. Not of an empty log. */
void channel_log_drop(struct channel_log *log);
/* Moves items from the front of one to the end of the other while they stay within so many items and bytes; a large row
 * moves without a copy. *ret_moved: how many. → 0; -ENOMEM: those that were moved are. */
int channel_log_move(
    struct channel_log *to, struct channel_log *from, uint32_t max_items, uint64_t max_bytes, uint32_t *ret_moved);
