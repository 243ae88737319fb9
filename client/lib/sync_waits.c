/* Events, conditions and barriers as callers see them: see <mpool/shared.h>. The algorithms are in proto/sync/. */
#include <mpool/shared.h>

#include "client/lib/object.h"
#include "proto/clock.h"

static int check(mpool_object *object, enum mpool_kind kind)
{
    return object && object->kind != kind ? -EINVAL : object_check_connected(object);
}

/* Checks for operations that only read. */
static int check_to_look(const mpool_object *object, enum mpool_kind kind)
{
    int r = object_check_kind(object, kind);

    return r < 0 ? r : object_check_writable(object);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

int mpool_event_wait(mpool_object *event, int64_t timeout_ms)
{
    int r = check(event, MPOOL_KIND_EVENT);

    return r < 0 ? r : sync_event_wait(&event->sync, object_timeout(event, timeout_ms));
}

int mpool_event_set(mpool_object *event)
{
    int r = check(event, MPOOL_KIND_EVENT);

    if (r == 0)
        sync_event_set(&event->sync);
    return r;
}

int mpool_event_clear(mpool_object *event)
{
    int r = check(event, MPOOL_KIND_EVENT);

    if (r == 0)
        sync_event_clear(&event->sync);
    return r;
}

int mpool_event_is_set(const mpool_object *event, bool *ret_set)
{
    int r = ret_set ? check_to_look(event, MPOOL_KIND_EVENT) : -EINVAL;

    if (r == 0)
        *ret_set = sync_event_is_set(&event->sync);
    return r;
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

/* *lock: the lock that guards the condition, its own if NULL. → 1: it is recursive; 0: it is not; negative. */
static int check_condition(mpool_object *condition, mpool_object **lock)
{
    int r = check(condition, MPOOL_KIND_CONDITION);

    if (r < 0)
        return r;
    if (!*lock)
        *lock = condition;
    switch ((int)(*lock)->kind) {
    case MPOOL_KIND_LOCK: r = 0; break;
    case MPOOL_KIND_RLOCK:
    case MPOOL_KIND_CONDITION:
    case MPOOL_KIND_VALUE:
    case MPOOL_KIND_ARRAY: r = 1; break;
    default: return -EINVAL;
    }
    int usable = object_check_connected(*lock);
    return usable < 0 ? usable : r;
}

int mpool_condition_wait(mpool_object *condition, mpool_object *lock, int64_t timeout_ms, bool *ret_abandoned)
{
    int recursive = check_condition(condition, &lock);

    if (recursive < 0)
        return recursive;
    return object_taken(
        sync_condition_wait(&condition->sync, &lock->sync, recursive, object_timeout(condition, timeout_ms)),
        ret_abandoned);
}

int mpool_condition_wait_for(mpool_object *condition, mpool_object *lock, bool (*predicate)(void *userdata),
    void *userdata, int64_t timeout_ms, bool *ret_abandoned)
{
    bool abandoned = false, once = false;

    if (!predicate)
        return -EINVAL;
    int recursive = check_condition(condition, &lock);
    if (recursive < 0)
        return recursive;
    timeout_ms = object_timeout(condition, timeout_ms);
    bool forever = timeout_ms < 0 || timeout_ms > INT64_MAX - clock_now_ms();
    int64_t end_ms = forever ? 0 : clock_now_ms() + timeout_ms;
    if (!(recursive ? sync_rlock_mine(&lock->sync) : sync_lock_mine(&lock->sync)))
        return -EPERM;
    int r = 0;
    while (!predicate(userdata)) {
        int64_t left_ms = forever ? -1 : end_ms - clock_now_ms();
        if (!forever && left_ms <= 0) {
            r = -ETIMEDOUT;
            break;
        }
        r = mpool_condition_wait(condition, lock, left_ms, &once);
        /* After a time-out the lock is held as well, and the predicate may be true. */
        if (r < 0 && r != -ETIMEDOUT && r != -EINTR)
            return r;
        abandoned |= r == 0 && once;
        if (r == -EINTR)
            break;
        r = 0;
    }
    if (ret_abandoned) /* set after a time-out, too: it is reported only once */
        *ret_abandoned = abandoned;
    return r;
}

int mpool_condition_notify(mpool_object *condition, mpool_object *lock, uint32_t count)
{
    int recursive = check_condition(condition, &lock);

    return recursive < 0 ? recursive : sync_condition_notify(&condition->sync, &lock->sync, recursive, count);
}

int mpool_condition_notify_all(mpool_object *condition, mpool_object *lock)
{
    return mpool_condition_notify(condition, lock, UINT32_MAX);
}

/* ---- barriers ---------------------------------------------------------------------------------------------------- */

int mpool_barrier_wait(mpool_object *barrier, int64_t timeout_ms, uint32_t *ret_place)
{
    int r = check(barrier, MPOOL_KIND_BARRIER);

    if (r == 0)
        r = sync_barrier_wait(&barrier->sync, object_timeout(barrier, timeout_ms));
    if (r < 0)
        return r;
    if (ret_place)
        *ret_place = (uint32_t)r;
    return 0;
}

int mpool_barrier_abort(mpool_object *barrier)
{
    int r = check(barrier, MPOOL_KIND_BARRIER);

    if (r == 0)
        sync_barrier_abort(&barrier->sync);
    return r;
}

int mpool_barrier_reset(mpool_object *barrier)
{
    int r = check(barrier, MPOOL_KIND_BARRIER);

    if (r == 0)
        sync_barrier_reset(&barrier->sync);
    return r;
}

int mpool_barrier_parties(const mpool_object *barrier, uint32_t *ret_parties)
{
    int r = ret_parties ? check_to_look(barrier, MPOOL_KIND_BARRIER) : -EINVAL;

    if (r == 0)
        *ret_parties = barrier->sync.capacity;
    return r;
}

int mpool_barrier_waiting(const mpool_object *barrier, uint32_t *ret_waiting)
{
    int r = ret_waiting ? check_to_look(barrier, MPOOL_KIND_BARRIER) : -EINVAL;

    if (r == 0)
        *ret_waiting = sync_barrier_waiting(&barrier->sync);
    return r;
}

int mpool_barrier_broken(const mpool_object *barrier, bool *ret_broken)
{
    int r = ret_broken ? check_to_look(barrier, MPOOL_KIND_BARRIER) : -EINVAL;

    if (r == 0)
        *ret_broken = sync_barrier_broken(&barrier->sync);
    return r;
}
