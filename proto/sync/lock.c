/* How is a lock or a semaphore taken and released, who is next, and why is no wake-up lost?
 *
 * A word is free or holds its owner's client number, and beside it the number of that take; every move is one
 * compare-and-swap of both. So a client that finds itself in a word also finds the number of its own take, however long
 * it was stopped before. A semaphore is as many words as it may have tokens. Without contention a take or a release is
 * that one instruction, and a look at `fair`, `departures` and `waiters`.
 *
 * Sleeping. A waiter loops: seen = gate; waiters = 1; try; sleep while gate is seen. A release frees the word; then, if
 * waiters: waiters = 0, gate + 1, wake one. All of these are sequentially consistent, so all steps have one order, in
 * which: (1) a try that fails saw a word that was freed later, and that release looks at `waiters` after the waiter has
 * set it. (2) A release that clears `waiters` opens the gate next. A waiter whose mark it cleared had read the gate
 * before, as it reads the gate before it marks; so that waiter does not fall asleep, or is asleep and may be woken.
 * (3) So while `waiters` is 0 and somebody sleeps, another waiter has been woken, or is about to be, and it marks again
 * before it tries. It leaves the mark when it takes, and its own release wakes the next one. Several tokens that are
 * freed at once cause one wake-up: the waiter that takes one passes the wake-up on while there are more tokens.
 *
 * Fairness. A newcomer may overtake a waiter that has been woken but does not run yet; that is what makes a contended
 * lock fast. A waiter that has waited for SYNC_FAIR_NS and is overtaken again puts itself into `fair`: from then on it
 * alone may take, and a release wakes it by its bit of the futex bitset. Others may have the same bit, so all that have
 * it are woken. The waiter clears `fair` with its take and marks `waiters` after that: a release that has read `fair`
 * had cleared the mark before and woke nobody else (4). A privileged waiter that gives up wakes another one in its
 * stead. The privilege orders nothing and guards nothing. It may be void at any time: the daemon takes it from the
 * dead, and a client that finds something free that has been barred for SYNC_BARRED_NS takes the privilege over. So a
 * stopped process or a corrupt word cannot keep a free lock from the others, not even from those that only try. For
 * that, a release under a privilege wakes one more sleeper, which watches: it sleeps no longer than SYNC_BARRED_NS, and
 * if it gives up it wakes another one to watch. Every such release does so, not just the first one: the sleeper that
 * was woken to watch may have found nothing free, because a newcomer had read `fair` before and overtook, and then
 * sleeps again like any other.
 *
 * Death. sync_client_gone() frees a dead owner's word and the privilege of the dead. Then it opens the gate and wakes
 * everybody, as a wake-up may have gone to the dead; each of them marks again.
 *
 * A client that is gone without knowing it. A client is gone, too, when its connection ends, and its process may not
 * know: its next take would put a number into the word that nobody takes out again. So the daemon closes the
 * connection, then counts `departures`, then frees; and every take is followed by a look at that count. If the take
 * came before the daemon's look at the word, the daemon frees the word. If it came after, the count has changed, the
 * client looks at its connection, finds it closed (5), and gives the word back. A client that dies before it has done
 * so is found by sync_sweep(). A daemon that exits closes the page first, then its connections one by one, so a waiter
 * whose own connection is still open may take what the end of another one has freed: the same look finds the page
 * closed.
 */
#include "proto/sync/sync_private.h"

#define SYNC_FAIR_NS   INT64_C(1000000)
#define SYNC_BARRED_NS INT64_C(20000000) /* time in which a woken waiter has had its turn, unless it does not run */

/* A scan of moving tokens can miss one. It is repeated before all are reported free. */
#define SYNC_SCANS 3

static uint64_t fair_self(const struct sync_user *user)
{
    /* Thread addresses are at least 16 bytes apart. Two threads with the same mark merely share the privilege. */
    return (uint64_t)user->client << 32 | (uint32_t)(sync_thread() >> 4);
}

static uint32_t fair_bit(uint64_t fair)
{
    uint32_t mixed = ((uint32_t)(fair >> 32) ^ (uint32_t)fair) * 2654435761u;

    return 1u << (mixed >> 27);
}

/* ---- one try ----------------------------------------------------------------------------------------------------- */

/* → 0; 1: it was abandoned; -EAGAIN: not free. *ret_word: its present value. */
static inline int take_word(_Atomic uint64_t *word, uint32_t client, uint64_t *ret_word)
{
    /* Look first: a failed compare-and-swap would take the cache line away from its owner. */
    uint64_t found = atomic_load(word);

    while (sync_word_free(found)) {
        *ret_word = ((found >> 32) + 1) << 32 | client;
        if (atomic_compare_exchange_strong(word, &found, *ret_word))
            return sync_owner(found) == SYNC_ABANDONED;
    }
    return -EAGAIN;
}

/* See sync_number(). A compare-and-swap: a thread that was stopped before it stores nothing that is out of date. */
static void renew_fence(struct sync_area *area, uint64_t word)
{
    uint64_t near = atomic_load_explicit(&area->fence, memory_order_relaxed), number = sync_number(area, word);

    if (number > near)
        (void)atomic_compare_exchange_strong(&area->fence, &near, number);
}

/* → as take_word(); *ret_at: which. */
static inline int take_any(const struct sync_user *user, uint32_t *ret_at)
{
    struct sync_area *area = user->area;
    uint32_t capacity = sync_capacity(user->capacity);
    uint64_t word;
    int r = -EAGAIN;

    *ret_at = 0;
    if (capacity == 1) {
        r = take_word(&area->words[0], user->client, &word);
        if (r >= 0 && (uint32_t)(word >> 32) % SYNC_RENEW == 0)
            renew_fence(area, word);
    } else if (capacity > 1) {
        uint32_t start = atomic_load_explicit(&area->hint, memory_order_relaxed) % capacity;
        for (uint32_t i = 0; i < capacity && r < 0; i++) {
            *ret_at = start + i < capacity ? start + i : start + i - capacity;
            r = take_word(&area->words[*ret_at], user->client, &word);
            if (r >= 0 && i > 0)
                atomic_store_explicit(&area->hint, *ret_at, memory_order_relaxed);
        }
        if (r >= 0 && word >> 32 == 0)
            atomic_fetch_add_explicit(&area->fence, UINT64_C(1) << 32, memory_order_relaxed);
    }
    return r;
}

static bool any_free(const struct sync_user *user)
{
    uint32_t capacity = sync_capacity(user->capacity);

    for (uint32_t i = 0; i < capacity; i++)
        if (sync_word_free(atomic_load(&user->area->words[i])))
            return true;
    return false;
}

/* Starts the clock if it is not running: something is free, and only the privileged waiter may take it. */
static void note_barred(struct sync_area *area)
{
    uint64_t never = 0;

    if (atomic_load(&area->barred_ns) == 0)
        (void)atomic_compare_exchange_strong(&area->barred_ns, &never, (uint64_t)sync_now_ns());
}

/* Is something free that the privileged `fair` has not taken in time? If so, this waiter takes over the privilege.
 * *ret_look_ns: when to look again; INT64_MAX: nothing is free. */
static bool take_over(const struct sync_user *user, uint64_t fair, uint64_t self, int64_t *ret_look_ns)
{
    struct sync_area *area = user->area;

    *ret_look_ns = INT64_MAX;
    if (!any_free(user))
        return false;
    note_barred(area);
    int64_t now = sync_now_ns();
    uint64_t since = (uint64_t)now - atomic_load(&area->barred_ns);
    /* A time in the future, which only a vandal writes, counts as long ago, too. */
    if (since >= (uint64_t)SYNC_BARRED_NS) {
        atomic_store(&area->barred_ns, 0); /* first: the next release starts the clock */
        return atomic_compare_exchange_strong(&area->fair, &fair, self);
    }
    *ret_look_ns = now + SYNC_BARRED_NS - (int64_t)since;
    return false;
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

/* Something is free, or free for others than before. `waiters` first, `fair` last: see (2) and (4). */
static inline void wake_next(struct sync_area *area)
{
    if (atomic_load(&area->waiters) == 0)
        return;
    atomic_store(&area->waiters, 0);
    atomic_fetch_add(&area->gate, 1);
    uint64_t fair = atomic_load(&area->fair);
    if (fair) {
        note_barred(area);
        (void)sync_wake(&area->gate, INT_MAX, fair_bit(fair));
        (void)sync_wake(&area->gate, 1, ~fair_bit(fair));
    } else {
        (void)sync_wake(&area->gate, 1, SYNC_ANYBODY);
    }
}

static void give_privilege_back(struct sync_area *area, uint64_t self)
{
    atomic_store(&area->barred_ns, 0);
    /* Not a store: another may own it by now. */
    (void)atomic_compare_exchange_strong(&area->fair, &self, 0);
}

/* ---- burial of the living ---------------------------------------------------------------------------------------- */

static void undo(struct sync_user *user, uint32_t at, int taken)
{
    struct sync_area *area = user->area;
    uint64_t word = atomic_load(&area->words[at]);

    /* Fails if the daemon has been here already. The next owner must be told of the death that this one was told of. */
    if (sync_owner(word) == user->client)
        (void)atomic_compare_exchange_strong(
            &area->words[at], &word, sync_word_with(word, taken ? SYNC_ABANDONED : SYNC_FREE));
    wake_next(area);
}

/* After each take: see (5). taken, at: the results of take_any(). → taken, or an error. */
static inline int confirm(struct sync_user *user, uint32_t at, int taken)
{
    int r = sync_still_client(user);

    if (r < 0) {
        undo(user, at, taken);
        return r;
    }
    return taken;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* The waiter has taken. */
static void settle(const struct sync_user *user, uint64_t self)
{
    struct sync_area *area = user->area;

    if (atomic_load(&area->fair) == self)
        give_privilege_back(area, self);
    atomic_store(&area->waiters, 1);
    if (user->capacity > 1 && any_free(user))
        wake_next(area);
}

/* The waiter leaves without it. Those from which it kept something by its privilege, or by watching, may be asleep:
 * wakes one. */
static void give_up(const struct sync_user *user, uint64_t self)
{
    struct sync_area *area = user->area;
    uint64_t fair = atomic_load(&area->fair);

    if (fair == self) {
        give_privilege_back(area, self);
        atomic_store(&area->waiters, 1);
        wake_next(area);
    } else if (fair != 0 && any_free(user)) {
        atomic_fetch_add(&area->gate, 1);
        (void)sync_wake(&area->gate, 1, ~fair_bit(fair));
    }
}

/* Records for diagnostics that this client waits. → the place, or SYNC_WAITERS: there was no room. */
static uint32_t show_up(const struct sync_user *user)
{
    for (uint32_t i = 0; i < SYNC_WAITERS; i++) {
        uint32_t nobody = 0;
        if (atomic_load_explicit(&user->area->waiting[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&user->area->waiting[i], &nobody, user->client))
            return i;
    }
    return SYNC_WAITERS;
}

static void show_no_more(const struct sync_user *user, uint32_t place)
{
    uint32_t own = user->client;

    if (place < SYNC_WAITERS)
        (void)atomic_compare_exchange_strong(&user->area->waiting[place], &own, 0);
}

/* Records for diagnostics by when the take of that number had happened: the first waiter that knows a time. */
static void note_time(const struct sync_user *user, int64_t now_ns)
{
    struct sync_area *area = user->area;
    uint64_t fence = sync_number(area, atomic_load(&area->words[0]));

    if (user->capacity != 1 || atomic_load_explicit(&area->held_fence, memory_order_relaxed) == fence)
        return;
    atomic_store_explicit(&area->held_ns, (uint64_t)now_ns, memory_order_relaxed);
    atomic_store_explicit(&area->held_fence, fence, memory_order_release);
}

static int wait_for_turn(struct sync_user *user, struct sync_nap *nap)
{
    struct sync_area *area = user->area;
    uint64_t self = fair_self(user);
    bool slept = false;

    for (;;) {
        uint32_t seen = atomic_load(&area->gate);
        atomic_store(&area->waiters, 1);
        uint64_t fair = atomic_load(&area->fair);
        nap->look_ns = INT64_MAX;
        if (fair == 0 || fair == self) {
            uint32_t at;
            int r = take_any(user, &at);
            if (r >= 0) {
                settle(user, self);
                return confirm(user, at, r);
            }
            /* Overtaken. Try once more after that: from now on the privilege decides who is woken. */
            if (slept && fair == 0 && sync_now_ns() - nap->begin_ns > SYNC_FAIR_NS) {
                atomic_store(&area->barred_ns, 0); /* first: the next release starts the clock */
                if (atomic_compare_exchange_strong(&area->fair, &fair, self))
                    continue;
            }
        } else if (take_over(user, fair, self, &nap->look_ns)) {
            continue;
        }
        int r = sync_sleep(user, nap, &area->gate, seen, fair_bit(self));
        if (r < 0) {
            give_up(user, self);
            return r;
        }
        slept = true;
    }
}

struct stay {
    const struct sync_user *user;
    uint32_t place;
    bool over; /* else the thread was cancelled */
};

static void end_stay(const struct stay *stay)
{
    if (!stay->over)
        give_up(stay->user, fair_self(stay->user));
    show_no_more(stay->user, stay->place);
}

static int wait_and_take(struct sync_user *user, int64_t timeout_ms)
{
    struct sync_nap nap = sync_nap(timeout_ms);
    __attribute__((cleanup(end_stay))) struct stay stay = {.user = user, .place = show_up(user)};

    note_time(user, nap.begin_ns);
    int r = wait_for_turn(user, &nap);
    stay.over = true;
    if (r >= 0)
        note_time(user, sync_now_ns());
    return r;
}

int sync_take(struct sync_user *user, int64_t timeout_ms)
{
    struct sync_area *area = user->area;

    /* Relaxed, both: a newcomer that sees them late overtakes once more. */
    if (atomic_load_explicit(&area->closed, memory_order_relaxed))
        return -ECONNRESET;
    uint64_t fair = atomic_load_explicit(&area->fair, memory_order_relaxed);
    if (fair == 0) {
        uint32_t at;
        int r = take_any(user, &at);
        if (r >= 0)
            return confirm(user, at, r);
    }
    /* A mere try does not wait, but may find what the privileged waiter has not taken in time: then it acts as a waiter
     * whose turn it is. */
    int64_t look_ns;
    if (timeout_ms == 0 && (fair == 0 || !take_over(user, fair, fair_self(user), &look_ns)))
        return -ETIMEDOUT;
    return wait_and_take(user, timeout_ms);
}

/* ---- releasing --------------------------------------------------------------------------------------------------- */

static inline bool free_word(_Atomic uint64_t *at, uint64_t found)
{
    return atomic_compare_exchange_strong(at, &found, sync_word_with(found, SYNC_FREE));
}

int sync_lock_release(struct sync_user *user)
{
    uint64_t word = atomic_load(&user->area->words[0]);

    /* Not a store: the daemon may have given the lock to another client, if it has declared this process dead. */
    if (sync_owner(word) != user->client || !free_word(&user->area->words[0], word))
        return sync_closed(user->area) ? -ECONNRESET : -EPERM;
    wake_next(user->area);
    return 0;
}

static bool free_own(const struct sync_user *user, uint32_t capacity)
{
    struct sync_area *area = user->area;
    uint32_t start = atomic_load_explicit(&area->hint, memory_order_relaxed) % capacity;

    for (uint32_t i = 0; i < capacity; i++) {
        uint32_t at = start + i < capacity ? start + i : start + i - capacity;
        uint64_t word = atomic_load(&area->words[at]);
        if (sync_owner(word) == user->client && free_word(&area->words[at], word)) {
            if (i > 0)
                atomic_store_explicit(&area->hint, at, memory_order_relaxed);
            return true;
        }
    }
    return false;
}

/* A token that another client took and this one gives back, for example a consumer's by its producer. */
static bool free_others(const struct sync_user *user, uint32_t capacity)
{
    for (uint32_t i = 0; i < capacity; i++) {
        uint64_t word = atomic_load(&user->area->words[i]);
        if (!sync_word_free(word) && sync_owner(word) != SYNC_EMPTY && free_word(&user->area->words[i], word))
            return true;
    }
    return false;
}

static bool fill_empty(const struct sync_user *user, uint32_t capacity)
{
    for (uint32_t i = 0; i < capacity; i++) {
        uint64_t word = atomic_load(&user->area->words[i]);
        if (sync_owner(word) == SYNC_EMPTY && free_word(&user->area->words[i], word))
            return true;
    }
    return false;
}

int sync_semaphore_release(struct sync_user *user)
{
    uint32_t capacity = sync_capacity(user->capacity);
    bool freed = capacity > 0 && free_own(user, capacity);
    /* A client that has lost its own token must not free another's instead. */
    int r = freed ? 0 : sync_still_client(user);

    if (r < 0)
        return r;
    for (int scan = 0; !freed && scan < SYNC_SCANS; scan++)
        freed = free_others(user, capacity) || (!user->bounded && fill_empty(user, capacity));
    if (!freed)
        return -EOVERFLOW;
    wake_next(user->area);
    return 0;
}

void sync_give_back(struct sync_user *user)
{
    uint32_t capacity = sync_capacity(user->capacity);

    if (capacity > 0 && free_own(user, capacity))
        wake_next(user->area);
}

uint32_t sync_semaphore_value(const struct sync_user *user)
{
    uint32_t capacity = sync_capacity(user->capacity), value = 0;

    for (uint32_t i = 0; i < capacity; i++)
        value += sync_word_free(atomic_load(&user->area->words[i]));
    return value;
}

bool sync_lock_mine(const struct sync_user *user)
{
    return sync_owner(atomic_load(&user->area->words[0])) == user->client;
}

int sync_fence(const struct sync_user *user, uint64_t *ret_number)
{
    const struct sync_area *area = user->area;

    if (user->capacity != 1) {
        *ret_number = sync_takes(area, sync_capacity(user->capacity));
        return 0;
    }
    uint64_t word = atomic_load(&area->words[0]), number = sync_number(area, word);
    /* Checked once more: `fence` may be much newer than the word if this thread was stopped in between. */
    if (sync_owner(word) != user->client || atomic_load(&area->words[0]) != word)
        return -EPERM;
    *ret_number = number;
    return 0;
}
