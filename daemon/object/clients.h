/* Clients of shared objects, and when they end.
 *
 * A client is a connection that uses objects. It has a number, which is stored in the lock words of what it holds. It
 * ends when its connection closes or the process that connected dies, whichever is first: a child that inherited the
 * socket does not keep it alive (peer.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uthash.h>

#include "daemon/conn/conn.h"

struct object_member;
struct object_refusal;
struct object_use;
struct objects;

struct client {
    UT_hash_handle hh; /* by number */
    struct objects *objects;
    struct conn *conn;
    uint32_t number; /* 1 … SYNC_CLIENT_MAX */
    LIST_HEAD(, object_use) uses;
    uint32_t use_count;
    struct object_member *members;       /* hash table by object */
    LIST_HEAD(, queue_wait) queue_waits; /* its requests that wait on queues */
    uint32_t queue_wait_count;
    struct conn_closer closer;
};

/* The connection's client, created if needed. → NULL with *why: the process that connected has died; no memory or
 * descriptor. */
struct client *client_of(struct objects *all, struct conn *c, struct object_refusal *why);
/* → NULL: there is none with this number. */
struct client *client_find(const struct objects *objects, uint32_t number);
