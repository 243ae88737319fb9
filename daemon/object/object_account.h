/* What the objects of one user hold: how many, bytes, memfds and descriptors, each with its cap.
 *
 * Bytes are in a purse: a queue that is out of its owner's bytes waits until some come back, and goes on in
 * objects_run() (objects.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uthash.h>

#include "daemon/core/purse.h"

struct object_refusal;
struct objects;
struct share;

struct object_account {
    UT_hash_handle hh;
    TAILQ_ENTRY(object_account) freed; /* while the purse has waiting channels to serve */
    struct objects *all;
    uid_t uid;
    uint32_t objects;
    bool admin;          /* when it last created an object */
    struct share *share; /* of the same user, for the descriptors of pages and of items */
    uint32_t memfds;     /* items of their queues that are memfds */
    struct purse purse;  /* bytes */
};

/* The user's account, made if there is none. → NULL: no memory. */
struct object_account *object_account_of(struct objects *all, uid_t uid);
/* Frees it if it has no objects. */
void object_account_let_go(struct objects *all, struct object_account *a);
/* May its user have one more object, of so many bytes? → 0; -1 with *why. */
int object_account_has_room(
    const struct objects *all, const struct object_account *a, uint64_t bytes, struct object_refusal *why);
