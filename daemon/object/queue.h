/* Queues and pipes as objects of the daemon: their contents and their users.
 *
 * A queue is one channel that every user puts to and takes from. A pipe has one channel per direction between two ends,
 * each of which belongs to one user at a time: the first user takes one end, the second the other. When an end's user
 * goes, the other side gets what is still there and then the end of file, and what it sends is refused. Once both have
 * gone, the pipe is reset. A user that goes before anybody took the other end may come back; what it sent stays. Items
 * are MessagePack values that have passed the scan, or are in a memfd (queue_memfd.h); nothing here looks into them.
 *
 * Knows no names and no access rights: objects.h does. Waiting requests are in queue_wait.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/channel.h"
#include "proto/buf.h"

struct conn;
struct purse;
struct queue_wait;
struct share;
struct objects;

#define QUEUE_ITEMS_DEFAULT 65536u
#define QUEUE_BYTES_DEFAULT (16ull << 20)
#define QUEUE_BYTES_MAX     (64ull << 30)
#define QUEUE_BYTES_FREE    (64u << 10) /* of each channel: charged from its creation, enough for small uses */
#define QUEUE_WAITS_MAX     4096u       /* requests that may wait on one queue, or on one pipe in one direction */
#define QUEUE_MEMFDS_MAX    64u         /* items that are memfds, in one queue or one direction of a pipe */
#define QUEUE_ANY_END       (-1)
/* Sent if an item fits into the queue but not into the budget of the queue's owner. */
#define QUEUE_OWNER_FULL                                                                                               \
    "there is room in the queue, but the shared objects of its owner hold as many bytes as they may "                  \
    "(max_user_object_bytes, %llu)"

enum queue_kind { QUEUE_PLAIN, QUEUE_JOINABLE, QUEUE_PIPE };

struct queue_options {
    enum queue_kind kind;
    uint64_t capacity; /* in items; 0: the default */
    uint64_t bytes;    /* of the items; 0: the default */
    bool at_least_once;
    bool one_way; /* pipe: end 1 sends, end 0 receives */
};

struct queue_user {
    struct queue *queue; /* NULL: has gone */
    struct conn *conn;
    struct channel_client client;
    LIST_HEAD(, queue_wait) waits;
    int end; /* of a pipe: 0 or 1 */
};

struct queue {
    struct objects *objects;
    struct queue_options options;
    uint32_t *owners_memfds;    /* in all queues of the owner: see queue_memfd.h */
    struct share *owner;        /* counts them, too, with the owner's other descriptors */
    struct purse *purse;        /* the owner's: anything beyond QUEUE_BYTES_FREE is charged to it */
    struct channel channels[2]; /* for a pipe: from end 0, from end 1; for a queue only the first */
    struct queue_user *ends[2]; /* of a pipe */
    bool taken[2];              /* has had a user since the pipe was reset */
    uint32_t users;
};

/* owners_memfds, owner, purse: borrowed as long as the queue lives. → 0; -ERANGE: capacity or bytes are out of bounds;
 * -ENOMEM. */
int queue_new(struct objects *objects, const struct queue_options *options, uint32_t *owners_memfds,
    struct share *owner, struct purse *purse, struct queue **ret);
/* Bytes counted for its owner from its creation, regardless of its content. */
uint64_t queue_free_bytes(const struct queue_options *options);
/* Bytes charged for its content beyond that. */
uint64_t queue_paid(const struct queue *q);
/* It must have no users. NULL is allowed. */
void queue_free(struct queue *q);

/* The connection becomes a user. end: of a pipe, or QUEUE_ANY_END. → 0; -EBUSY: that end, or both, have a user; -EPIPE:
 * that end's user has gone, while the other is still there. */
int queue_attach(struct queue *q, struct queue_user *u, struct conn *c, int end);
/* The user goes: its waiting requests are answered with E_CANCELLED unless its connection is closed; items that it
 * holds are returned or lost. Not attached: nothing. */
void queue_detach(struct queue_user *u);

/* The channel that the user puts to, or takes from. NULL: this end of a one-way pipe does not do that. */
struct channel *queue_puts_to(const struct queue_user *u);
struct channel *queue_takes_from(const struct queue_user *u);

/* Its state, as pairs of a map: queue_fact_count() of them. */
uint32_t queue_fact_count(const struct queue *q);
void queue_pack_fields(const struct queue *q, msgpack_packer *pk);

/* Call once per pass: answers the waits that have timed out. */
void queues_run(struct objects *objects);
/* When queues_run() must be called next; UINT64_MAX: never. */
uint64_t queues_next_ns(const struct objects *objects);
