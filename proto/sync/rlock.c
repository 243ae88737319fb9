/* How does a thread take a lock that it holds already? See sync.h.
 *
 * The word holds the client that owns the lock, `thread` which of its threads. Only the owner writes `thread` and
 * `depth`, between its take and its release; they mean nothing while the word is not the reader's own. What a dead
 * owner left there is wiped by the daemon, or overwritten by the next owner. The mark identifies thread and client
 * (sync_mark). It is cleared before the word is freed, so a thread that finds its own mark put it there itself and
 * holds the lock; relaxed order is therefore enough.
 */
#include "proto/sync/sync_private.h"

bool sync_rlock_mine(const struct sync_user *user)
{
    return sync_lock_mine(user) && atomic_load_explicit(&user->area->thread, memory_order_relaxed) == sync_mark(user);
}

int sync_rlock_take(struct sync_user *user, int64_t timeout_ms)
{
    struct sync_area *area = user->area;

    if (sync_rlock_mine(user)) {
        uint32_t depth = atomic_load_explicit(&area->depth, memory_order_relaxed);
        if (depth == UINT32_MAX)
            return -EOVERFLOW;
        atomic_store_explicit(&area->depth, depth + 1, memory_order_relaxed);
        return 0;
    }
    int r = sync_take(user, timeout_ms);
    if (r >= 0) {
        atomic_store_explicit(&area->thread, sync_mark(user), memory_order_relaxed);
        atomic_store_explicit(&area->depth, 1, memory_order_relaxed);
    }
    return r;
}

int sync_rlock_release(struct sync_user *user)
{
    struct sync_area *area = user->area;

    if (!sync_rlock_mine(user))
        return sync_closed(area) ? -ECONNRESET : -EPERM;
    uint32_t depth = atomic_load_explicit(&area->depth, memory_order_relaxed);
    if (depth > 1) {
        atomic_store_explicit(&area->depth, depth - 1, memory_order_relaxed);
        return 0;
    }
    atomic_store_explicit(&area->depth, 0, memory_order_relaxed);
    atomic_store_explicit(&area->thread, 0, memory_order_relaxed);
    return sync_lock_release(user);
}
