/* The row of chunks behind channel_log.h. */
#include "daemon/core/channel_log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN   1024u
#define CHUNK_MAX   (64u << 10)
#define SPLICE_FROM (16u << 10)      /* rows of this many bytes or more get a chunk of their own */
#define HEAD        sizeof(uint32_t) /* an item's length */
#define TOKEN       (1u << 31)       /* flag in the length: a weight follows */
#define WEIGHT      sizeof(uint64_t)

struct channel_chunk {
    struct channel_chunk *next;
    size_t read, write, size;
    uint8_t bytes[];
};

void channel_log_deinit(struct channel_log *log, channel_dispose_fn *dispose)
{
    struct channel_item item;
    while (log->tokens > 0 && channel_log_first(log, &item)) {
        if (item.token)
            dispose(item.bytes, item.length);
        channel_log_drop(log);
    }
    for (struct channel_chunk *chunk = log->head, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *log = (struct channel_log){0};
}

static int add_chunk(struct channel_log *log, size_t size)
{
    struct channel_chunk *chunk = size > SIZE_MAX - sizeof *chunk ? NULL : malloc(sizeof *chunk + size);
    if (!chunk)
        return -ENOMEM;
    *chunk = (struct channel_chunk){.size = size};
    if (log->tail)
        log->tail->next = chunk;
    else
        log->head = chunk;
    log->tail = chunk;
    return 0;
}

int channel_log_reserve(struct channel_log *log, uint32_t items, uint64_t bytes)
{
    assert(log->items == 0);
    if (bytes > SIZE_MAX - items * (uint64_t)HEAD)
        return -ENOMEM;
    channel_log_deinit(log, NULL);
    return add_chunk(log, (size_t)bytes + items * HEAD);
}

int channel_log_add(struct channel_log *log, const struct channel_item *item)
{
    uint32_t head = item->length | (item->token ? TOKEN : 0);
    size_t length = item->length, before = item->token ? HEAD + WEIGHT : HEAD;
    struct channel_chunk *chunk = log->tail;
    assert(length <= CHANNEL_ITEM_MAX);
    if (!chunk || chunk->size - chunk->write < before + length) {
        uint32_t size = log->grow ? log->grow : CHUNK_MIN;
        if (add_chunk(log, before + length > size ? before + length : size) < 0)
            return -ENOMEM;
        log->grow = size < CHUNK_MAX ? size * 2 : size;
        if (chunk && log->items == 0) { /* the kept chunk is too small */
            log->head = log->tail;
            free(chunk);
        }
        chunk = log->tail;
    }
    memcpy(chunk->bytes + chunk->write, &head, HEAD);
    if (item->token)
        memcpy(chunk->bytes + chunk->write + HEAD, &item->weight, WEIGHT);
    if (length > 0)
        memcpy(chunk->bytes + chunk->write + before, item->bytes, length);
    chunk->write += before + length;
    log->items++;
    log->tokens += item->token;
    log->bytes += item->weight;
    return 0;
}

bool channel_log_first(const struct channel_log *log, struct channel_item *ret_item)
{
    const struct channel_chunk *chunk = log->head;
    uint32_t head;
    if (log->items == 0)
        return false;
    const uint8_t *at = chunk->bytes + chunk->read;
    memcpy(&head, at, HEAD);
    /* Field by field: building a whole struct first would copy it in wider pieces than it was written in, which stalls.
     */
    ret_item->bytes = at + HEAD;
    ret_item->length = head & ~TOKEN;
    ret_item->token = head & TOKEN;
    ret_item->weight = head;
    if (head & TOKEN) {
        memcpy(&ret_item->weight, at + HEAD, WEIGHT);
        ret_item->bytes += WEIGHT;
    }
    return true;
}

void channel_log_drop(struct channel_log *log)
{
    struct channel_chunk *chunk = log->head;
    uint32_t head;
    assert(log->items > 0);
    memcpy(&head, chunk->bytes + chunk->read, HEAD);
    log->items--;
    if (head & TOKEN) {
        uint64_t weight;
        memcpy(&weight, chunk->bytes + chunk->read + HEAD, WEIGHT);
        head &= ~TOKEN;
        chunk->read += HEAD + WEIGHT + head;
        log->tokens--;
        log->bytes -= weight;
    } else {
        chunk->read += HEAD + head;
        log->bytes -= head;
    }
    if (chunk->read < chunk->write)
        return;
    if (chunk->next) {
        log->head = chunk->next;
        free(chunk);
    } else if (chunk->size > CHUNK_MAX) {
        channel_log_deinit(log, NULL); /* it held one large item */
    } else {
        /* The last chunk is rewritten from its start: a queue that is emptied again and again allocates nothing. */
        chunk->read = chunk->write = 0;
    }
}

static void splice(struct channel_log *to, struct channel_log *from)
{
    if (to->items == 0) { /* the chunk that it keeps is empty */
        channel_log_deinit(to, NULL);
        to->head = from->head;
    } else {
        to->tail->next = from->head;
    }
    to->tail = from->tail;
    to->items += from->items;
    to->tokens += from->tokens;
    to->bytes += from->bytes;
    to->grow = 0; /* small again, so that large rows alternating with single items do not leave large unused ends */
    *from = (struct channel_log){0};
}

static bool has_room(const struct channel_room *room, uint32_t items, uint64_t bytes)
{
    return items <= room->items && bytes <= room->bytes && bytes <= room->cost &&
           (uint64_t)items * room->each <= room->cost - bytes;
}

int channel_log_move(
    struct channel_log *to, struct channel_log *from, const struct channel_room *room, uint32_t *ret_moved)
{
    struct channel_item item;
    uint64_t bytes = 0;
    *ret_moved = 0;
    if (from->bytes >= SPLICE_FROM && has_room(room, from->items, from->bytes)) {
        *ret_moved = from->items;
        splice(to, from);
        return 0;
    }
    while (channel_log_first(from, &item) && has_room(room, *ret_moved + 1, bytes + item.weight)) {
        if (channel_log_add(to, &item) < 0)
            return -ENOMEM;
        channel_log_drop(from);
        bytes += item.weight;
        ++*ret_moved;
    }
    return 0;
}
