/* What has been taken and may come back: items with their takers, their tickets, and those that have returned. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/channel.h"

struct channel_held {
    TAILQ_ENTRY(channel_held) link; /* of its party */
    struct channel_party *party;    /* NULL: returned */
    uint64_t place;                 /* in the order of the channel */
    uint64_t weight;
    uint32_t slot, length;
    bool token;
    uint8_t bytes[];
};

struct channel_item channel_held_item(const struct channel_held *h);

/* Takes the next item for a party: a returned one, else the log's first. → 0; -ENOMEM, nothing changed. */
int channel_held_take(struct channel *ch, struct channel_party *party, uint64_t *ret_ticket);
/* The party's own by ticket, or NULL. */
struct channel_held *channel_held_find(const struct channel *ch, const struct channel_party *party, uint64_t ticket);
/* It is confirmed: forgotten, a token disposed of. */
void channel_held_drop(struct channel *ch, struct channel_held *h);
/* Back to its place. Cannot fail: there is room since it was taken. */
void channel_held_return(struct channel *ch, struct channel_held *h);
/* The first that has returned is handed over for good; a token is the caller's. */
void channel_held_hand_over(struct channel *ch);
/* Throws away what has returned. */
void channel_held_clear(struct channel *ch);
void channel_held_deinit(struct channel *ch);
