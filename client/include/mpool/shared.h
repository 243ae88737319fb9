/* <mpool/shared.h> — shared state for unrelated processes: values, arrays, locks, semaphores, conditions, events and
 * barriers, by name or anonymous, used in place.
 *
 *     mpool_object *lock, *total;
 *     mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
 *     options.type = "i64";
 *     mpool_object_open(client, &total, "value", "total", &options);
 *     mpool_object_open(client, &lock, "lock", "total.lock", NULL);
 *
 *     if (mpool_lock_acquire(lock, -1, NULL) == 0) {
 *         mpool_value_add_i64(total, 1);
 *         mpool_lock_release(lock);
 *     }
 *     mpool_object_close(lock);
 *     mpool_object_close(total);
 *
 * The daemon makes an object and passes it on; using it after that involves neither the daemon nor, without contention,
 * a system call.
 *
 * Death. If a process dies, the daemon releases what it holds within milliseconds, and the next owner is told: acquire
 * sets *ret_abandoned, and the owner should check whether the data that the lock guards is consistent. A process
 * also counts as dead when its connection ends: its further acquires fail, and it has lost what it held, which its
 * release reports (-ECONNRESET). Until it notices, another process may hold the lock as well; mpool_lock_fence()
 * returns a number by which the guarded resource can distinguish a stale owner from a new one. Tokens that a dead
 * process had taken from a semaphore come back up to the number with which it was made; tokens that releases had added
 * beyond that count as consumed.
 *
 * Returns. 0 on success, negative on failure. In common: -EINVAL (an invalid pointer, or an object of
 * another kind or type), -ECHILD (the object was opened before fork(); the child must open it again), -ECONNRESET (the
 * daemon has ended, and its objects with it), -EACCES (opened read-only). Functions that wait take timeout_ms: -1 waits
 * indefinitely, 0 only tries; they return -ETIMEDOUT when it has expired.
 * mpool_set_call_timeout() and mpool_set_interruptible() of the client apply.
 *
 * The daemon's end. If the daemon stops in good order, functions that acquire, release or wait report it at once. If it
 * is killed, or the connection ends, calls that start later report it within milliseconds, and calls that already wait
 * within a second. Functions that only load, store or add do not check: they continue to work until mpool_dispatch()
 * has run, in memory that is shared with the other processes that had the object open.
 *
 * Threads. mpool_object_open() and mpool_object_close() belong to the thread of the client handle, as all functions
 * with a client do; everything else here may be called by any thread at any time before the close. A lock belongs to a
 * process (any of its threads may release it), an rlock to a thread.
 *
 * Cancellation. A thread that waits here may be cancelled (see <mpool/client.h>), which it heeds within a second of
 * waiting. It has taken nothing, and others come to their turn as after a time-out; a barrier's round is broken; after
 * mpool_condition_wait() the thread's own clean-up handlers find the lock taken, as with pthread_cond_wait().
 *
 * Memory. What was written before a release, set, notify or arrival at a barrier is seen by whoever takes, waits or
 * passes after it. Operations on values and elements are sequentially consistent.
 */
#ifndef MPOOL_SHARED_H
#define MPOOL_SHARED_H

#include <mpool/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpool_object mpool_object;

/* ---- opening ----------------------------------------------------------------------------------------------------- */

enum mpool_create {
    MPOOL_CREATE_YES = 0, /* open it, or make it where there is none */
    MPOOL_CREATE_NO = 1,  /* open only */
    MPOOL_CREATE_NEW = 2, /* make only */
};

/* What an object is to be when it is made. One that exists stays as it is: if its kind, or the type, count, parties,
 * capacity or bytes, or the tokens of a bounded semaphore, are others than those given here, it is not opened.
 * Initialise with MPOOL_OBJECT_OPTIONS_INIT. */
typedef struct mpool_object_options {
    size_t size; /* sizeof (struct mpool_object_options), set by MPOOL_OBJECT_OPTIONS_INIT */
    enum mpool_create create;
    uint32_t mode;      /* rw bits as of a file; 0: 0600 */
    const char *group;  /* by name; NULL: the caller's */
    uint32_t ttl_s;     /* a named one goes so long after its last use; 0: when it is removed */
    const char *type;   /* values and arrays: "i8" … "u64", "f32", "f64"; arrays also "bytes". NULL: "i64" */
    int64_t value;      /* what a value of an integer type begins with */
    double value_f64;   /* … of "f32" or "f64" */
    uint64_t count;     /* arrays: elements; of "bytes": bytes */
    int64_t tokens;     /* semaphores: free at first, 0 … 256; a bounded one never has more; -1: 1 */
    uint32_t parties;   /* barriers: 1 … 256 */
    uint32_t capacity;  /* queues and pipes: items; 0: the daemon's default */
    uint64_t bytes;     /* queues and pipes: of all items that are in; 0: the daemon's default */
    int end;            /* pipes: 0 the end that receives, 1 the one that sends; -1: the first that is free */
    bool set;           /* events: set at first */
    bool at_least_once; /* queues: what a dead consumer had not confirmed goes back to the front */
    bool duplex;        /* pipes: both ends send and receive */
    bool read_only;     /* open it without the right to change it: values and arrays */
} mpool_object_options;
#define MPOOL_OBJECT_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(mpool_object_options), MPOOL_CREATE_YES, 0, NULL, 0, NULL, 0, 0.0, 0, -1, 0, 0, 0, -1, false, false,    \
            false, false                                                                                               \
    }

/* Opens or makes an object. kind: "value", "array", "lock", "rlock", "semaphore", "bounded_semaphore", "condition",
 * "event", "barrier", "queue", "joinable_queue", "pipe" (<mpool/queue.h>); NULL: an existing object of any kind.
 * name: 1 … 128 bytes of [A-Za-z0-9._:/@-]; a handle that mpool_object_handle() gave, here or elsewhere; NULL: a new
 * one without a name, which goes with its last user. options: NULL for the defaults. *ret_object: taken,
 * mpool_object_close() ends it. → 0; -EINVAL; MPOOL_EEXISTS: it is another than the options say, or a new one was
 * wanted; a code of the daemon's, such as MPOOL_EDENIED. */
MPOOL_PUBLIC int mpool_object_open(mpool_client *client, mpool_object **ret_object, const char *kind, const char *name,
    const mpool_object_options *options);

/* Releases what this process still holds of it, as if it had died. NULL is allowed. In a forked child it frees only the
 * child's memory and mapping. */
MPOOL_PUBLIC void mpool_object_close(mpool_object *object);

/* Removes the object of that name or handle: it cannot be opened any more, and goes with its last user. Its owner may
 * do that. → 0; MPOOL_ENO_OBJECT; MPOOL_EDENIED. */
MPOOL_PUBLIC int mpool_object_remove(mpool_client *client, const char *name);

/* Whether mpool_object_open() made it, rather than found it. → 0 with *ret_created. */
MPOOL_PUBLIC int mpool_object_created(const mpool_object *object, bool *ret_created);
/* Whose it is. → 0 with the owner's uid. */
MPOOL_PUBLIC int mpool_object_owner(const mpool_object *object, uid_t *ret_uid);

/* What others open the object by: its name, or a text to pass to them, such as in the arguments of a task. Borrowed,
 * valid as long as the object; NULL for NULL. */
MPOOL_PUBLIC const char *mpool_object_handle(const mpool_object *object);
/* What a code that a function with this object returned means, in a sentence about the object: "timed out waiting for
 * lock 'total.lock'". Writes at most `size` bytes, the terminator included. Any thread. → buffer; mpool_strerror(code)
 * for NULL. */
MPOOL_PUBLIC const char *mpool_object_error_text(const mpool_object *object, int code, char *buffer, size_t size);
/* "lock". Static; NULL for NULL. */
MPOOL_PUBLIC const char *mpool_object_kind(const mpool_object *object);

/* ---- locks ------------------------------------------------------------------------------------------------------- */

/* Acquires it. *ret_abandoned (may be NULL): the previous owner died with it. The same process taking it twice waits
 * for itself. → 0; -ETIMEDOUT. */
MPOOL_PUBLIC int mpool_lock_acquire(mpool_object *lock, int64_t timeout_ms, bool *ret_abandoned);
/* → 0; -EPERM: this process does not have it; -ECONNRESET, -ENOTCONN: it has lost it, with its connection. */
MPOOL_PUBLIC int mpool_lock_release(mpool_object *lock);

/* A recursive lock: the thread that has it may take it again, up to 2^32 - 1 times (-EOVERFLOW), and releases it as
 * often. release → 0; -EPERM: this thread does not have it. */
MPOOL_PUBLIC int mpool_rlock_acquire(mpool_object *rlock, int64_t timeout_ms, bool *ret_abandoned);
MPOOL_PUBLIC int mpool_rlock_release(mpool_object *rlock);

/* The lock that every value, array and condition has (get_lock() of multiprocessing): recursive, as above. */
MPOOL_PUBLIC int mpool_object_lock(mpool_object *object, int64_t timeout_ms, bool *ret_abandoned);
MPOOL_PUBLIC int mpool_object_unlock(mpool_object *object);

/* The number of the take by which this process has the lock (of any kind): greater than that of each take before. Hand
 * it to whatever the lock guards, which then refuses smaller ones. Of a semaphore of several tokens: the number of
 * takes so far, by anybody. → 0; -EPERM: this process does not have it. */
MPOOL_PUBLIC int mpool_lock_fence(const mpool_object *lock, uint64_t *ret_number);

/* Both kinds of semaphores. acquire: as mpool_lock_acquire(). release → 0; -EOVERFLOW: a bounded one has all its tokens
 * already, an unbounded one has room for no more (256). Any process may release. */
MPOOL_PUBLIC int mpool_semaphore_acquire(mpool_object *semaphore, int64_t timeout_ms, bool *ret_abandoned);
MPOOL_PUBLIC int mpool_semaphore_release(mpool_object *semaphore);
/* → 0 with the number of tokens that are free at this moment. */
MPOOL_PUBLIC int mpool_semaphore_value(const mpool_object *semaphore, uint32_t *ret_value);

/* ---- events, conditions, barriers -------------------------------------------------------------------------------- */

/* → 0: it is set, or was set while this one waited. */
MPOOL_PUBLIC int mpool_event_wait(mpool_object *event, int64_t timeout_ms);
MPOOL_PUBLIC int mpool_event_set(mpool_object *event);
MPOOL_PUBLIC int mpool_event_clear(mpool_object *event);
/* → 0 with *ret_set. */
MPOOL_PUBLIC int mpool_event_is_set(const mpool_object *event, bool *ret_set);

/* A condition is guarded by `lock`: a lock or rlock object, or NULL for the condition's own, which mpool_object_lock()
 * takes. The caller has it: -EPERM. Everybody uses the same lock with one condition.
 * wait: gives the lock up, waits to be notified, takes the lock again. It may return for nothing: look again at what is
 * waited for. *ret_abandoned (may be NULL): the lock's owner died with it meanwhile. → 0; -ETIMEDOUT, -EINTR, with
 * the lock held, as pthread_cond_timedwait() does. After other errors the lock is not held. */
MPOOL_PUBLIC int mpool_condition_wait(
    mpool_object *condition, mpool_object *lock, int64_t timeout_ms, bool *ret_abandoned);
/* Waits until predicate(userdata) is true, which is called with the lock held. → as above; *ret_abandoned is set after
 * -ETIMEDOUT, too. */
MPOOL_PUBLIC int mpool_condition_wait_for(mpool_object *condition, mpool_object *lock,
    bool (*predicate)(void *userdata), void *userdata, int64_t timeout_ms, bool *ret_abandoned);
/* Wakes up to `count` of those who wait; all of them. → 0. */
MPOOL_PUBLIC int mpool_condition_notify(mpool_object *condition, mpool_object *lock, uint32_t count);
MPOOL_PUBLIC int mpool_condition_notify_all(mpool_object *condition, mpool_object *lock);

/* Waits until all parties are there. *ret_place (may be NULL): 0 … parties - 1, each once: the place in which the
 * caller came. → 0; -EPIPE: the barrier is broken, by a time-out of one that waited (-ETIMEDOUT for that one), its
 * death, abort, or a reset. */
MPOOL_PUBLIC int mpool_barrier_wait(mpool_object *barrier, int64_t timeout_ms, uint32_t *ret_place);
/* Breaks it, for all who wait and who come, until it is reset. */
MPOOL_PUBLIC int mpool_barrier_abort(mpool_object *barrier);
/* As new. Whoever waits gets -EPIPE. */
MPOOL_PUBLIC int mpool_barrier_reset(mpool_object *barrier);
/* → 0 with the number of parties, how many wait at this moment, whether it is broken. */
MPOOL_PUBLIC int mpool_barrier_parties(const mpool_object *barrier, uint32_t *ret_parties);
MPOOL_PUBLIC int mpool_barrier_waiting(const mpool_object *barrier, uint32_t *ret_waiting);
MPOOL_PUBLIC int mpool_barrier_broken(const mpool_object *barrier, bool *ret_broken);

/* ---- values and arrays ------------------------------------------------------------------------------------------- */

/* For each type of MPOOL_ELEMENT_TYPES, such as i64 (int64_t); all of them atomic, and -EINVAL where the object has
 * another type:
 *
 *     int mpool_value_get_i64(const mpool_object *value, int64_t *ret);
 *     int mpool_value_set_i64(mpool_object *value, int64_t number);
 *     int mpool_value_add_i64(mpool_object *value, int64_t number);             integers wrap around
 *     int mpool_value_fetch_add_i64(mpool_object *value, int64_t number, int64_t *ret_before);
 *     int mpool_value_cas_i64(mpool_object *value, int64_t *expected, int64_t number);
 *
 * cas: stores number if the value is *expected, bit by bit (so 0.0 and -0.0 differ). → 0: stored; -EAGAIN: not, and
 * *expected is now what was found instead. The same of an array's elements, index 0 … count - 1, else -ERANGE:
 *
 *     int mpool_array_get_i64(const mpool_object *array, uint64_t index, int64_t *ret);
 *     int mpool_array_set_i64(…, uint64_t index, int64_t number);   …_add_…, …_fetch_add_…, …_cas_… likewise
 */
#define MPOOL_ELEMENT_TYPES(X)                                                                                         \
    X(i8, int8_t)                                                                                                      \
    X(u8, uint8_t)                                                                                                     \
    X(i16, int16_t)                                                                                                    \
    X(u16, uint16_t)                                                                                                   \
    X(i32, int32_t)                                                                                                    \
    X(u32, uint32_t)                                                                                                   \
    X(i64, int64_t)                                                                                                    \
    X(u64, uint64_t)                                                                                                   \
    X(f32, float)                                                                                                      \
    X(f64, double)

#define MPOOL_ELEMENT_FUNCTIONS(name, type)                                                                            \
    MPOOL_PUBLIC int mpool_value_get_##name(const mpool_object *value, type *ret);                                     \
    MPOOL_PUBLIC int mpool_value_set_##name(mpool_object *value, type number);                                         \
    MPOOL_PUBLIC int mpool_value_add_##name(mpool_object *value, type number);                                         \
    MPOOL_PUBLIC int mpool_value_fetch_add_##name(mpool_object *value, type number, type *ret_before);                 \
    MPOOL_PUBLIC int mpool_value_cas_##name(mpool_object *value, type *expected, type number);                         \
    MPOOL_PUBLIC int mpool_array_get_##name(const mpool_object *array, uint64_t index, type *ret);                     \
    MPOOL_PUBLIC int mpool_array_set_##name(mpool_object *array, uint64_t index, type number);                         \
    MPOOL_PUBLIC int mpool_array_add_##name(mpool_object *array, uint64_t index, type number);                         \
    MPOOL_PUBLIC int mpool_array_fetch_add_##name(mpool_object *array, uint64_t index, type number, type *ret_before); \
    MPOOL_PUBLIC int mpool_array_cas_##name(mpool_object *array, uint64_t index, type *expected, type number);
MPOOL_ELEMENT_TYPES(MPOOL_ELEMENT_FUNCTIONS)
#undef MPOOL_ELEMENT_FUNCTIONS

/* The elements themselves, aligned to 4096, for callers that guard them with a lock of their own. Writing to a
 * read-only array raises SIGSEGV. Borrowed, valid as long as the object. *ret_count (may be NULL): elements, or bytes.
 * → NULL: not an array, or the error would be -ECHILD or -ECONNRESET. */
MPOOL_PUBLIC void *mpool_array_data(const mpool_object *array, uint64_t *ret_count);
/* → 0 with the number of elements. */
MPOOL_PUBLIC int mpool_array_count(const mpool_object *array, uint64_t *ret_count);
/* "i64". Static; NULL where the object is neither value nor array. */
MPOOL_PUBLIC const char *mpool_object_type(const mpool_object *object);

#ifdef __cplusplus
}
#endif
#endif
