/* Who waits at a queue, for which request, and what is it told?
 *
 * A wait ends once: its channel is ready, its time is over, it is cancelled, or its user goes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/channel.h"

struct conn;
struct queue_user;

#define QUEUE_WAITS_OF_CONN 1024u /* so that cancelling one of them is cheap */

struct queue_wait {
    struct channel_wait wait;
    LIST_ENTRY(queue_wait) of_user, of_conn;
    struct queue_user *user;
    struct conn *conn;
    uint64_t bytes;  /* put: that the connection holds */
    uint32_t before; /* put: items that went in at once */
    uint32_t most;   /* get */
    bool lease;      /* get: see queue_give() */
    uint32_t msgid;
    bool no_reply;
};

/* Zeroed, not waiting yet. → NULL: no memory. */
struct queue_wait *queue_wait_new(struct queue_user *u, uint32_t msgid, bool no_reply);
/* at_ns: UINT64_MAX for ever. → 0; -EBUSY: too many wait, and it has been freed. */
int queue_wait_start(struct queue_wait *w, struct channel *ch, enum channel_want want, uint64_t at_ns);
/* Leaves without an answer. Whoever calls settles the channel. */
void queue_wait_free(struct queue_wait *w);

/* Answers a request that waits with E_CANCELLED, or with what is done of it. → false: none with this msgid. */
bool queue_wait_cancel(struct conn *c, uint32_t msgid);
void queue_wait_end_cancelled(struct queue_wait *w);

/* Answers a get with items that are there: at least one, most at most, and not many more bytes than are good for one
 * message. lease: one that goes as a memfd comes with a ticket, whatever the queue, as it may be lost on the way of a
 * taker that has no descriptor left. The channel is not settled. */
void queue_give(struct queue_user *u, uint32_t msgid, uint32_t most, bool lease);

/* The channels' callback. */
channel_ended_fn queue_wait_ended;
