/* Do locks, recursive locks and semaphores do what sync.h says, one step at a time? */
#include "tests/unit/sync/support.h"

#include <dirent.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANN = 1, BOB = 2, CID = 3, EVE = SYNC_CLIENT_MAX };

static int take_for_ever(struct sync_user *user)
{
    return sync_take(user, -1);
}

static int rlock_release(struct sync_user *user)
{
    return sync_rlock_release(user);
}

static int rlock_try(struct sync_user *user)
{
    return sync_rlock_take(user, 0);
}

static void a_page_begins_only_within_bounds(void **state)
{
    alignas(64) static uint8_t page[SYNC_BYTES];
    (void)state;

    static const struct {
        enum mpool_kind kind;
        struct sync_setup setup;
        int r;
    } cases[] = {
        {MPOOL_KIND_LOCK, {.capacity = 0}, 0},
        {MPOOL_KIND_LOCK, {.capacity = 1}, -EINVAL},
        {MPOOL_KIND_LOCK, {.tokens = 1}, -EINVAL},
        {MPOOL_KIND_SEMAPHORE, {.capacity = 0}, -EINVAL},
        {MPOOL_KIND_SEMAPHORE, {.capacity = SYNC_SLOTS, .tokens = SYNC_SLOTS}, 0},
        {MPOOL_KIND_SEMAPHORE, {.capacity = SYNC_SLOTS + 1}, -EINVAL},
        {MPOOL_KIND_SEMAPHORE, {.capacity = 3, .tokens = 4}, -EINVAL},
        {MPOOL_KIND_BARRIER, {.capacity = SYNC_SLOTS}, 0},
        {MPOOL_KIND_BARRIER, {.capacity = 0}, -EINVAL},
        {MPOOL_KIND_BARRIER, {.capacity = SYNC_SLOTS + 1}, -EINVAL},
        {MPOOL_KIND_QUEUE, {.capacity = 0}, -EINVAL},
        {MPOOL_KIND_COUNT, {.capacity = 0}, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(sync_page_init(page, cases[i].kind, &cases[i].setup), cases[i].r);
}

static void a_page_of_another_kind_or_version_is_refused(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    (void)state;

    assert_int_equal(sync_page_check(page.area, MPOOL_KIND_RLOCK), -EBADMSG);
    page.area->version = SYNC_VERSION + 1;
    assert_int_equal(sync_page_check(page.area, MPOOL_KIND_LOCK), -EBADMSG);
    page_free(&page);
}

static void a_lock_has_one_owner(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    assert_true(sync_lock_mine(&ann));
    assert_int_equal(sync_take(&bob, 0), -ETIMEDOUT);
    assert_int_equal(sync_take(&bob, 1), -ETIMEDOUT);
    assert_int_equal(sync_take(&ann, 1), -ETIMEDOUT); /* not recursive */
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(sync_take(&bob, -1), 0);
    assert_int_equal(sync_lock_release(&bob), 0);
    page_free(&page);
}

static void only_the_owner_releases_a_lock(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_lock_release(&ann), -EPERM);
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_lock_release(&bob), -EPERM);
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(sync_lock_release(&ann), -EPERM);
    page_free(&page);
}

static void each_take_has_a_greater_number(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    uint64_t last = 0, number = 0;
    (void)state;

    for (uint32_t i = 1; i < 100; i++) {
        struct sync_user user = page_user(&page, i);
        assert_true(sync_take(&user, 0) >= 0);
        assert_int_equal(sync_fence(&user, &number), 0);
        assert_true(number > last);
        last = number;
        if (i % 3)
            assert_int_equal(sync_lock_release(&user), 0);
        else
            assert_int_equal(page_gone(&page, i), 1);
    }
    page_free(&page);
}

static void the_next_owner_hears_of_a_death_once(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(page_gone(&page, EVE), 0); /* another's death */
    assert_int_equal(sync_take(&bob, 0), -ETIMEDOUT);
    assert_int_equal(page_gone(&page, ANN), 1);
    assert_int_equal(sync_take(&bob, 0), 1);
    /* Who was taken for dead and is not can do no harm. */
    assert_int_equal(sync_lock_release(&ann), -EPERM);
    assert_int_equal(sync_lock_release(&bob), 0);
    assert_int_equal(sync_take(&bob, 0), 0);
    page_free(&page);
}

static void a_release_wakes_who_waits(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    waiter_start(&bob, &page, BOB, take_for_ever);
    until_not(&page.area->waiters, 0);
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(waiter_join(&bob), 0);
    assert_int_equal((uint32_t)page.area->words[0], BOB);
    page_free(&page);
}

static void a_death_wakes_who_waits(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    waiter_start(&bob, &page, BOB, take_for_ever);
    until_not(&page.area->waiters, 0);
    assert_int_equal(page_gone(&page, ANN), 1);
    assert_int_equal(waiter_join(&bob), 1);
    page_free(&page);
}

static void the_daemons_end_ends_all_waits(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    waiter_start(&bob, &page, BOB, take_for_ever);
    until_not(&page.area->waiters, 0);
    sync_close(page.area, page.kind);
    assert_int_equal(waiter_join(&bob), -ECONNRESET);
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(sync_take(&ann, -1), -ECONNRESET);
    page_free(&page);
}

static int asked;
static int nobody_is_alive(void *userdata)
{
    (void)userdata;
    asked++;
    return -ECONNRESET;
}

static void a_long_wait_asks_whether_the_daemon_lives(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    bob.alive = nobody_is_alive;
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&bob, 5), -ETIMEDOUT); /* not a long one */
    assert_int_equal(asked, 0);
    assert_int_equal(sync_take(&bob, -1), -ECONNRESET);
    assert_int_equal(asked, 1);
    page_free(&page);
}

static void a_privilege_keeps_newcomers_out_and_goes_with_its_owner(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    page.area->fair = (uint64_t)BOB << 32 | 7;
    assert_int_equal(sync_take(&ann, 0), -ETIMEDOUT);
    page.area->barred_ns = 0;
    int64_t begin = now_ns();
    if (sync_take(&ann, 1) == 0) { /* she was not scheduled for so long that the privilege had lapsed */
        assert_true(now_ns() - begin >= 20000000);
        assert_int_equal(sync_lock_release(&ann), 0);
        page.area->fair = (uint64_t)BOB << 32 | 7;
    }
    assert_int_equal(page_gone(&page, BOB), 0);
    assert_int_equal(sync_take(&ann, 0), 0);
    page_free(&page);
}

static void a_privilege_that_nobody_uses_is_taken_over(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    page.area->fair = UINT64_MAX; /* nobody's: somebody has spoiled it */
    assert_int_equal(sync_take(&ann, -1), 0);
    assert_int_equal(page.area->fair, 0);
    page_free(&page);
}

/* Its owner lives, but does not run. */
/* Whoever is not woken looks again after a second. */
static int take_before_it_looks_by_itself(struct sync_user *user)
{
    int64_t begin = now_ns();
    int r = sync_take(user, -1);
    return now_ns() - begin < 1000000000 ? r : -ETIME;
}

/* Another than this one: the only one there is. */
static void until_the_other_thread_sleeps(void)
{
    char path[64], state;
    for (int64_t end = now_ns() + TEST_NET_NS; now_ns() < end;) {
        DIR *threads = opendir("/proc/self/task");
        assert_non_null(threads);
        for (struct dirent *entry; (entry = readdir(threads));) {
            if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)getpid())
                continue;
            snprintf(path, sizeof path, "/proc/self/task/%.16s/stat", entry->d_name);
            FILE *file = fopen(path, "re");
            bool sleeps = file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1 && state == 'S';
            if (file)
                fclose(file);
            if (sleeps) {
                closedir(threads);
                return;
            }
        }
        closedir(threads);
    }
    fail_msg("the other thread does not sleep");
}

/* Ann was quicker than the privileged Cid, whom a release before had woken; now he is stopped, and Bob sleeps. */
static void each_release_under_a_privilege_wakes_one_who_watches(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter bob;
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    page.area->fair = (uint64_t)CID << 32 | 7;
    page.area->barred_ns = (uint64_t)now_ns() - 100000000;
    waiter_start(&bob, &page, BOB, take_before_it_looks_by_itself);
    until_not(&page.area->waiters, 0);
    until_the_other_thread_sleeps();
    assert_int_equal(sync_lock_release(&ann), 0);
    assert_int_equal(waiter_join(&bob), 0);
    page_free(&page);
}

static void a_privilege_of_one_who_is_stopped_bars_nobody_for_long(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    page.area->fair = (uint64_t)BOB << 32 | 7;
    assert_int_equal(sync_take(&ann, 0), -ETIMEDOUT);
    assert_int_not_equal(page.area->barred_ns, 0); /* one who only tries starts the clock, too */
    page.area->barred_ns -= 100000000;
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(page.area->fair, 0);
    assert_int_equal(page.area->barred_ns, 0);
    page.area->fair = (uint64_t)BOB << 32 | 7;
    page.area->waiters = 1;
    assert_int_equal(sync_lock_release(&ann), 0); /* and so does a release, of which he does not hear */
    assert_int_not_equal(page.area->barred_ns, 0);
    page.area->barred_ns -= 100000000;
    assert_int_equal(sync_take(&ann, 1), 0);
    page_free(&page);
}

static void a_release_after_the_daemons_end_says_so(void **state)
{
    struct page page = page_new(MPOOL_KIND_LOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    sync_close(page.area, MPOOL_KIND_LOCK);
    assert_int_equal(page_gone(&page, ANN), 1);
    assert_int_equal(sync_lock_release(&ann), -ECONNRESET);
    page_free(&page);
}

/* ---- rlocks ------------------------------------------------------------------------------------------------------ */

static void an_rlock_is_released_as_often_as_it_was_taken(void **state)
{
    struct page page = page_new(MPOOL_KIND_RLOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    for (int i = 0; i < 5; i++)
        assert_int_equal(sync_rlock_take(&ann, -1), 0);
    uint64_t number = 0;
    assert_int_equal(sync_fence(&ann, &number), 0);
    assert_int_equal(number, 1); /* one take of the lock */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sync_rlock_take(&bob, 0), -ETIMEDOUT);
        assert_int_equal(sync_rlock_release(&ann), 0);
    }
    assert_int_equal(sync_rlock_release(&ann), -EPERM);
    assert_int_equal(sync_rlock_take(&bob, 0), 0);
    page_free(&page);
}

static void an_rlock_belongs_to_one_thread(void **state)
{
    struct page page = page_new(MPOOL_KIND_RLOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter thread;
    (void)state;

    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    waiter_start(&thread, &page, ANN, rlock_release);
    assert_int_equal(waiter_join(&thread), -EPERM);
    waiter_start(&thread, &page, ANN, rlock_try);
    assert_int_equal(waiter_join(&thread), -ETIMEDOUT);
    assert_int_equal(sync_rlock_release(&ann), 0);
    page_free(&page);
}

static void an_rlock_counts_no_further_than_it_can(void **state)
{
    struct page page = page_new(MPOOL_KIND_RLOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    page.area->depth = UINT32_MAX;
    assert_int_equal(sync_rlock_take(&ann, -1), -EOVERFLOW);
    page.area->depth = 1;
    assert_int_equal(sync_rlock_release(&ann), 0);
    page_free(&page);
}

static void a_dead_threads_depth_is_not_inherited(void **state)
{
    struct page page = page_new(MPOOL_KIND_RLOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    assert_int_equal(page_gone(&page, ANN), 1);
    assert_int_equal(sync_rlock_release(&ann), -EPERM);
    assert_int_equal(sync_rlock_take(&bob, -1), 1);
    assert_int_equal(sync_rlock_release(&bob), 0);
    assert_int_equal((uint32_t)page.area->words[0], SYNC_FREE);
    page_free(&page);
}

/* Forked processes have the same mark for their first threads. */
static void a_dead_threads_mark_is_not_inherited(void **state)
{
    struct page page = page_new(MPOOL_KIND_RLOCK, 0, 0);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_rlock_take(&ann, -1), 0);
    assert_int_equal(page_gone(&page, ANN), 1);
    page.area->words[0] = BOB; /* another thread of Bob's has it, and has not left its mark yet */
    assert_false(sync_rlock_mine(&bob));
    assert_int_equal(sync_rlock_take(&bob, 0), -ETIMEDOUT);
    page_free(&page);
}

/* ---- semaphores -------------------------------------------------------------------------------------------------- */

static void a_semaphore_lets_in_as_many_as_it_has_tokens(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, 5, 3);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_semaphore_value(&ann), 3);
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&bob, 0), 0);
    assert_int_equal(sync_take(&bob, 0), -ETIMEDOUT);
    assert_int_equal(sync_semaphore_value(&ann), 0);
    assert_int_equal(sync_semaphore_release(&ann), 0);
    assert_int_equal(sync_take(&bob, 0), 0);
    page_free(&page);
}

static void anybody_may_release_a_semaphore(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, SYNC_SLOTS, 0);
    struct sync_user producer = page_user(&page, ANN), consumer = page_user(&page, BOB);
    (void)state;

    for (int i = 0; i < 1000; i++) {
        assert_int_equal(sync_take(&consumer, 0), -ETIMEDOUT);
        assert_int_equal(sync_semaphore_release(&producer), 0);
        assert_int_equal(sync_take(&consumer, 0), 0);
    }
    page_free(&page);
}

static void a_release_gives_back_ones_own_token_first(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, 2, 2);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&bob, 0), 0);
    assert_int_equal(sync_semaphore_release(&bob), 0);
    assert_int_equal(page_gone(&page, BOB), 0);
    assert_int_equal(page_gone(&page, ANN), 1);
    page_free(&page);
}

static void a_bounded_semaphore_has_never_more_than_it_had(void **state)
{
    struct page page = page_new(MPOOL_KIND_BOUNDED_SEMAPHORE, 2, 2);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    assert_int_equal(sync_semaphore_release(&ann), -EOVERFLOW);
    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_semaphore_release(&ann), 0);
    assert_int_equal(sync_semaphore_release(&ann), -EOVERFLOW);
    assert_int_equal(sync_semaphore_value(&ann), 2);
    page_free(&page);
}

static void an_unbounded_semaphore_grows_up_to_its_room(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, SYNC_SLOTS, 1);
    struct sync_user ann = page_user(&page, ANN);
    (void)state;

    for (uint32_t i = 1; i < SYNC_SLOTS; i++)
        assert_int_equal(sync_semaphore_release(&ann), 0);
    assert_int_equal(sync_semaphore_release(&ann), -EOVERFLOW);
    assert_int_equal(sync_semaphore_value(&ann), SYNC_SLOTS);
    for (uint32_t i = 0; i < SYNC_SLOTS; i++)
        assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&ann, 0), -ETIMEDOUT);
    page_free(&page);
}

static void tokens_of_the_dead_are_free_again(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, 4, 3);
    struct sync_user ann = page_user(&page, ANN), bob = page_user(&page, BOB);
    struct sync_snapshot snapshot;
    (void)state;

    assert_int_equal(sync_take(&ann, 0), 0);
    assert_int_equal(sync_take(&bob, 0), 0);
    assert_int_equal(sync_take(&ann, 0), 0);
    sync_inspect(page.area, page.kind, page.capacity, &snapshot);
    assert_int_equal(snapshot.owner_count, 3);
    assert_int_equal(snapshot.free, 0);
    assert_int_equal(page_gone(&page, ANN), 2);
    sync_inspect(page.area, page.kind, page.capacity, &snapshot);
    assert_int_equal(snapshot.owner_count, 1);
    assert_int_equal(snapshot.owners[0], BOB);
    assert_int_equal(snapshot.free, 2);
    assert_int_equal(snapshot.abandoned, 2);
    assert_int_equal(snapshot.fence, 3);
    assert_int_equal(sync_take(&bob, 0), 1);
    assert_int_equal(sync_take(&bob, 0), 1);
    assert_int_equal(sync_take(&bob, 0), -ETIMEDOUT);
    page_free(&page);
}

static void tokens_that_come_at_once_wake_all_who_can_have_one(void **state)
{
    struct page page = page_new(MPOOL_KIND_SEMAPHORE, 8, 0);
    struct sync_user ann = page_user(&page, ANN);
    struct waiter waiters[8];
    (void)state;

    for (uint32_t i = 0; i < 8; i++)
        waiter_start(&waiters[i], &page, 10 + i, take_for_ever);
    until_not(&page.area->waiters, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(sync_semaphore_release(&ann), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(waiter_join(&waiters[i]), 0);
    page_free(&page);
}

/* ---- what it costs ----------------------------------------------------------------------------------------------- */

/* ThreadSanitizer has a thread of its own, which would outlive the end of the first. */
#if defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(thread_sanitizer)
#else
#define SANITIZED 0
#endif

static void what_nobody_disputes_costs_no_system_call(void **state)
{
    if (SANITIZED) { /* skip() is a failure to whoever reads TAP strictly */
        print_message("# not tried under the thread sanitizer\n");
        return;
    }
    struct page lock_page = page_new(MPOOL_KIND_LOCK, 0, 0), semaphore_page = page_new(MPOOL_KIND_SEMAPHORE, 3, 3);
    struct page event_page = page_new(MPOOL_KIND_EVENT, 0, 0), rlock_page = page_new(MPOOL_KIND_CONDITION, 0, 0);
    struct sync_user lock = page_user(&lock_page, ANN), semaphore = page_user(&semaphore_page, ANN);
    struct sync_user event = page_user(&event_page, ANN), condition = page_user(&rlock_page, ANN);
    int status;
    (void)state;

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* From here on any call but read, write and exit is a SIGKILL. */
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
            _exit(77);
        bool ok = true;
        for (int i = 0; i < 100; i++) {
            ok = ok && sync_take(&lock, -1) == 0 && sync_take(&lock, 0) == -ETIMEDOUT && sync_lock_release(&lock) == 0;
            ok = ok && sync_rlock_take(&condition, -1) == 0 &&
                 sync_condition_notify(&condition, &condition, true, 1) == 0 && sync_rlock_release(&condition) == 0;
            ok = ok && sync_take(&semaphore, -1) == 0 && sync_semaphore_release(&semaphore) == 0;
            sync_event_set(&event);
            ok = ok && sync_event_wait(&event, -1) == 0;
            sync_event_clear(&event);
        }
        syscall(SYS_exit, ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("# not tried: this kernel lets nobody filter system calls\n");
        return;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    page_free(&lock_page);
    page_free(&semaphore_page);
    page_free(&event_page);
    page_free(&rlock_page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_begins_only_within_bounds),
        cmocka_unit_test(a_page_of_another_kind_or_version_is_refused),
        cmocka_unit_test(a_lock_has_one_owner),
        cmocka_unit_test(only_the_owner_releases_a_lock),
        cmocka_unit_test(each_take_has_a_greater_number),
        cmocka_unit_test(the_next_owner_hears_of_a_death_once),
        cmocka_unit_test(a_release_wakes_who_waits),
        cmocka_unit_test(a_death_wakes_who_waits),
        cmocka_unit_test(the_daemons_end_ends_all_waits),
        cmocka_unit_test(a_long_wait_asks_whether_the_daemon_lives),
        cmocka_unit_test(a_privilege_keeps_newcomers_out_and_goes_with_its_owner),
        cmocka_unit_test(a_privilege_that_nobody_uses_is_taken_over),
        cmocka_unit_test(an_rlock_is_released_as_often_as_it_was_taken),
        cmocka_unit_test(a_privilege_of_one_who_is_stopped_bars_nobody_for_long),
        cmocka_unit_test(each_release_under_a_privilege_wakes_one_who_watches),
        cmocka_unit_test(a_release_after_the_daemons_end_says_so),
        cmocka_unit_test(an_rlock_belongs_to_one_thread),
        cmocka_unit_test(an_rlock_counts_no_further_than_it_can),
        cmocka_unit_test(a_dead_threads_depth_is_not_inherited),
        cmocka_unit_test(a_dead_threads_mark_is_not_inherited),
        cmocka_unit_test(a_semaphore_lets_in_as_many_as_it_has_tokens),
        cmocka_unit_test(anybody_may_release_a_semaphore),
        cmocka_unit_test(a_release_gives_back_ones_own_token_first),
        cmocka_unit_test(a_bounded_semaphore_has_never_more_than_it_had),
        cmocka_unit_test(an_unbounded_semaphore_grows_up_to_its_room),
        cmocka_unit_test(tokens_of_the_dead_are_free_again),
        cmocka_unit_test(tokens_that_come_at_once_wake_all_who_can_have_one),
        cmocka_unit_test(what_nobody_disputes_costs_no_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
