/* The state of an opened shared object, and the checks on its use.
 *
 * object.c opens and closes it by requests to the daemon; sync_*.c uses it in place without any request. Once the
 * object is open, everything here except `lost` and the page itself is constant, so that several threads may use it at
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
    bool created;               /* by our open */
    uid_t owner;                /* its uid */
    bool read_only;             /* mapped read-only: no stores, no locking */
    void *map;                  /* the whole mapping, page included; NULL: none */
    size_t map_bytes;
    void *data;     /* value: the cell; array: behind the area */
    uint64_t count; /* number of elements: 1 for a value, the length for an array of bytes */

    uint64_t born;             /* fork_guard_number() at open */
    _Atomic int lost;          /* 0, or why the object can no longer be used: -ECONNRESET … */
    _Atomic int64_t looked_ns; /* CLOCK_MONOTONIC_COARSE of the last look at the connection */
    mpool_client *client;      /* opened it. Belongs to its own thread: only open and close may use it */
    uint64_t id;
    _Atomic int64_t call_timeout_ms;     /* of the client: see object_timeout() */
    int socket;                          /* the connection's descriptor number, only for polling */
    struct mpool_object *next, **before; /* in the list of the client; before NULL: in none */
    uint32_t pins; /* calls that wait on it, during which other callbacks may run; see object_pin() */
    bool closed;   /* … in such a callback: it is freed when the last of these calls returns */
    char *handle;  /* "kind:id:key" or the name, by which others open it; owned */
};

/* Callbacks run during a wait, and one of them may close the object waited on: its memory is kept until the wait
 * ends. */
void object_pin(struct mpool_object *object);
void object_unpin(struct mpool_object *object);

/* Marks all objects of a list as lost for this reason, and detaches them from the client, which is being released. */
void object_lose_all(struct mpool_object *first, int why);
void object_orphan_all(struct mpool_object *first, int why);

/* The client's settings for waits are those of its objects, too. first: of its list. */
void object_configure_all(struct mpool_object *first, const mpool_client *client);

/* How long a call may wait that is given this time-out. */
static inline int64_t object_timeout(const struct mpool_object *object, int64_t timeout_ms)
{
    int64_t most = atomic_load_explicit(&object->call_timeout_ms, memory_order_relaxed);

    return most >= 0 && (timeout_ms < 0 || timeout_ms > most) ? most : timeout_ms;
}

/* How long a look at the connection stays valid. A killed daemon writes nothing into its pages, and asking the kernel
 * costs several times as much as taking a lock. Shorter than a new daemon needs to start. */
#define OBJECT_LOOK_NS INT64_C(5000000)

/* Checks the connection. → 0; why the object is lost, which it then stays. Any thread. */
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

/* The same, and its connection must have been alive a moment ago: for operations that rely on the daemon. */
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

/* The same for releasing: allowed on a lost object as well, because nobody else might release it. *ret_lost: 0, or why
 * it is lost. */
static inline int object_check_release(struct mpool_object *object, int *ret_lost)
{
    int r = object_check_connected(object);

    *ret_lost = object ? atomic_load_explicit(&object->lost, memory_order_relaxed) : 0;
    return r < 0 && r == *ret_lost ? 0 : r;
}

/* taken: what a sync_… function that takes a lock returned. → 0 with *ret_abandoned (may be NULL); negative. */
static inline int object_taken(int taken, bool *ret_abandoned)
{
    if (taken < 0)
        return taken;
    if (ret_abandoned)
        *ret_abandoned = taken == 1;
    return 0;
}

/* The error for a caller that turns out not to hold the object: r, or why the object was lost. */
static inline int object_explain(struct mpool_object *object, int r)
{
    int lost = r == -EPERM ? object_look(object) : 0;

    return lost < 0 ? lost : r;
}
