/* Can one that has lost what it had, or itself, do harm: by another's number, by a number that nobody takes out of a
 * word, by a privilege that it does not use, by a round that it does not leave? See lock.c and barrier.c.
 */
#include "tests/unit/sync/support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANN = 1, BOB = 2, EVE = SYNC_CLIENT_MAX };

static _Atomic int asked, lost; /* how often a client was asked about; whether it is none any more */

static int ask(void *userdata)
{
    (void)userdata;
    atomic_fetch_add(&asked, 1);
    return atomic_load(&lost) ? -ECONNRESET : 0;
}

static int take_for_ever(struct sync_user *user)
{
    return sync_take(user, -1);
}

static int take_and_ask(struct sync_user *user)
{
    user->alive = ask;
    return sync_take(user, -1);
}

static int barrier_wait(struct sync_user *user)
{
    return sync_barrier_wait(user, -1);
}

static uint32_t owner(const struct page *page)
{
    return (uint32_t)page->area->words[0];
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static void a_stale_owner_is_not_given_the_new_owners_number(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    uint64_t number = 0, next = 0;
    (void)state;

    assert_int_equal(sync_fence(&ann, &number), -EPERM);
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_fence(&ann, &number), 0);
    assert_int_equal(sync_fence(&bob, &next), -EPERM);
    assert_int_equal(page_gone(&page, ANN), 1);
    assert_int_equal(sync_fence(&ann, &next), -EPERM);
    assert_int_equal(sync_take(&bob, 0), 1);
    assert_int_equal(sync_fence(&ann, &next), -EPERM);
    assert_int_equal(sync_fence(&bob, &next), 0);
    assert_true(next > number);
    page_free(&page);
}

/* The word has the lower half alone. */
static void numbers_go_on_above_32_bits(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    uint64_t last = UINT64_C(7) << 32 | 0xfffffff0u, number = 0;
    (void)state;

    page.area->words[0] = last << 32;
    page.area->fence = last - UINT32_MAX / 16; /* as old as it ever is */
    for (int i = 0; i < 64; i++) {
        assert_int_equal(sync_take(&ann, 0), 0);
        assert_int_equal(sync_fence(&ann, &number), 0);
        assert_int_equal(number, last + 1);
        last = number;
        assert_int_equal(sync_lock_release(&ann), 0);
    }
    assert_int_equal(page.area->fence, UINT64_C(8) << 32);
    page_free(&page);
}

/* ---- burial of the living ---------------------------------------------------------------------------------------- */

static const struct {
    enum mpool_kind kind;
    uint32_t tokens;
} holders[] = {{MPOOL_KIND_LOCK, 0}, {MPOOL_KIND_BOUNDED_SEMAPHORE, 1}, {MPOOL_KIND_SEMAPHORE, 3}};

static void a_take_after_ones_burial_is_none(void **state)
{
    (void)state;

    atomic_store(&lost, 1);
    for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
        struct page page = page_new(holders[i].kind, holders[i].tokens, holders[i].tokens);
        struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
        struct sync_snapshot snapshot;
        assert_int_equal(sync_take(&ann, 0), 0);
        ann.alive = ask;
        assert_int_equal(page_gone(&page, ANN), 1);
        for (int n = 0; n < 3; n++)
            assert_int_equal(sync_take(&ann, 0), -ECONNRESET);
        sync_inspect(page.area, page.kind, page.capacity, &snapshot);
        assert_int_equal(snapshot.owner_count, 0);
        for (uint32_t n = 0; n < snapshot.free; n++)
            assert_true(sync_take(&bob, 0) >= 0);
        page_free(&page);
    }
}

/* Whoever is told that the one before has died, and is none any more, leaves that to the next. */
static void the_death_of_the_one_before_is_told_to_the_next(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB), eve = page_user(&page, EVE);
    (void)state;

    atomic_store(&lost, 1);
    assert_int_equal(sync_take(&bob, 0), 0);
    assert_int_equal(page_gone(&page, BOB), 1);
    assert_int_equal(page_gone(&page, ANN), 0);
    ann.alive = ask;
    assert_int_equal(sync_take(&ann, 0), -ECONNRESET);
    assert_int_equal(sync_take(&eve, 0), 1);
    page_free(&page);
}

/* A daemon that ends in the middle of a wait, with the waiter's connection closed last. */
static struct page *ending;

static int end_of_the_daemon(void *userdata)
{
    struct page *page = ending;
    (void)userdata;

    ending = NULL;
    if (page) {
        sync_close(page->area, page->kind);
        page_gone(page, ANN);
    }
    return 0;
}

static void what_an_ending_daemon_frees_is_taken_by_nobody(void **state)
{
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct page page = page_new(holders[i].kind, holders[i].tokens, holders[i].tokens);
        struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
        assert_int_equal(sync_take(&ann, 0), 0);
        ending = &page;
        bob.alive = end_of_the_daemon;
        assert_int_equal(sync_take(&bob, -1), -ECONNRESET);
        assert_null(ending);
        assert_int_equal(owner(&page), SYNC_ABANDONED);
        page_free(&page);
    }
}

static void one_that_waits_when_it_is_buried_hands_the_lock_on(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob, eve;
    (void)state;

    atomic_store(&lost, 1);
    assert_int_equal(sync_take(&ann, 0), 0);
    waiter_start(&bob, &page, BOB, take_and_ask);
    until_not(&page.area->waiters, 0);
    assert_int_equal(page_gone(&page, BOB), 0);
    waiter_start(&eve, &page, EVE, take_for_ever);
    until_not(&page.area->waiting[0], 0); /* Bob's place is empty again */
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(waiter_join(&eve), 0);
    assert_int_equal(owner(&page), EVE);
    assert_int_equal(sync_lock_release(&eve.user), 0);
    assert_int_equal(waiter_join(&bob), -ECONNRESET);
    assert_int_equal(owner(&page), SYNC_FREE);
    page_free(&page);
}

static void anothers_departure_is_asked_about_once(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    atomic_store(&lost, 0);
    atomic_store(&asked, 0);
    ann.alive = ask;
    for (int n = 1; n < 4; n++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(sync_take(&ann, 0), 0);
            assert_int_equal(sync_lock_release(&ann), 0);
        }
        assert_int_equal(asked, n);
        assert_int_equal(page_gone(&page, BOB), 0);
    }
    page.area->departures = UINT32_MAX; /* 0 is kept for: never */
    assert_int_equal(page_gone(&page, BOB), 0);
    assert_int_equal(page.area->departures, 1);
    page_free(&page);
}

static bool is_bob(void *userdata, uint32_t client)
{
    (void)userdata;
    return client == BOB;
}

/* One that died between its take and its look. */
static void what_bears_nobodys_number_is_swept_out(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
        struct page page = page_new(holders[i].kind, holders[i].tokens, holders[i].tokens);
        struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
        struct waiter eve;
        struct sync_snapshot snapshot;
        assert_int_equal(sync_take(&ann, 0), 0);
        while (sync_take(&bob, 0) == 0)
            continue;
        waiter_start(&eve, &page, EVE, take_for_ever);
        until_not(&page.area->waiters, 0);
        page.area->fair = (uint64_t)ANN << 32 | 7;
        assert_int_equal(sync_sweep(page.area, page.kind, page.capacity, is_bob, NULL), 1);
        assert_int_equal(waiter_join(&eve), 1);
        assert_int_equal(page.area->fair, 0);
        sync_inspect(page.area, page.kind, page.capacity, &snapshot);
        for (uint32_t n = 0; n < snapshot.owner_count; n++)
            assert_true(snapshot.owners[n] == BOB || snapshot.owners[n] == EVE);
        page_free(&page);
    }
}

static void a_barriers_round_is_broken_by_the_buried(void **state)
{
    struct page page = page_new(MPOOL_KIND_BARRIER, 3, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    struct waiter eve;
    (void)state;

    atomic_store(&lost, 1);
    waiter_start(&eve, &page, EVE, barrier_wait);
    while (sync_barrier_waiting(&bob) < 1)
        until_not_64(&page.area->state, 0);
    assert_int_equal(page_gone(&page, ANN), 0);
    ann.alive = ask;
    assert_int_equal(sync_barrier_wait(&ann, -1), -ECONNRESET);
    assert_int_equal(waiter_join(&eve), -EPIPE);
    sync_barrier_reset(&bob);
    page.area->slots[5] = (uint64_t)(page.area->state >> 32) << 32 | ANN; /* it died on its way in */
    assert_int_equal(sync_sweep(page.area, page.kind, page.capacity, is_bob, NULL), 1);
    assert_true(sync_barrier_broken(&bob));
    page_free(&page);
}

static void what_is_lost_is_given_back_and_nothing_else(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, 3, 2);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&bob, 0), 0);
    for (int i = 0; i < 3; i++)
        sync_give_back(&ann);
    assert_int_equal(sync_semaphore_value(&ann), 1);
    assert_int_equal(page_gone(&page, BOB), 1);
    page_free(&page);
}

/* ---- those who do not run ---------------------------------------------------------------------------------------- */

static void a_sleeper_watches_a_privilege_that_is_not_used(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    atomic_store(&lost, 0);
    atomic_store(&asked, 0);
    assert_int_equal(sync_take(&ann, 0), 0);
    waiter_start(&bob, &page, BOB, take_and_ask);
    until_not(&page.area->waiters, 0);
    page.area->fair = (uint64_t)EVE << 32 | 7; /* she is stopped from here on */
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(waiter_join(&bob), 0);
    /* A sleep of a whole second would have asked twice: at its end, and after the take. */
    assert_int_equal(asked, 1);
    assert_int_equal(page.area->fair, 0);
    page_free(&page);
}

/* A waiter of a round that all have come to is stopped, and a later round is reset. */
static void one_that_is_slow_to_leave_a_round_is_told_of_that_round(void **state)
{
    (void)state;

    for (unsigned resets = 1; resets < 40; resets += 7) {
        struct page page = page_new(MPOOL_KIND_BARRIER, 2, 0);
        struct sync_user ann = page_user(&page, ANN);
        int status;
        pid_t slow = fork();
        assert_true(slow >= 0);
        if (slow == 0) {
            struct sync_user bob = page_user(&page, BOB);
            _exit(sync_barrier_wait(&bob, -1) == 0 ? 10 : 20);
        }
        while (sync_barrier_waiting(&ann) == 0)
            until_not_64(&page.area->state, 0);
        assert_int_equal(kill(slow, SIGSTOP), 0);
        assert_int_equal(waitpid(slow, &status, WUNTRACED), slow);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(sync_barrier_wait(&ann, -1), 1);
        for (unsigned i = 0; i < resets; i++) {
            struct waiter next;
            waiter_start(&next, &page, ANN, barrier_wait);
            while (sync_barrier_waiting(&ann) == 0)
                until_not_64(&page.area->state, 0);
            sync_barrier_reset(&ann);
            assert_int_equal(waiter_join(&next), -EPIPE);
        }
        assert_int_equal(kill(slow, SIGCONT), 0);
        assert_int_equal(waitpid(slow, &status, 0), slow);
        /* So many rounds are remembered one by one; one that was slower than that is told the worse. */
        assert_int_equal(WEXITSTATUS(status), resets <= 22 ? 10 : 20);
        page_free(&page);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_owner_is_not_given_the_new_owners_number),
        cmocka_unit_test(numbers_go_on_above_32_bits),
        cmocka_unit_test(a_take_after_ones_burial_is_none),
        cmocka_unit_test(the_death_of_the_one_before_is_told_to_the_next),
        cmocka_unit_test(what_an_ending_daemon_frees_is_taken_by_nobody),
        cmocka_unit_test(one_that_waits_when_it_is_buried_hands_the_lock_on),
        cmocka_unit_test(anothers_departure_is_asked_about_once),
        cmocka_unit_test(what_bears_nobodys_number_is_swept_out),
        cmocka_unit_test(a_barriers_round_is_broken_by_the_buried),
        cmocka_unit_test(what_is_lost_is_given_back_and_nothing_else),
        cmocka_unit_test(a_sleeper_watches_a_privilege_that_is_not_used),
        cmocka_unit_test(one_that_is_slow_to_leave_a_round_is_told_of_that_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
