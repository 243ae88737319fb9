/* How does a thread wait for a condition that a lock guards?
 *
 * `sequence` is a futex that each notification increments. A waiter reads it while it still holds the lock. A later
 * notification needs the lock, so it either finds the waiter asleep or keeps it from falling asleep. Waiters set
 * `sleepers` and notifiers clear it, both while they hold the lock: without waiters a notification makes no system
 * call. A notifier clears it when the kernel had fewer sleepers than it was asked to wake: then nobody is asleep any
 * more, and a waiter on its way to sleep sees another sequence.
 *
 * A spurious return is allowed. The daemon makes use of that: when a client is gone, which may have taken a wake-up
 * with it, it increments the sequence and wakes everybody (sync_client_gone).
 */
#include "proto/sync/sync_private.h"

static bool mine(const struct sync_user *lock, bool recursive)
{
    return recursive ? sync_rlock_mine(lock) : sync_lock_mine(lock);
}

/* → 0, 1 as sync_take(); negative: the lock can no longer be acquired. */
static int take_back(struct sync_user *lock, bool recursive, uint32_t depth)
{
    int r;

    do
        r = sync_take(lock, -1);
    while (r == -EINTR); /* the caller is promised the lock */
    if (r >= 0 && recursive) {
        atomic_store_explicit(&lock->area->thread, sync_mark(lock), memory_order_relaxed);
        atomic_store_explicit(&lock->area->depth, depth, memory_order_relaxed);
    }
    return r;
}

/* A thread that has released the lock. */
struct away {
    struct sync_user *lock; /* NULL: it has the lock again */
    bool recursive;
    uint32_t depth;
};

/* The thread was cancelled: as with pthread_cond_wait(), its own handlers run with the lock held. */
static void take_back_cancelled(const struct away *away)
{
    if (away->lock)
        (void)take_back(away->lock, away->recursive, away->depth);
}

int sync_condition_wait(struct sync_user *condition, struct sync_user *lock, bool recursive, int64_t timeout_ms)
{
    struct sync_area *area = condition->area;

    if (!mine(lock, recursive))
        return -EPERM;
    struct sync_nap nap = sync_nap(timeout_ms);
    uint32_t seen = atomic_load(&area->sequence);
    uint32_t depth = atomic_load_explicit(&lock->area->depth, memory_order_relaxed);
    atomic_store(&area->sleepers, 1);
    if (recursive) {
        atomic_store_explicit(&lock->area->depth, 0, memory_order_relaxed);
        atomic_store_explicit(&lock->area->thread, 0, memory_order_relaxed);
    }
    int r = sync_lock_release(lock);
    if (r < 0)
        return r; /* the daemon has declared this process dead since we looked */

    {
        __attribute__((cleanup(take_back_cancelled))) struct away away = {lock, recursive, depth};
        do
            r = sync_sleep(condition, &nap, &area->sequence, seen, SYNC_ANYBODY);
        while (r == 0 && atomic_load(&area->sequence) == seen);
        away.lock = NULL;
    }
    /* If it was notified while the time ran out it counts as notified. */
    if ((r == -ETIMEDOUT || r == -EINTR) && atomic_load(&area->sequence) != seen)
        r = 0;
    if (sync_closed(area))
        return -ECONNRESET;
    if (r < 0 && r != -ETIMEDOUT && r != -EINTR)
        return r;
    int taken = take_back(lock, recursive, depth);
    return taken != 0 ? taken : r;
}

int sync_condition_notify(struct sync_user *condition, struct sync_user *lock, bool recursive, uint32_t count)
{
    struct sync_area *area = condition->area;

    if (!mine(lock, recursive))
        return -EPERM;
    if (count == 0 || atomic_load(&area->sleepers) == 0)
        return 0;
    atomic_fetch_add(&area->sequence, 1);
    if (sync_wake(&area->sequence, count, SYNC_ANYBODY) < count)
        atomic_store(&area->sleepers, 0);
    return 0;
}
