/* The registry of shared objects: names, lifetime, owners, open handles.
 *
 * An object is created by `open` and found again by its name or its handle. One without a name ends with its last use;
 * one with a name stays until it is removed, or until it has been unused for its time to live. A removed one has no
 * name any more, but clients that have it open may go on using it. Each opening is a *use* with an id of its own, which
 * `close` and the methods of queues take; all uses of one connection belong to one client (clients.h).
 *
 * The contents of an object are up to its kind, behind struct object_ops: pages are object_page.c, queues and pipes
 * queue_objects.c. Everything that grows has a cap: objects, bytes per user, uses per connection. Refusals are returned
 * as struct object_refusal and are not logged. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "daemon/base/loop.h"
#include "daemon/core/timer.h"
#include "daemon/object/object_access.h"
#include "daemon/object/object_name.h"
#include "daemon/object/object_options.h"
#include "proto/buf.h"
#include "proto/errors.h"
#include "proto/kinds.h"

struct conn;
struct event;
struct object;
struct object_account;
struct object_use;
struct client;
struct config;
struct descriptors;
struct purse;
struct share;
struct shares;

struct object_refusal {
    enum mpool_error error;
    char text[384];
};
/* → -1, for `return object_refuse(…)`. */
int object_refuse(struct object_refusal *why, enum mpool_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An object that is opened has this number of something; one with another is asked for. → 0 if that is the same; -1. */
int object_check_number(
    const struct object *object, const char *what, uint64_t is, uint64_t wanted, struct object_refusal *why);

/* The operations of a kind. Entries marked ? may be NULL. */
struct object_ops {
    /* The bytes that it will count for its user from its creation, computed beforehand. → 0; -1 with *why: the options
     * are invalid. */
    int (*measure)(
        enum mpool_kind kind, const struct object_options *options, uint64_t *ret_bytes, struct object_refusal *why);
    /* Sets object->data (or the page's fields). → 0; -1 with *why, and nothing is left allocated. */
    int (*make)(struct object *object, const struct object_options *options, struct object_refusal *why);
    /* It has no users. */
    void (*free)(struct object *object);
    /* Is it of the type and size that the options give, as far as they do? → 0; -1 with *why. */
    int (*check)(const struct object *object, const struct object_options *options, struct object_refusal *why);
    /* ? A new use: sets use->data. → 0; -1 with *why. */
    int (*attach)(struct object_use *use, const struct object_options *options, struct object_refusal *why);
    /* ? The use ends. Its connection may be closed already (conn_is_closed()). */
    void (*detach)(struct object_use *use);
    /* ? The last use of that client has ended, because it closed or died. */
    void (*client_gone)(struct object *object, const struct client *client);
    /* ? Bytes for its content that count in addition: the kind pays for these from its owner's purse. */
    uint64_t (*more_bytes)(const struct object *object);
    /* ? The daemon is about to exit. */
    void (*shut)(struct object *object);
    /* Additional facts for `inspect`, `open` and `objects`, specific to the kind: pairs of a map. */
    uint32_t (*fact_count)(const struct object *object);
    void (*pack_fields)(const struct object *object, msgpack_packer *pk);
    /* ? The end of a pipe that the use has, for `open`: 0 or 1; -1: none. */
    int (*end)(const struct object_use *use);
};

struct object {
    UT_hash_handle by_number, by_name;
    TAILQ_ENTRY(object) link; /* the newest last */
    struct objects *objects;
    const struct object_ops *ops;
    struct object_handle handle;
    char name[OBJECT_NAME_MAX + 1]; /* "": none, or removed */
    struct object_owner owner;
    struct object_account *account;
    uint64_t bytes; /* counted for its user, without more_bytes() of its kind */
    uint64_t created_ms, used_ms;
    uint64_t ttl_ms; /* 0: unlimited */
    struct event *expiry;
    LIST_HEAD(, object_use) uses;
    LIST_HEAD(, object_member) members;
    uint32_t use_count;

    void *data; /* for the kinds that are kept in the daemon */

    /* For the kinds that have a page: object_page.c. */
    int fd;     /* or -1 */
    void *page; /* the first SYNC_BYTES of it, or NULL */
    uint64_t page_bytes;
    uint32_t capacity; /* of semaphores and barriers */
    enum mpool_element element;
    uint64_t count;
};

/* A client and an object that it has open, however often. */
struct object_member {
    UT_hash_handle hh; /* in client->members, by object */
    LIST_ENTRY(object_member) of_object;
    struct object *object;
    struct client *client;
    uint32_t uses;
    uint64_t since_ms;
};

struct object_use {
    UT_hash_handle hh; /* in the registry, by id */
    LIST_ENTRY(object_use) of_object, of_client;
    uint64_t id; /* 1 … OBJECT_NUMBER_MAX, never reused by this daemon */
    struct object *object;
    struct object_member *member;
    struct conn *conn;
    bool read_only;
    void *data; /* the kind's */
};

TAILQ_HEAD(object_list, object);
TAILQ_HEAD(object_account_list, object_account);

struct objects {
    struct loop *loop;
    const struct config *config;
    struct descriptors *descriptors;
    struct shares *shares;
    struct core_timers queue_timers;    /* of requests that wait on queues */
    struct object *by_number, *by_name; /* hash tables */
    struct object_use *uses;            /* hash table by id */
    struct object_account *accounts;    /* hash table by uid */
    struct object_account_list freed;   /* whose waiting channels may continue */
    struct object_list list;
    uint32_t count;
    uint64_t last_number, last_use;
    struct client *clients; /* hash table by number: see clients.h */
    uint32_t last_client;
};

/* → NULL: no memory. */
struct objects *objects_new(
    struct loop *loop, const struct config *config, struct descriptors *descriptors, struct shares *shares);
/* Before the connections are closed, on an orderly shutdown: notifies clients that wait on pages. */
void objects_shut(struct objects *all);
/* After the connections have been freed. NULL is allowed. */
void objects_free(struct objects *all);

/* What a caller wants to open. text: NULL: a new object without a name. kind: -1: any. */
struct object_request {
    int kind;
    const char *text;
    size_t length;
    const struct object_options *options;
};

/* Opens or creates. → 0 with a use; -1 with *why. */
int objects_open(struct objects *all, struct conn *c, const struct object_request *request, struct object_use **ret,
    bool *ret_created, struct object_refusal *why);
/* A use of this connection, by its id. NULL: none. */
struct object_use *objects_find_use(const struct objects *all, const struct conn *c, uint64_t id);
/* Ends the use. If it was the last one of an object without a name, the object ends with it. */
void objects_close_use(struct object_use *use);
/* Undoes an opening that no client knows of yet, including the object if it was created for it. */
void objects_undo(struct object_use *use, bool created);

/* The number of memfds in all queues of its owner: counted by the kind. Valid as long as the object lives. */
uint32_t *objects_memfds_of_owner(struct object *o);
/* The share that counts its owner's descriptors; valid as long. */
struct share *objects_share_of_owner(const struct object *o);
/* Counts the descriptor that the object itself holds. → false: its owner, or all users, have reached the limit. */
bool objects_take_descriptor(struct object *o);
void objects_give_descriptor(struct object *o);
/* The budget of all its owner's objects. Valid as long as the object lives. */
struct purse *objects_purse_of_owner(struct object *o);

/* Call when the configuration has changed. */
void objects_configure(struct objects *all);
/* Call once per pass: channels that waited for their owner's budget continue, as long as the pass has time left. */
void objects_run(struct objects *all);

/* By name or handle, if the peer may see it. → NULL with *why (E_NO_OBJECT, E_DENIED). */
struct object *objects_find(const struct objects *all, const struct conn *c, const char *text, size_t length,
    unsigned *ret_rights, struct object_refusal *why);
/* Removes its name; it ends with its last use. → 0; -1 with *why: not its owner. */
int objects_remove(const struct conn *c, struct object *object, struct object_refusal *why);

/* In order of creation. */
struct object *objects_first(const struct objects *all);
struct object *objects_next(const struct object *object);

/* The text by which others open it: its name, or its handle. out: at least OBJECT_NAME_MAX + 1 bytes. */
void object_label(const struct object *object, char out[OBJECT_NAME_MAX + 1]);
/* All bytes that it counts for its user. */
uint64_t object_bytes(const struct object *object);
unsigned object_rights(const struct object *object, const struct conn *c);
