/* Items that were taken and may come back: those with their takers, their tickets, and those that have returned. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/channel.h"

struct channel_held {
    TAILQ_ENTRY(channel_held) link; /* of its client */
    struct channel_client *client;  /* NULL: returned */
    uint64_t place;                 /* its place in the channel's order */
    uint64_t weight;
    uint32_t slot, length;
    bool token;
    uint8_t bytes[];
};

struct channel_item channel_held_item(const struct channel_held *h);

/* Takes the next item for a client: a returned one, else the log's first. → 0; -ENOMEM, nothing changed. */
int channel_held_take(struct channel *ch, struct channel_client *client, uint64_t *ret_ticket);
/* The client's item with this ticket, or NULL. */
struct channel_held *channel_held_find(const struct channel *ch, const struct channel_client *client, uint64_t ticket);
/* The item is confirmed: forgets it, and disposes of a token. */
void channel_held_drop(struct channel *ch, struct channel_held *h);
/* Returns the item to its place. Cannot fail: room was reserved when it was taken. */
void channel_held_return(struct channel *ch, struct channel_held *h);
/* Hands over the first returned item for good; a token is the caller's. */
void channel_held_hand_over(struct channel *ch);
/* Throws away all returned items. */
void channel_held_clear(struct channel *ch);
void channel_held_deinit(struct channel *ch);
