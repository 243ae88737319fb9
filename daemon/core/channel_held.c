/* Taken, confirmed, returned: see channel_held.h.
 *
 * A ticket is a slot's number below a count of its uses, so that a late confirmation never matches a later item in the
 * same slot. Returned items are in a heap ordered by place. Room in it is reserved before an item goes out, so that a
 * return never needs memory.
 */
#include "daemon/core/channel_held.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BITS  20u /* CHANNEL_ITEMS_MAX */
#define NO_SLOT    UINT32_MAX
#define SLOT_FIRST 16u

struct channel_slot {
    struct channel_held *held; /* NULL: free */
    uint32_t uses, next_free;
};

/* ---- the heap of the returned ---- */

static void heap_push(struct channel *ch, struct channel_held *h)
{
    uint32_t at = ch->returned_count++;
    assert(at < ch->returned_size);
    for (; at > 0 && ch->returned[(at - 1) / 2]->place > h->place; at = (at - 1) / 2)
        ch->returned[at] = ch->returned[(at - 1) / 2];
    ch->returned[at] = h;
    ch->returned_bytes += h->weight;
}

static struct channel_held *heap_pop(struct channel *ch)
{
    struct channel_held *first = ch->returned[0], *last = ch->returned[--ch->returned_count];
    uint32_t at = 0, count = ch->returned_count;
    for (uint32_t child; (child = at * 2 + 1) < count; at = child) {
        if (child + 1 < count && ch->returned[child + 1]->place < ch->returned[child]->place)
            child++;
        if (last->place <= ch->returned[child]->place)
            break;
        ch->returned[at] = ch->returned[child];
    }
    if (count > 0)
        ch->returned[at] = last;
    ch->returned_bytes -= first->weight;
    return first;
}

/* ---- slots ---- */

/* Ensures a free slot, and room in the heap for all that is out. → false: no memory. */
static bool make_room(struct channel *ch)
{
    uint32_t out = ch->held_count + ch->returned_count + 1;
    if (out > ch->returned_size) {
        uint32_t size = ch->returned_size ? ch->returned_size * 2 : SLOT_FIRST;
        struct channel_held **grown = realloc(ch->returned, size * sizeof *grown);
        if (!grown)
            return false;
        ch->returned = grown;
        ch->returned_size = size;
    }
    if (ch->slot_free == NO_SLOT || ch->slot_count == 0) {
        uint32_t old = ch->slot_count, size = old ? old * 2 : SLOT_FIRST;
        struct channel_slot *grown = realloc(ch->slots, size * sizeof *grown);
        if (!grown)
            return false;
        for (uint32_t i = old; i < size; i++)
            grown[i] = (struct channel_slot){.next_free = i + 1 < size ? i + 1 : NO_SLOT};
        ch->slots = grown;
        ch->slot_count = size;
        ch->slot_free = old;
    }
    return true;
}

static uint64_t give_slot(struct channel *ch, struct channel_held *h)
{
    struct channel_slot *slot = &ch->slots[ch->slot_free];
    h->slot = ch->slot_free;
    ch->slot_free = slot->next_free;
    slot->held = h;
    slot->uses++;
    return ((uint64_t)slot->uses << SLOT_BITS) | h->slot;
}

static void leave_slot(struct channel *ch, struct channel_held *h)
{
    struct channel_slot *slot = &ch->slots[h->slot];
    slot->held = NULL;
    slot->next_free = ch->slot_free;
    ch->slot_free = h->slot;
}

/* ---- the life of a held item ---- */

struct channel_item channel_held_item(const struct channel_held *h)
{
    return (struct channel_item){.bytes = h->bytes, .length = h->length, .token = h->token, .weight = h->weight};
}

int channel_held_take(struct channel *ch, struct channel_client *client, uint64_t *ret_ticket)
{
    struct channel_held *h;
    struct channel_item item;
    if (!make_room(ch))
        return -ENOMEM;
    if (ch->returned_count > 0) {
        h = heap_pop(ch);
    } else {
        bool there = channel_log_first(&ch->log, &item);
        assert(there);
        (void)there;
        h = malloc(sizeof *h + item.length);
        if (!h)
            return -ENOMEM;
        *h = (struct channel_held){
            .place = ch->next_place++, .weight = item.weight, .length = item.length, .token = item.token};
        memcpy(h->bytes, item.bytes, item.length);
        ch->out_tokens += item.token;
        channel_log_drop(&ch->log);
    }
    h->client = client;
    *ret_ticket = give_slot(ch, h);
    TAILQ_INSERT_TAIL(&client->held, h, link);
    client->held_count++;
    ch->held_count++;
    ch->held_bytes += h->weight;
    return 0;
}

struct channel_held *channel_held_find(const struct channel *ch, const struct channel_client *client, uint64_t ticket)
{
    uint32_t at = ticket & (CHANNEL_ITEMS_MAX - 1);
    if (at >= ch->slot_count || ticket >> SLOT_BITS != ch->slots[at].uses)
        return NULL;
    struct channel_held *h = ch->slots[at].held;
    return h && h->client == client ? h : NULL;
}

static void leave_client(struct channel *ch, struct channel_held *h)
{
    leave_slot(ch, h);
    TAILQ_REMOVE(&h->client->held, h, link);
    h->client->held_count--;
    h->client = NULL;
    ch->held_count--;
    ch->held_bytes -= h->weight;
}

static void throw_away(struct channel *ch, struct channel_held *h)
{
    if (h->token) {
        ch->options.dispose(h->bytes, h->length);
        ch->out_tokens--;
    }
    free(h);
}

void channel_held_drop(struct channel *ch, struct channel_held *h)
{
    leave_client(ch, h);
    throw_away(ch, h);
}

void channel_held_return(struct channel *ch, struct channel_held *h)
{
    leave_client(ch, h);
    heap_push(ch, h);
}

void channel_held_hand_over(struct channel *ch)
{
    struct channel_held *h = heap_pop(ch);
    ch->out_tokens -= h->token;
    free(h);
}

void channel_held_clear(struct channel *ch)
{
    while (ch->returned_count > 0)
        throw_away(ch, heap_pop(ch));
}

void channel_held_deinit(struct channel *ch)
{
    channel_held_clear(ch);
    free(ch->returned);
    free(ch->slots);
    ch->returned = NULL;
    ch->slots = NULL;
}
