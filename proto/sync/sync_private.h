/* How do the operations on a sync area sleep and wake? Theirs alone.
 *
 * Shared futexes (never FUTEX_PRIVATE_FLAG): the kernel finds sleepers by inode and offset. A sleep is cut into slices
 * of a second, after each of which the user's alive() is asked, and the thread may be cancelled. Every operation on the
 * words that decide about sleeping is sequentially consistent, the kernel's comparison included (it has full barriers
 * around it): so the files may argue, and tests/model/ search, in terms of one order of all steps.
 */
#pragma once

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/futex.h"
#include "proto/sync/sync.h"

#define SYNC_SLICE_NS INT64_C(1000000000)
#define SYNC_ANYBODY  FUTEX_BITSET_MATCH_ANY

static inline int64_t sync_now_ns(void)
{
    return (int64_t)clock_now_ns();
}

/* A wait from its beginning to its end. */
struct sync_nap {
    int64_t begin_ns, end_ns; /* CLOCK_MONOTONIC; end: INT64_MAX: no end */
    int64_t ask_ns;           /* when to ask whether to wait on */
    int64_t look_ns;          /* when to look again, woken or not; INT64_MAX: when woken */
};

static inline struct sync_nap sync_nap(int64_t timeout_ms)
{
    int64_t now = sync_now_ns();
    bool forever = timeout_ms < 0 || timeout_ms > (INT64_MAX - now) / 1000000;

    return (struct sync_nap){
        .begin_ns = now,
        .end_ns = forever ? INT64_MAX : now + timeout_ms * 1000000,
        .ask_ns = now + SYNC_SLICE_NS,
        .look_ns = INT64_MAX,
    };
}

static inline bool sync_closed(const struct sync_area *area)
{
    return atomic_load(&area->closed) != 0;
}

/* Sleeps while *word is `expected`, until somebody wakes one of `bits` or the slice is over. → 0: look again; negative:
 * the wait is over. What the caller decided by must have been read after `expected`. A thread that is cancelled is so
 * before it sleeps, where its time might as well have been over: the caller's cleanup attribute does what it does
 * then. */
static inline int sync_sleep(
    const struct sync_user *user, struct sync_nap *nap, _Atomic uint32_t *word, uint32_t expected, uint32_t bits)
{
    int64_t now = sync_now_ns();

    if (sync_closed(user->area))
        return -ECONNRESET;
    if (now >= nap->end_ns)
        return -ETIMEDOUT;
    if (now >= nap->ask_ns) {
        int r = user->alive ? user->alive(user->userdata) : 0;
        if (r < 0)
            return r;
        pthread_testcancel();
        nap->ask_ns = now + SYNC_SLICE_NS;
    }
    int64_t until = nap->end_ns < nap->ask_ns ? nap->end_ns : nap->ask_ns;
    until = until < nap->look_ns ? until : nap->look_ns;
    struct futex_time at = {.s = (long)(until / 1000000000), .ns = (long)(until % 1000000000)};
    int saved = errno;
    bool interrupted = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, &at, NULL, bits) < 0 && errno == EINTR;
    errno = saved;
    return interrupted && atomic_load_explicit(&user->interruptible, memory_order_relaxed) ? -EINTR : 0;
}

/* → how many were woken. It cannot fail for a word in a live mapping. Keeps errno. */
static inline uint32_t sync_wake(_Atomic uint32_t *word, uint32_t count, uint32_t bits)
{
    int saved = errno;
    long n = syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count > INT_MAX ? INT_MAX : (int)count, NULL, NULL, bits);

    errno = saved;
    return n > 0 ? (uint32_t)n : 0;
}

/* Everybody who sleeps on the gate, or is about to, looks again. */
static inline void sync_open_gate(struct sync_area *area)
{
    atomic_fetch_add(&area->gate, 1);
    (void)sync_wake(&area->gate, INT_MAX, SYNC_ANYBODY);
}

/* Tells apart the threads of a process that live at the same time. */
static inline uint64_t sync_thread(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

/* The same among all clients: the first threads of forked processes have one address, and a dead owner leaves its mark.
 * An odd factor keeps the numbers apart, and spreads them over the upper bits, which addresses do not use. */
static inline uint64_t sync_mark(const struct sync_user *user)
{
    return sync_thread() ^ user->client * UINT64_C(0x9e3779b97f4a7c15);
}

/* Is this still a client, of a daemon that is still there? Asked only if others have gone since it was last known to be
 * one: see lock.c, (5). → 0; -ECONNRESET: the daemon has closed the page; negative: what alive() said. */
static inline int sync_still_client(struct sync_user *user)
{
    uint32_t departures = atomic_load(&user->area->departures);

    if (departures == atomic_load_explicit(&user->departures, memory_order_relaxed))
        return 0;
    if (sync_closed(user->area))
        return -ECONNRESET;
    int r = user->alive ? user->alive(user->userdata) : 0;
    if (r == 0)
        atomic_store_explicit(&user->departures, departures, memory_order_relaxed);
    return r;
}

static inline uint32_t sync_capacity(uint32_t capacity)
{
    return capacity < SYNC_SLOTS ? capacity : SYNC_SLOTS;
}

static inline uint32_t sync_owner(uint64_t word)
{
    return (uint32_t)word;
}

static inline bool sync_word_free(uint64_t word)
{
    return sync_owner(word) == SYNC_FREE || sync_owner(word) == SYNC_ABANDONED;
}

/* The word with another owner, and the same number. */
static inline uint64_t sync_word_with(uint64_t word, uint32_t owner)
{
    return word >> 32 << 32 | owner;
}

/* The whole number of the take of a lock, of which its word has the lower half: the one nearest to `fence`. That is
 * brought up to date each SYNC_RENEW takes by whoever takes then; eight of them would have to die at just that step,
 * one after the other, before a number could be mistaken for one of four thousand million takes before. */
#define SYNC_RENEW (UINT32_C(1) << 28)

static inline uint64_t sync_number(const struct sync_area *area, uint64_t word)
{
    uint64_t near = atomic_load_explicit(&area->fence, memory_order_relaxed);

    return near + (uint64_t)(int64_t)(int32_t)((uint32_t)(word >> 32) - (uint32_t)near);
}

/* How many takes there have been: of a semaphore each word counts its own, and `fence` whatever they have lost by going
 * on from 0. */
static inline uint64_t sync_takes(const struct sync_area *area, uint32_t words)
{
    if (words == 1)
        return sync_number(area, atomic_load(&area->words[0]));
    uint64_t sum = atomic_load_explicit(&area->fence, memory_order_relaxed);
    for (uint32_t i = 0; i < words; i++)
        sum += atomic_load_explicit(&area->words[i], memory_order_relaxed) >> 32;
    return sum;
}

/* The barrier's state word. It is one word, so that a death cannot leave its parts at odds. */
#define SYNC_BARRIER_ROUNDS 22u /* the last ones, of each of which it is known how it ended */

struct sync_barrier {
    uint32_t generation; /* which round: one more with each that ends, well or by a reset */
    uint32_t resets;     /* bit i: the last round but i was ended by a reset; bit SYNC_BARRIER_ROUNDS: an earlier one */
    uint32_t count;      /* arrived in this round */
    bool broken;
};

static inline struct sync_barrier sync_barrier_unpack(uint64_t state)
{
    return (struct sync_barrier){
        .generation = (uint32_t)(state >> 32),
        .resets = (uint32_t)(state >> 9) & ((2u << SYNC_BARRIER_ROUNDS) - 1),
        .count = (uint32_t)state & 0xffu,
        .broken = (state & 0x100u) != 0,
    };
}

static inline uint64_t sync_barrier_pack(struct sync_barrier barrier)
{
    return (uint64_t)barrier.generation << 32 | (uint64_t)barrier.resets << 9 | (barrier.broken ? 0x100u : 0u) |
           (barrier.count & 0xffu);
}

static_assert(SYNC_SLOTS <= 256, "a round that is not over has fewer than SYNC_SLOTS, which fit into its count");
