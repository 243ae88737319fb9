/* What can a page do whose users wrote into it whatever they like? The daemon must get through every function of its
 * side, in bounded time and without leaving the page; so must users who give themselves a time-out. The pages around it
 * must not be touched (support.c), which would be SIGSEGV.
 */
#include "tests/unit/sync/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 20000u

static const enum mpool_kind kinds[] = {
#define X(id, name, page, lock) MPOOL_KIND_##id,
    MPOOL_KINDS(X)
#undef X
};

static uint32_t odd_number(uint64_t *seed)
{
    static const uint32_t odd[] = {0, 1, 2, SYNC_CLIENT_MAX, SYNC_EMPTY, SYNC_ABANDONED, UINT32_MAX, SYNC_SLOTS,
        SYNC_SLOTS + 1, SYNC_ABANDONED | 1, 0x8000u, 0x7fffu, 0xffff0000u};
    uint32_t n = random_next(seed);

    return n % 2 ? odd[n / 2 % (sizeof(odd) / sizeof(odd[0]))] : n << 1 ^ random_next(seed);
}

static void scribble(struct sync_area *area, uint64_t *seed, unsigned words)
{
    _Atomic uint32_t *at = (_Atomic uint32_t *)(void *)area;

    for (unsigned i = 0; i < words; i++)
        atomic_store_explicit(
            &at[random_next(seed) % (SYNC_BYTES / sizeof(*at))], odd_number(seed), memory_order_relaxed);
}

static bool is_odd(void *userdata, uint32_t client)
{
    (void)userdata;
    assert_in_range(client, 1, SYNC_CLIENT_MAX);
    return client % 2;
}

static void daemon_does_it_all(struct sync_area *area, enum mpool_kind kind, uint64_t *seed)
{
    struct sync_snapshot snapshot;
    uint32_t capacity = odd_number(seed);

    assert_true(sync_client_gone(area, kind, capacity, odd_number(seed)) <= 2 * SYNC_SLOTS);
    assert_true(sync_sweep(area, kind, capacity, is_odd, NULL) <= 2 * SYNC_SLOTS);
    sync_inspect(area, kind, capacity, &snapshot);
    assert_true(snapshot.owner_count <= SYNC_SLOTS);
    for (uint32_t i = 0; i < snapshot.owner_count; i++)
        assert_in_range(snapshot.owners[i], 1, SYNC_CLIENT_MAX);
    assert_true(snapshot.next <= SYNC_CLIENT_MAX);
    assert_true(snapshot.waiting_count <= SYNC_WAITERS);
    sync_close(area, kind);
    (void)sync_page_check(area, kind);
}

static void no_page_holds_up_the_daemon(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    uint64_t seed = 1;
    (void)state;

    for (unsigned i = 0; i < ROUNDS; i++) {
        scribble(page.area, &seed, i % 2 ? 8 : 2048);
        daemon_does_it_all(page.area, kinds[random_next(&seed) % (sizeof(kinds) / sizeof(kinds[0]))], &seed);
    }
    page_free(&page);
}

struct scribbler {
    struct sync_area *area;
    _Atomic uint32_t stop;
};

static void *scribbler_main(void *argument)
{
    struct scribbler *scribbler = argument;
    uint64_t seed = 7;

    while (!atomic_load(&scribbler->stop))
        scribble(scribbler->area, &seed, 64);
    return NULL;
}

static void no_page_that_changes_meanwhile_holds_up_the_daemon(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 3, 0);
    struct scribbler scribbler = {.area = page.area};
    pthread_t thread;
    uint64_t seed = 2;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, scribbler_main, &scribbler), 0);
    for (unsigned i = 0; i < ROUNDS; i++)
        daemon_does_it_all(page.area, kinds[random_next(&seed) % (sizeof(kinds) / sizeof(kinds[0]))], &seed);
    atomic_store(&scribbler.stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    page_free(&page);
}

static void barriers_that_are_all_slots_of_the_dead_are_broken(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 3, 0);
    (void)state;

    for (uint32_t i = 0; i < SYNC_SLOTS; i++)
        page.area->slots[i] = 9;
    assert_int_equal(page_gone(&page, 9), SYNC_SLOTS);
    struct sync_user user = page_user(&page, 1);
    assert_true(sync_barrier_broken(&user));
    page_free(&page);
}

static void a_user_gets_out_by_its_time_out(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, SYNC_SLOTS, 0);
    uint64_t seed = 3;
    (void)state;

    for (unsigned i = 0; i < 2000; i++) {
        struct sync_user user = page_user(&page, 1 + random_next(&seed) % 5);
        user.capacity = 1 + random_next(&seed) % SYNC_SLOTS;
        scribble(page.area, &seed, i % 2 ? 8 : 2048);
        page.area->closed = 0;
        int64_t timeout_ms = random_next(&seed) % 2;
        (void)sync_take(&user, timeout_ms);
        (void)sync_semaphore_release(&user);
        (void)sync_lock_release(&user);
        (void)sync_semaphore_value(&user);
        (void)sync_rlock_take(&user, timeout_ms);
        (void)sync_rlock_release(&user);
        (void)sync_event_wait(&user, timeout_ms);
        sync_event_set(&user);
        sync_event_clear(&user);
        int place = sync_barrier_wait(&user, timeout_ms);
        assert_true(place < (int)user.capacity);
        sync_barrier_abort(&user);
        sync_barrier_reset(&user);
        page.area->words[0] = user.client;
        (void)sync_condition_notify(&user, &user, false, 1);
    }
    page_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_page_holds_up_the_daemon),
        cmocka_unit_test(no_page_that_changes_meanwhile_holds_up_the_daemon),
        cmocka_unit_test(barriers_that_are_all_slots_of_the_dead_are_broken),
        cmocka_unit_test(a_user_gets_out_by_its_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
