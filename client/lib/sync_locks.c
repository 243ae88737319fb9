/* Locks, recursive locks and semaphores as callers see them: see <mpool/shared.h>. The algorithms are in
 * proto/sync/lock.c. */
#include <mpool/shared.h>

#include "client/lib/object.h"

/* Checks that this is a lock of this kind, which may be taken. */
static inline int check(mpool_object *object, enum mpool_kind kind)
{
    return object && object->kind != kind ? -EINVAL : object_check_connected(object);
}

/* Checks that it may be released, lost or not. */
static inline int check_release(mpool_object *object, enum mpool_kind kind, int *ret_lost)
{
    return object && object->kind != kind ? -EINVAL : object_check_release(object, ret_lost);
}

/* Is this an object with a lock of its own? */
static bool is_guarded(const mpool_object *object)
{
    return !object || object->kind == MPOOL_KIND_VALUE || object->kind == MPOOL_KIND_ARRAY ||
           object->kind == MPOOL_KIND_CONDITION;
}

static bool is_semaphore(const mpool_object *object)
{
    return !object || object->kind == MPOOL_KIND_SEMAPHORE || object->kind == MPOOL_KIND_BOUNDED_SEMAPHORE;
}

int mpool_lock_acquire(mpool_object *lock, int64_t timeout_ms, bool *ret_abandoned)
{
    int r = check(lock, MPOOL_KIND_LOCK);

    return r < 0 ? r : object_taken(sync_take(&lock->sync, object_timeout(lock, timeout_ms)), ret_abandoned);
}

int mpool_lock_release(mpool_object *lock)
{
    int lost = 0, r = check_release(lock, MPOOL_KIND_LOCK, &lost);

    if (r == 0)
        r = sync_lock_release(&lock->sync);
    return lost < 0 ? lost : object_explain(lock, r);
}

int mpool_rlock_acquire(mpool_object *rlock, int64_t timeout_ms, bool *ret_abandoned)
{
    int r = check(rlock, MPOOL_KIND_RLOCK);

    return r < 0 ? r : object_taken(sync_rlock_take(&rlock->sync, object_timeout(rlock, timeout_ms)), ret_abandoned);
}

static int release_rlock(mpool_object *object, int checked, int lost)
{
    int r = checked == 0 ? sync_rlock_release(&object->sync) : checked;

    return lost < 0 ? lost : object_explain(object, r);
}

int mpool_rlock_release(mpool_object *rlock)
{
    int lost = 0, r = check_release(rlock, MPOOL_KIND_RLOCK, &lost);

    return release_rlock(rlock, r, lost);
}

int mpool_object_lock(mpool_object *object, int64_t timeout_ms, bool *ret_abandoned)
{
    int r = is_guarded(object) ? object_check_connected(object) : -EINVAL;

    return r < 0 ? r : object_taken(sync_rlock_take(&object->sync, object_timeout(object, timeout_ms)), ret_abandoned);
}

int mpool_object_unlock(mpool_object *object)
{
    int lost = 0, r = is_guarded(object) ? object_check_release(object, &lost) : -EINVAL;

    return release_rlock(object, r, lost);
}

int mpool_lock_fence(const mpool_object *lock, uint64_t *ret_number)
{
    if (!ret_number || (lock && !wire_kind_info(lock->kind)->lock))
        return -EINVAL;
    int r = object_check(lock);
    return r < 0 ? r : sync_fence(&lock->sync, ret_number);
}

int mpool_semaphore_acquire(mpool_object *semaphore, int64_t timeout_ms, bool *ret_abandoned)
{
    int r = is_semaphore(semaphore) ? object_check_connected(semaphore) : -EINVAL;

    return r < 0 ? r : object_taken(sync_take(&semaphore->sync, object_timeout(semaphore, timeout_ms)), ret_abandoned);
}

int mpool_semaphore_release(mpool_object *semaphore)
{
    int lost = 0, r = is_semaphore(semaphore) ? object_check_release(semaphore, &lost) : -EINVAL;

    if (r < 0)
        return r;
    if (lost == 0)
        return sync_semaphore_release(&semaphore->sync);
    sync_give_back(&semaphore->sync);
    return lost;
}

int mpool_semaphore_value(const mpool_object *semaphore, uint32_t *ret_value)
{
    int r = ret_value && is_semaphore(semaphore) ? object_check_writable(semaphore) : -EINVAL;

    if (r == 0)
        *ret_value = sync_semaphore_value(&semaphore->sync);
    return r;
}
