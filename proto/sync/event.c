/* How does a thread wait for an event, even for one that is cleared again at once?
 *
 * One futex word: generation << 2 | somebody sleeps << 1 | set. Each set of an unset event starts a new generation, and
 * waiters compare generations: a set and a clear while a waiter was asleep, or about to be, still end its wait. All
 * changes are read-modify-writes of this one word, so nothing can come between a look and a sleep: the kernel compares
 * the whole word.
 *
 * A setter that dies before its wake-up leaves a set event with sleepers: sync_client_gone() wakes them. No other death
 * matters. The daemon's exit (sync_close) is a generation, too, and `closed` tells it from a set.
 */
#include "proto/sync/sync_private.h"

#define EVENT_SET        1u
#define EVENT_SLEEPERS   2u
#define EVENT_GENERATION 4u

int sync_event_wait(struct sync_user *user, int64_t timeout_ms)
{
    struct sync_area *area = user->area;
    uint32_t word = atomic_load(&area->event);

    if (sync_closed(area))
        return -ECONNRESET;
    if (word & EVENT_SET)
        return 0;
    if (timeout_ms == 0)
        return -ETIMEDOUT;

    uint32_t generation = word / EVENT_GENERATION;
    struct sync_nap nap = sync_nap(timeout_ms);
    int r = 0;
    for (;;) {
        if (word & EVENT_SET || word / EVENT_GENERATION != generation)
            return sync_closed(area) ? -ECONNRESET : 0;
        if (r < 0)
            return r;
        if (word & EVENT_SLEEPERS || atomic_compare_exchange_strong(&area->event, &word, word | EVENT_SLEEPERS)) {
            r = sync_sleep(user, &nap, &area->event, word | EVENT_SLEEPERS, SYNC_ANYBODY);
            word = atomic_load(&area->event);
        }
    }
}

void sync_event_set(struct sync_user *user)
{
    struct sync_area *area = user->area;
    uint32_t word = atomic_load(&area->event), next;

    do {
        /* Stored again even if it is set already: what the caller wrote before must be visible to those that wait
         * after. */
        next = word & EVENT_SET ? word : ((word / EVENT_GENERATION + 1) * EVENT_GENERATION | EVENT_SET);
    } while (!atomic_compare_exchange_weak(&area->event, &word, next));
    if (!(word & EVENT_SET) && word & EVENT_SLEEPERS)
        (void)sync_wake(&area->event, INT_MAX, SYNC_ANYBODY);
}

void sync_event_clear(struct sync_user *user)
{
    atomic_fetch_and(&user->area->event, ~EVENT_SET);
}

bool sync_event_is_set(const struct sync_user *user)
{
    return atomic_load(&user->area->event) & EVENT_SET;
}
