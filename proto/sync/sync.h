/* What is in the first 4096 bytes of a shared object, and what may be done with it?
 *
 * Every page object (proto/kinds.h) is a memfd that begins with a sync area. All who have opened the object map it
 * writable and operate in place; the daemon makes it, and removes the dead from it. Each user of it is a *client*: a
 * number that the daemon gave, 1 … SYNC_CLIENT_MAX. No pointers, pids or lengths in it are trusted: capacities come
 * from the daemon's own tables, or from its reply, and are checked against SYNC_SLOTS.
 *
 * A crash at any instruction must not block the others: every single store leaves each word valid. A lock word is free
 * or has its owner's number in it, and the daemon can free a word with the number of a dead client. Words that only
 * speed things up (the flag `waiters`, the privilege `fair`) may be left wrong by a death until the daemon has called
 * sync_client_gone(), which wakes everybody who sleeps on the page. lock.c, condition.c, event.c and barrier.c explain
 * why no wake-up is lost; tests/model/ proves it.
 *
 * The layout is an interface between processes that may have been built at different times: it changes only with
 * SYNC_VERSION. Errors are -errno; nothing is logged. Any thread.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/kinds.h"

#define SYNC_BYTES      4096u /* of the area; the data of an array begins behind it */
#define SYNC_MAGIC      0x4c4f4f50u
#define SYNC_VERSION    2u
#define SYNC_SLOTS      256u              /* tokens of a semaphore, parties of a barrier */
#define SYNC_WAITERS    64u               /* maximum of waiters that are reported */
#define SYNC_CLIENT_MAX ((1u << 30) - 1u) /* client numbers are 1 … this */

/* A lock word is the number of the last take << 32 | its owner: nobody, or a client. So an owner and its fencing number
 * change in one step. */
#define SYNC_FREE      0u
#define SYNC_ABANDONED (1u << 31) /* free; its owner died while holding it */
#define SYNC_EMPTY     (1u << 30) /* of a semaphore: no token in this word */

struct sync_area {
    /* Constant since the daemon made it. */
    _Atomic uint32_t magic;
    _Atomic uint32_t version;
    _Atomic uint32_t kind;   /* enum mpool_kind */
    _Atomic uint32_t tokens; /* of a semaphore: free at first */

    /* What a take and a release touch, on one line with the first words. */
    alignas(64) _Atomic uint32_t closed; /* 1: the daemon has gone. Writer: the daemon */
    _Atomic uint32_t gate;               /* futex: sequence of the wake-ups; locks, semaphores, barriers */
    _Atomic uint32_t waiters;            /* 1: somebody may sleep on the gate */
    _Atomic uint32_t hint;               /* of a semaphore: where a token was seen last */
    _Atomic uint64_t fair;               /* 0, or the only one that may take next: client << 32 | mark of the thread */
    _Atomic uint64_t fence;      /* one word: near the number in it; several: what theirs have lost: see sync_takes() */
    _Atomic uint32_t departures; /* of clients, never 0; counted before their words are freed. Writer: the daemon */
    uint32_t reserved1;
    union {
        _Atomic uint64_t words[SYNC_SLOTS]; /* of locks and semaphores */
        _Atomic uint64_t slots[SYNC_SLOTS]; /* of a barrier: generation << 32 | client that has arrived in it */
    };

    /* Of an rlock: written by its owner alone, and true only while words[0] is the owner's. */
    alignas(64) _Atomic uint64_t thread; /* mark of the owning thread: see sync_mark() */
    _Atomic uint32_t depth;

    alignas(64) _Atomic uint32_t sequence; /* of a condition: futex */
    _Atomic uint32_t sleepers;             /* of a condition: 1: somebody may sleep on it */

    alignas(64) _Atomic uint32_t event; /* futex: generation << 2 | somebody sleeps << 1 | is set */

    alignas(64) _Atomic uint64_t state; /* of a barrier: see barrier.c */

    uint64_t reserved2[128];
    alignas(64) _Atomic uint64_t cell; /* the value of a value, at its first bytes */

    /* For diagnostics; written only by those that have to wait for the lock. */
    alignas(64) _Atomic uint64_t held_ns;   /* CLOCK_MONOTONIC, by when it had been taken … */
    _Atomic uint64_t held_fence;            /* … with this number */
    _Atomic uint32_t waiting[SYNC_WAITERS]; /* clients; 0: free place. There may be more waiters */

    _Atomic uint64_t
        barred_ns; /* CLOCK_MONOTONIC, since when something is free for `fair` alone; 0: nobody has noted */
};

static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "a hidden lock would outlive its owner");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "words are shared between processes");
static_assert(offsetof(struct sync_area, closed) == 64, "layout");
static_assert(offsetof(struct sync_area, gate) == 68, "layout");
static_assert(offsetof(struct sync_area, waiters) == 72, "layout");
static_assert(offsetof(struct sync_area, hint) == 76, "layout");
static_assert(offsetof(struct sync_area, fair) == 80, "layout");
static_assert(offsetof(struct sync_area, fence) == 88, "layout");
static_assert(offsetof(struct sync_area, departures) == 96, "layout");
static_assert(offsetof(struct sync_area, words) == 104, "layout");
static_assert(offsetof(struct sync_area, slots) == 104, "layout");
static_assert(offsetof(struct sync_area, thread) == 2176, "layout");
static_assert(offsetof(struct sync_area, depth) == 2184, "layout");
static_assert(offsetof(struct sync_area, sequence) == 2240, "layout");
static_assert(offsetof(struct sync_area, sleepers) == 2244, "layout");
static_assert(offsetof(struct sync_area, event) == 2304, "layout");
static_assert(offsetof(struct sync_area, state) == 2368, "layout");
static_assert(offsetof(struct sync_area, cell) == 3456, "layout");
static_assert(offsetof(struct sync_area, held_ns) == 3520, "layout");
static_assert(offsetof(struct sync_area, waiting) == 3536, "layout");
static_assert(offsetof(struct sync_area, barred_ns) == 3536 + 4 * SYNC_WAITERS, "layout");
static_assert(sizeof(struct sync_area) <= SYNC_BYTES, "the data of an array begins at SYNC_BYTES");

#define SYNC_CELL_OFFSET 3456u /* of the value's 8 bytes, for programs that map it without this header */
static_assert(offsetof(struct sync_area, cell) == SYNC_CELL_OFFSET, "layout");

/* ---- the daemon's side ------------------------------------------------------------------------------------------- */

/* The initial state of a page. */
struct sync_setup {
    uint32_t capacity; /* semaphores: words, 1 … SYNC_SLOTS; barriers: parties, 1 … SYNC_SLOTS; others: 0 */
    uint32_t tokens; /* semaphores: free at first, 0 … capacity; a bounded one is as good as full with its capacity */
    bool set;        /* events */
    uint64_t cell;   /* values: the initial bits, in the machine's order */
};

/* Writes the area. page: SYNC_BYTES, aligned to 64, zeroed, mapped by nobody else yet. → 0; -EINVAL: setup is out of
 * bounds, or the kind has no page. */
int sync_page_init(void *page, enum mpool_kind kind, const struct sync_setup *setup);

/* The client is gone, and its connection is closed: frees what it had (marked as abandoned; of a semaphore no more than
 * it was made with), breaks a barrier in which it waited, and makes everybody who sleeps on the page look again.
 * capacity: the daemon's own, cut to SYNC_SLOTS. Trusts nothing that it reads; ends after a bounded number of steps
 * whatever others do to the page meanwhile. → how many words or slots had its number. */
unsigned sync_client_gone(void *page, enum mpool_kind kind, uint32_t capacity, uint32_t client);

/* Frees in the same way every word with a number that is not a client's: a process whose connection had ended may have
 * taken it after that, and died before it found out. is_client: called with each number found. → as above. */
unsigned sync_sweep(void *page, enum mpool_kind kind, uint32_t capacity,
    bool (*is_client)(void *userdata, uint32_t client), void *userdata);

/* The daemon exits: everybody who sleeps on the page, or is about to, gets -ECONNRESET. */
void sync_close(void *page, enum mpool_kind kind);

/* The clients in a page: untrusted, for people to read, never to be acted on. */
struct sync_snapshot {
    uint32_t owners[SYNC_SLOTS]; /* client numbers as found: words of locks, or arrived at a barrier */
    uint32_t owner_count;
    uint32_t free;      /* locks and semaphores: takes that would succeed */
    uint32_t abandoned; /* … of which the owner died */
    uint32_t
        waiting[SYNC_WAITERS]; /* clients that wait for a lock or semaphore, as far as there was room to record them */
    uint32_t waiting_count;
    uint32_t next;    /* the one of them with the privilege; 0: none */
    uint64_t held_ns; /* CLOCK_MONOTONIC: it was held by then, of a lock for which somebody waited; 0: not known */
    bool waiters;     /* somebody waits, or has waited recently */
    uint64_t fence;
    uint32_t depth; /* rlocks */
    bool set;       /* events */
    bool broken;    /* barriers */
};

/* capacity as above. Never fails. */
void sync_inspect(const void *page, enum mpool_kind kind, uint32_t capacity, struct sync_snapshot *ret);

/* ---- the clients' side ------------------------------------------------------------------------------------------- */

/* One client's use of one page; several threads may share it. Filled by the code that mapped the page. */
struct sync_user {
    struct sync_area *area;
    uint32_t client;   /* 1 … SYNC_CLIENT_MAX */
    uint32_t capacity; /* from the daemon's reply: 1 … SYNC_SLOTS; 1 for all that is neither semaphore nor barrier */
    bool bounded;      /* semaphores */
    _Atomic uint32_t departures; /* the value when this client was last known to be one; 0: never */
    /* Is this still a client? → 0: yes; negative: no, and waits return this. Called after each second of waiting, and
     * after a take if others have gone since the last one: that may have been this client itself. May run in several
     * threads at once. NULL: not checked. */
    int (*alive)(void *userdata);
    void *userdata;
    _Atomic bool interruptible; /* signals end waits: -EINTR */
};

/* Is this a page of that kind and of this version? → 0; -EBADMSG: it is not, or it has been damaged. */
int sync_page_check(const void *page, enum mpool_kind kind);

/* All waits: timeout_ms -1: forever; 0: only try. Common errors: -ETIMEDOUT; -ECONNRESET: the daemon has exited; the
 * result of alive(); -EINTR: a signal, if the user is interruptible. */

/* A lock or a semaphore. → 0; 1: taken, and its previous owner died with it. */
int sync_take(struct sync_user *user, int64_t timeout_ms);
/* → 0; -EPERM: this client does not hold it (locks); -ECONNRESET: the daemon has exited; -EOVERFLOW: more would be free
 * than a bounded semaphore has, or than there is room for (SYNC_SLOTS); the result of alive(). Semaphores are released
 * by any client, locks by any thread of the client that holds them. */
int sync_lock_release(struct sync_user *user);
int sync_semaphore_release(struct sync_user *user);
/* The same for a process that is no longer a client: of a semaphore it frees only its own tokens. */
void sync_give_back(struct sync_user *user);
/* Number of takes that would succeed at this moment. */
uint32_t sync_semaphore_value(const struct sync_user *user);

/* A recursive lock: its owner is a thread. → take: as sync_take(), and -EOVERFLOW after 2^32 - 1 takes; release: 0 or
 * -EPERM. */
int sync_rlock_take(struct sync_user *user, int64_t timeout_ms);
int sync_rlock_release(struct sync_user *user);

/* Does this client (sync_rlock_mine: this thread) hold it? */
bool sync_lock_mine(const struct sync_user *user);
bool sync_rlock_mine(const struct sync_user *user);
/* The number of this client's take: each take of a lock has a greater one than all before. Of a semaphore of several
 * tokens: the number of takes so far, by any client. → 0; -EPERM: this client does not hold the lock. */
int sync_fence(const struct sync_user *user, uint64_t *ret_number);

/* Events. A set ends the waits of all that waited at that moment, even if the event has been cleared since. */
int sync_event_wait(struct sync_user *user, int64_t timeout_ms);
void sync_event_set(struct sync_user *user);
void sync_event_clear(struct sync_user *user);
bool sync_event_is_set(const struct sync_user *user);

/* A condition and the lock that guards it. lock: of another object, a lock or (recursive) an rlock, opened by the same
 * client. The caller must hold it, else -EPERM.
 * wait: releases the lock wholly (an rlock at any depth), waits, and takes it again, however long that takes. → 0:
 * woken, perhaps spuriously; 1: the same, and the lock's owner had died with it; -ETIMEDOUT; in these cases the lock is
 * held again. -ECONNRESET, or what alive() returned: it is not held. notify: wakes up to `count` that wait. */
int sync_condition_wait(struct sync_user *condition, struct sync_user *lock, bool recursive, int64_t timeout_ms);
int sync_condition_notify(struct sync_user *condition, struct sync_user *lock, bool recursive, uint32_t count);

/* Waits until `capacity` parties have arrived. → 0 … capacity - 1: the order of arrival; -EPIPE: the barrier is broken:
 * by a time-out, sync_barrier_abort(), the death of a waiter, or it was reset meanwhile. A time-out breaks it for all.
 */
int sync_barrier_wait(struct sync_user *user, int64_t timeout_ms);
/* Breaks it until it is reset. */
void sync_barrier_abort(struct sync_user *user);
/* Back to the initial state; waiters get -EPIPE. */
void sync_barrier_reset(struct sync_user *user);
uint32_t sync_barrier_waiting(const struct sync_user *user);
bool sync_barrier_broken(const struct sync_user *user);
