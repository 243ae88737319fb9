/* Locks, recursive locks and semaphores as callers see them: see <mpool/shared.h>. What they do is proto/sync_lock.c's.
 */
#include <mpool/shared.h>

#include "client/lib/object.h"

/* A lock of this kind that may be taken. */
static inline int check(const mpool_object *object, enum mpool_kind kind)
{
    return object && object->kind != kind ? -EINVAL : object_check_writable(object);
}

/* What has a lock besides what it is. */
static int check_guarded(const mpool_object *object)
{
    if (object && object->kind != MPOOL_KIND_VALUE && object->kind != MPOOL_KIND_ARRAY &&
        object->kind != MPOOL_KIND_CONDITION)
        return -EINVAL;
    return object_check_writable(object);
}

static int check_semaphore(const mpool_object *object)
{
    if (object && object->kind != MPOOL_KIND_SEMAPHORE && object->kind != MPOOL_KIND_BOUNDED_SEMAPHORE)
        return -EINVAL;
    return object_check_writable(object);
}

int mpool_lock_acquire(mpool_object *lock, int64_t timeout_ms)
{
    int r = check(lock, MPOOL_KIND_LOCK);

    return r < 0 ? r : sync_take(&lock->sync, timeout_ms);
}

int mpool_lock_release(mpool_object *lock)
{
    int r = check(lock, MPOOL_KIND_LOCK);

    return r < 0 ? r : sync_lock_release(&lock->sync);
}

int mpool_rlock_acquire(mpool_object *rlock, int64_t timeout_ms)
{
    int r = check(rlock, MPOOL_KIND_RLOCK);

    return r < 0 ? r : sync_rlock_take(&rlock->sync, timeout_ms);
}

int mpool_rlock_release(mpool_object *rlock)
{
    int r = check(rlock, MPOOL_KIND_RLOCK);

    return r < 0 ? r : sync_rlock_release(&rlock->sync);
}

int mpool_object_lock(mpool_object *object, int64_t timeout_ms)
{
    int r = check_guarded(object);

    return r < 0 ? r : sync_rlock_take(&object->sync, timeout_ms);
}

int mpool_object_unlock(mpool_object *object)
{
    int r = check_guarded(object);

    return r < 0 ? r : sync_rlock_release(&object->sync);
}

int mpool_lock_fence(const mpool_object *lock, uint64_t *ret_number)
{
    if (!ret_number || (lock && !wire_kind_info(lock->kind)->lock))
        return -EINVAL;
    int r = object_check(lock);
    if (r == 0)
        *ret_number = sync_fence(&lock->sync);
    return r;
}

int mpool_semaphore_acquire(mpool_object *semaphore, int64_t timeout_ms)
{
    int r = check_semaphore(semaphore);

    return r < 0 ? r : sync_take(&semaphore->sync, timeout_ms);
}

int mpool_semaphore_release(mpool_object *semaphore)
{
    int r = check_semaphore(semaphore);

    return r < 0 ? r : sync_semaphore_release(&semaphore->sync);
}

int mpool_semaphore_value(const mpool_object *semaphore)
{
    int r = check_semaphore(semaphore);

    return r < 0 ? r : (int)sync_semaphore_value(&semaphore->sync);
}
