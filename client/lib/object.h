/* What is an opened shared object made of, and may it be used now?
 *
 * Made and ended by object.c, which asks the daemon; used in place by sync_*.c without anybody being asked. All that is
 * here is constant once the object is open, `lost` and the page itself apart, so that several threads may use it at
 * once.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <mpool/shared.h>

#include "client/lib/fork_guard.h"
#include "proto/kinds.h"
#include "proto/sync/sync.h"

struct mpool_object {
    struct sync_user sync; /* area NULL: a queue or a pipe, which has no page */
    enum mpool_kind kind;
    enum mpool_element element; /* values and arrays */
    bool at_least_once;         /* queues: items come with tickets */
    int end;                    /* pipes: 0 or 1; else -1 */
    struct queue_ahead *ahead;  /* queues: see queue_ahead.h; or NULL */
    bool read_only;             /* mapped so: nothing may be stored, no lock taken */
    void *map;                  /* the whole mapping, page included; NULL: none */
    size_t map_bytes;
    void *data;     /* value: the cell; array: behind the area */
    uint64_t count; /* elements: of a value 1; of an array of bytes its bytes */

    uint64_t born;             /* fork_guard_number() at open */
    _Atomic int lost;          /* 0, or why nothing can be done any more: -ECONNRESET … */
    _Atomic int64_t looked_ns; /* CLOCK_MONOTONIC_COARSE, when the connection was looked at last */
    mpool_client *client;      /* who opened it. Belongs to its own thread: only open and close may use it */
    uint64_t id;
    int socket;                          /* number of the connection's descriptor, to look at alone */
    struct mpool_object *next, **before; /* in the list of the client; before NULL: in none */
    uint32_t pins; /* calls that wait about it, with a callback of somebody else's inside perhaps; see object_pin() */
    bool closed;   /* … in such a callback: it is freed when the last of them leaves */
    char *handle;  /* "kind:id:key" or the name: what others open it by; owned */
};

/* While somebody waits, callbacks run, and one of them may close the object that is waited about: its memory stays
 * until the wait is over. */
void object_pin(struct mpool_object *object);
void object_unpin(struct mpool_object *object);

/* All objects of a list are lost, for this reason; also: the client goes, and knows them no more. */
void object_lose_all(struct mpool_object *first, int why);
void object_orphan_all(struct mpool_object *first, int why);

/* How old may what is known of the connection be? A killed daemon writes nothing into its pages, and asking the kernel
 * costs several times a take. Shorter than another daemon needs to start. */
#define OBJECT_LOOK_NS INT64_C(5000000)

/* Looks at the connection. → 0; why the object is lost, and it is from now on. Any thread. */
int object_look(struct mpool_object *object);

/* → 0; -EINVAL: no object; -ECHILD: opened by the process that this one was forked from; why it is lost. */
static inline int object_check(const struct mpool_object *object)
{
    if (!object)
        return -EINVAL;
    if (!fork_guard_holds(object->born))
        return -ECHILD;
    return atomic_load_explicit(&object->lost, memory_order_relaxed);
}

/* The same, and it must be of this kind: -EINVAL. */
static inline int object_check_kind(const struct mpool_object *object, enum mpool_kind kind)
{
    return object && object->kind != kind ? -EINVAL : object_check(object);
}

/* The same, and it must be writable: -EACCES. */
static inline int object_check_writable(const struct mpool_object *object)
{
    int r = object_check(object);

    return r == 0 && object->read_only ? -EACCES : r;
}

/* The same, and its connection must have been there a moment ago: for whatever relies on the daemon. */
static inline int object_check_connected(struct mpool_object *object)
{
    int r = object_check_writable(object);
    struct timespec now;

    if (r < 0)
        return r;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (now_ns - atomic_load_explicit(&object->looked_ns, memory_order_relaxed) < OBJECT_LOOK_NS)
        return 0;
    atomic_store_explicit(&object->looked_ns, now_ns, memory_order_relaxed);
    return object_look(object);
}

/* The same for what is to be given back: also what is lost, for nobody else might do so. *ret_lost: 0, or why it is. */
static inline int object_check_release(struct mpool_object *object, int *ret_lost)
{
    int r = object_check_connected(object);

    *ret_lost = object ? atomic_load_explicit(&object->lost, memory_order_relaxed) : 0;
    return r < 0 && r == *ret_lost ? 0 : r;
}

/* What a caller is told who has not got what it thought it had: r, or that it has lost it. */
static inline int object_explain(struct mpool_object *object, int r)
{
    int lost = r == -EPERM ? object_look(object) : 0;

    return lost < 0 ? lost : r;
}
