/* Blocked queue requests and their replies.
 *
 * A wait ends once: its channel is ready, it times out, it is cancelled, or its user goes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/channel.h"

struct conn;
struct queue_user;

#define QUEUE_WAITS_OF_CONN 1024u /* limited so that cancelling one of them is cheap */

struct queue_wait {
    struct channel_wait wait;
    LIST_ENTRY(queue_wait) of_user, of_conn;
    struct queue_user *user;
    struct conn *conn;
    uint64_t bytes;  /* put: bytes that the connection holds for it */
    uint32_t before; /* put: items that were put at once */
    uint32_t max;    /* get */
    bool lease;      /* get: see queue_give() */
    uint32_t msgid;
    bool no_reply;
};

/* Zeroed, not waiting yet. → NULL: no memory. */
struct queue_wait *queue_wait_new(struct queue_user *u, uint32_t msgid, bool no_reply);
/* at_ns: UINT64_MAX: indefinitely. → 0; -EBUSY: too many are waiting, and this one has been freed. */
int queue_wait_start(struct queue_wait *w, struct channel *ch, enum channel_want want, uint64_t at_ns);
/* Frees it without a reply. The caller must settle the channel. */
void queue_wait_free(struct queue_wait *w);

/* Answers a waiting request with E_CANCELLED, or with the part of it that is done. → false: there is none with this
 * msgid. */
bool queue_wait_cancel(struct conn *c, uint32_t msgid);
void queue_wait_end_cancelled(struct queue_wait *w);

/* Answers a get with items that are available: at least one, `most` at most, and not many more bytes than suit one
 * message. lease: an item sent as a memfd always gets a ticket, even from a queue without tickets, as a taker that has
 * no free descriptor may lose it. Does not settle the channel. */
void queue_give(struct queue_user *u, uint32_t msgid, uint32_t max, bool lease);

/* The channels' callback. */
channel_ended_fn queue_wait_ended;
