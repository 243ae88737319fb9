/* How does the daemon make a page, remove the dead from it, and close it? See sync.h.
 *
 * Others may store anything into the page meanwhile. So each word is read once, compared and moved by compare-and-swap;
 * a loop that others could prolong has a bound; no number read there is used as an index or a length.
 */
#include <string.h>

#include "proto/sync/sync_private.h"

#define PAGE_TRIES 64 /* tries to move a word that others move, too: each failed try is one move of theirs */

static bool has_page(enum mpool_kind kind)
{
    return (unsigned)kind < MPOOL_KIND_COUNT && wire_kind_info(kind)->page;
}

static bool is_semaphore(enum mpool_kind kind)
{
    return kind == MPOOL_KIND_SEMAPHORE || kind == MPOOL_KIND_BOUNDED_SEMAPHORE;
}

/* Number of words of this kind: the daemon's count, or the single word of a lock. */
static uint32_t words_of(enum mpool_kind kind, uint32_t capacity)
{
    return is_semaphore(kind) ? sync_capacity(capacity) : wire_kind_info(kind)->lock ? 1 : 0;
}

int sync_page_init(void *page, enum mpool_kind kind, const struct sync_setup *setup)
{
    struct sync_area *area = page;
    uint32_t capacity = setup->capacity;

    if (!has_page(kind))
        return -EINVAL;
    if (is_semaphore(kind) || kind == MPOOL_KIND_BARRIER) {
        if (capacity < 1 || capacity > SYNC_SLOTS)
            return -EINVAL;
    } else if (capacity != 0) {
        return -EINVAL;
    }
    if (setup->tokens > (is_semaphore(kind) ? capacity : 0))
        return -EINVAL;

    memset(page, 0, SYNC_BYTES);
    if (is_semaphore(kind))
        for (uint32_t i = setup->tokens; i < capacity; i++)
            atomic_store_explicit(&area->words[i], SYNC_EMPTY, memory_order_relaxed);
    atomic_store_explicit(&area->event, kind == MPOOL_KIND_EVENT && setup->set, memory_order_relaxed);
    atomic_store_explicit(&area->departures, 1, memory_order_relaxed);
    atomic_store_explicit(&area->tokens, setup->tokens, memory_order_relaxed);
    atomic_store_explicit(&area->cell, setup->cell, memory_order_relaxed);
    atomic_store_explicit(&area->kind, (uint32_t)kind, memory_order_relaxed);
    atomic_store_explicit(&area->version, SYNC_VERSION, memory_order_relaxed);
    /* Others get it through the kernel, by sendmsg() of its descriptor. */
    atomic_store_explicit(&area->magic, SYNC_MAGIC, memory_order_release);
    return 0;
}

int sync_page_check(const void *page, enum mpool_kind kind)
{
    const struct sync_area *area = page;

    return atomic_load(&area->magic) == SYNC_MAGIC && atomic_load(&area->version) == SYNC_VERSION &&
                   atomic_load(&area->kind) == (uint32_t)kind
               ? 0
               : -EBADMSG;
}

/* The clients to which nothing may belong any more. */
struct gone {
    bool (*is_client)(void *userdata, uint32_t client);
    void *userdata;
    uint32_t client; /* without is_client: this one */
};

static bool is_gone(const struct gone *gone, uint32_t client)
{
    if (client == 0 || client > SYNC_CLIENT_MAX)
        return false;
    return gone->is_client ? !gone->is_client(gone->userdata, client) : client == gone->client;
}

/* Before the word is freed: a client that gave the object up may open it again, and a thread of it would find its own
 * mark while another, which has just taken the lock, has not overwritten it yet. */
static void wipe_mark(struct sync_area *area, uint64_t word)
{
    uint64_t mark = atomic_load(&area->thread);

    /* Fails if the client is alive after all, and has just handed the lock to another. */
    if (atomic_load(&area->words[0]) == word)
        (void)atomic_compare_exchange_strong(&area->thread, &mark, 0);
}

/* Frees what the dead had. However, this never gives a semaphore more tokens than it was made with: tokens beyond them
 * were announced by releases, and the dead had consumed them. */
static unsigned free_words(struct sync_area *area, enum mpool_kind kind, uint32_t count, const struct gone *gone)
{
    uint32_t max = kind == MPOOL_KIND_SEMAPHORE ? atomic_load(&area->tokens) : count, left = 0;
    unsigned freed = 0;

    if (max < count)
        for (uint32_t i = 0; i < count; i++) {
            uint32_t owner = sync_owner(atomic_load(&area->words[i]));
            left += owner != SYNC_EMPTY && !is_gone(gone, owner);
        }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = atomic_load(&area->words[i]);
        if (!is_gone(gone, sync_owner(word)))
            continue;
        if (i == 0)
            wipe_mark(area, word);
        uint64_t next = sync_word_with(word, left < max ? SYNC_ABANDONED : SYNC_EMPTY);
        if (atomic_compare_exchange_strong(&area->words[i], &word, next)) {
            freed++;
            left++;
        }
    }
    return freed;
}

static unsigned take_privilege(struct sync_area *area, const struct gone *gone)
{
    uint64_t fair = atomic_load(&area->fair);

    /* Fails if it belongs to another by now. */
    return is_gone(gone, (uint32_t)(fair >> 32)) && atomic_compare_exchange_strong(&area->fair, &fair, 0);
}

static void hide(struct sync_area *area, const struct gone *gone)
{
    for (uint32_t i = 0; i < SYNC_WAITERS; i++) {
        uint32_t found = atomic_load(&area->waiting[i]);
        if (is_gone(gone, found))
            (void)atomic_compare_exchange_strong(&area->waiting[i], &found, 0);
    }
}

static unsigned break_barrier(struct sync_area *area, const struct gone *gone)
{
    uint64_t state = atomic_load(&area->state);

    for (int tries = 0; tries < PAGE_TRIES; tries++) {
        struct sync_barrier now = sync_barrier_unpack(state);
        unsigned arrived = 0;
        for (uint32_t i = 0; i < SYNC_SLOTS; i++) {
            uint64_t slot = atomic_load(&area->slots[i]);
            arrived += slot >> 32 == now.generation && is_gone(gone, (uint32_t)slot);
        }
        if (arrived == 0 || now.broken)
            return arrived;
        now.broken = true;
        /* Fails when others arrive, and the round may be another now: look again. */
        if (atomic_compare_exchange_strong(&area->state, &state, sync_barrier_pack(now)))
            return arrived;
    }
    /* Another process tampers with it. */
    atomic_fetch_or(&area->state, sync_barrier_pack((struct sync_barrier){.broken = true}));
    return 1;
}

/* Makes everybody who sleeps on the page, or is about to, look again. */
static void wake_all(struct sync_area *area, enum mpool_kind kind)
{
    sync_open_gate(area);
    if (kind == MPOOL_KIND_CONDITION) {
        atomic_fetch_add(&area->sequence, 1);
        (void)sync_wake(&area->sequence, INT_MAX, SYNC_ANYBODY);
    }
    if (kind == MPOOL_KIND_EVENT)
        (void)sync_wake(&area->event, INT_MAX, SYNC_ANYBODY);
}

/* → how many words or slots were theirs; *ret_privilege: the privilege was. */
static unsigned take_back(
    struct sync_area *area, enum mpool_kind kind, uint32_t capacity, const struct gone *gone, unsigned *ret_privilege)
{
    unsigned had = free_words(area, kind, words_of(kind, capacity), gone);

    *ret_privilege = take_privilege(area, gone);
    hide(area, gone);
    return kind == MPOOL_KIND_BARRIER ? had + break_barrier(area, gone) : had;
}

unsigned sync_client_gone(void *page, enum mpool_kind kind, uint32_t capacity, uint32_t client)
{
    struct sync_area *area = page;
    struct gone gone = {.client = client};
    unsigned privilege;

    if (!has_page(kind) || client == 0 || client > SYNC_CLIENT_MAX)
        return 0;
    /* First: a take that is missed by this look at the word does not miss this increment. See lock.c, (5). */
    if (atomic_fetch_add(&area->departures, 1) == UINT32_MAX)
        atomic_fetch_add(&area->departures, 1);
    unsigned had = take_back(area, kind, capacity, &gone, &privilege);
    /* Even if it had nothing: it may have died with a wake-up that was meant for everybody. */
    wake_all(area, kind);
    return had;
}

unsigned sync_sweep(void *page, enum mpool_kind kind, uint32_t capacity,
    bool (*is_client)(void *userdata, uint32_t client), void *userdata)
{
    struct gone gone = {.is_client = is_client, .userdata = userdata};
    unsigned privilege;

    if (!has_page(kind))
        return 0;
    unsigned had = take_back(page, kind, capacity, &gone, &privilege);
    if (had > 0 || privilege > 0)
        wake_all(page, kind);
    return had;
}

void sync_close(void *page, enum mpool_kind kind)
{
    struct sync_area *area = page;

    if (!has_page(kind))
        return;
    atomic_store(&area->closed, 1);
    /* A new generation: a waiter that is about to sleep does not. See event.c. */
    if (kind == MPOOL_KIND_EVENT)
        atomic_fetch_add(&area->event, 4);
    wake_all(area, kind);
}

void sync_inspect(const void *page, enum mpool_kind kind, uint32_t capacity, struct sync_snapshot *ret)
{
    const struct sync_area *area = page;

    *ret = (struct sync_snapshot){.fence = 0};
    if (!has_page(kind))
        return;
    uint32_t words = words_of(kind, capacity);
    for (uint32_t i = 0; i < words; i++) {
        uint64_t word = atomic_load(&area->words[i]);
        uint32_t owner = sync_owner(word);
        ret->free += sync_word_free(word);
        ret->abandoned += owner == SYNC_ABANDONED;
        if (owner >= 1 && owner <= SYNC_CLIENT_MAX)
            ret->owners[ret->owner_count++] = owner;
    }
    for (uint32_t i = 0; i < SYNC_WAITERS; i++) {
        uint32_t client = atomic_load(&area->waiting[i]);
        if (client >= 1 && client <= SYNC_CLIENT_MAX)
            ret->waiting[ret->waiting_count++] = client;
    }
    ret->next = (uint32_t)(atomic_load(&area->fair) >> 32) & SYNC_CLIENT_MAX;
    ret->waiters = atomic_load(&area->waiters) != 0;
    if (words > 0)
        ret->fence = sync_takes(area, words);
    if (ret->owner_count > 0 && atomic_load(&area->held_fence) == ret->fence)
        ret->held_ns = atomic_load(&area->held_ns);
    ret->depth = words ? atomic_load(&area->depth) : 0;
    ret->set = kind == MPOOL_KIND_EVENT && atomic_load(&area->event) & 1u;
    if (kind == MPOOL_KIND_BARRIER) {
        struct sync_barrier now = sync_barrier_unpack(atomic_load(&area->state));
        ret->broken = now.broken;
        for (uint32_t i = 0; i < SYNC_SLOTS; i++) {
            uint64_t slot = atomic_load(&area->slots[i]);
            if (slot >> 32 == now.generation && (uint32_t)slot >= 1 && (uint32_t)slot <= SYNC_CLIENT_MAX && now.count)
                ret->owners[ret->owner_count++] = (uint32_t)slot;
        }
    }
}
