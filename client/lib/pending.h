/* Which calls wait for an answer?
 *
 * An array indexed by the low bits of the msgid. Ids are assigned in order, skipping those whose slot is taken, so an
 * id is reused only after four billion others: a late cancel cannot hit a newer call. The array doubles before it is
 * half full; ids that differ in the low bits still differ with more bits, so nothing ever collides. Knows nothing of
 * bytes. Returns -EAGAIN when full.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/lib/memfd.h"
#include <mpool/client.h>
#include "proto/reader.h"

#define PENDING_MAX (1u << 20)

/* Items of a streaming map: their pairs [error, result], and the place of the first. → 0; MPOOL_EPROTOCOL. */
typedef int pending_items_fn(void *userdata, uint64_t first, struct wire_reader pairs);

/* The descriptor that comes ahead of the answer to an `open`. */
struct call_object {
    int fd; /* -ENODATA: none came; another -errno: there was no room for it; the waiter closes it */
    uint64_t size;
};

struct call {
    uint32_t msgid;
    bool used;
    bool abandoned;  /* the waiter has given up: drop the answer */
    bool cancelling; /* a cancel has been sent; do not send another */
    bool timed;      /* it has a time-out: E_NOT_READY means that this has expired */
    mpool_call_fn *done;
    void *userdata;
    pending_items_fn *items;                                                      /* or NULL */
    void (*output)(void *userdata, int stream, const void *bytes, size_t length); /* or NULL */
    void *output_userdata;
    struct payload *payload;    /* came ahead of the response, in a memfd */
    int payload_error;          /* why it could not be taken */
    uint64_t queue;             /* of a get: its id there, 0 for other calls; see tickets.h */
    bool tickets;               /* the queue was created with at_least_once: every item has a ticket */
    bool lease;                 /* a large item comes with a ticket, to be confirmed when it has been mapped */
    struct call_object *object; /* borrowed, filled until the call is done or abandoned; or NULL */
};

struct pending {
    struct call *slots;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t used, abandoned;
    uint32_t next; /* the next msgid to try */
};

void pending_deinit(struct pending *p);
/* call: copied; its msgid is chosen. → 0 with the id; -EAGAIN; -ENOMEM. */
int pending_add(struct pending *p, const struct call *call, uint32_t *ret_msgid);
/* → the call, borrowed until the next add or remove, or NULL. */
struct call *pending_find(struct pending *p, uint32_t msgid);
/* Forgets a call. → whether there was one; *ret_call gets it, payload reference included. */
bool pending_remove(struct pending *p, uint32_t msgid, struct call *ret_call);
/* The answer to this call, if it ever comes, is dropped. */
void pending_abandon(struct pending *p, uint32_t msgid);
/* Removes all calls one by one, the oldest first, while none is added. *cursor: 0 before the first. → false at the end.
 */
bool pending_drain(struct pending *p, uint32_t *cursor, struct call *ret_call);
