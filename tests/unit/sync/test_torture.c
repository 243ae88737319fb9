/* Do processes that are killed anywhere leave a lock or a semaphore to the others? Sixteen of them take and release;
 * the parent kills them at random, and cleans up after each as the daemon does.
 *
 * TAKES=N: how many takes in all, 300,000 without; the long run is 10,000,000.
 */
#include "tests/unit/sync/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 16u
#define KILLS     500u /* at least */

/* Shared with the children, and judged when they are dead. */
struct journal {
    _Atomic uint32_t inside; /* a bit for each who has it, set after its take and cleared before its release */
    _Atomic uint32_t stop;
    _Atomic uint32_t crowd;                 /* somebody saw more inside than may be */
    _Atomic uint32_t told;                  /* takes that were told of a death */
    _Atomic uint64_t takes;                 /* in all, for pacing */
    _Atomic uint64_t done[PROCESSES];       /* increments that were completed, dead processes included */
    _Atomic uint64_t killed_ns, longest_ns; /* the last kill; from a kill to the take that was told of it */
    volatile uint64_t counter;              /* guarded by the lock */
};

struct storm {
    struct page page;
    struct journal *journal;
    pid_t pids[PROCESSES];
    uint32_t parties[PROCESSES];
    uint32_t next_party;
    uint32_t abandoned, kills;
    uint64_t seed;
};

static uint64_t takes_wanted(void)
{
    const char *text = getenv("TAKES");

    return text ? strtoull(text, NULL, 10) : 300000;
}

static int release(struct storm *storm, struct sync_user *user)
{
    return storm->page.kind == MPOOL_KIND_LOCK ? sync_lock_release(user) : sync_semaphore_release(user);
}

/* The compiler may not put it elsewhere, and a kill may come between its two halves. */
static void increment(struct journal *journal)
{
    uint64_t before = journal->counter;

    for (volatile uint64_t i = before % 16 ? 20 : 2000; i; i--)
        continue;
    journal->counter = before + 1;
}

static _Noreturn void child_main(struct storm *storm, uint32_t me)
{
    struct journal *journal = storm->journal;
    struct sync_user user = page_user(&storm->page, storm->parties[me]);
    uint32_t max = storm->page.capacity ? storm->page.capacity : 1;
    uint64_t seed = storm->seed + me;

    while (!atomic_load(&journal->stop)) {
        /* Now and then one that gives up. */
        int r = sync_take(&user, random_next(&seed) % 64 == 0 ? (int64_t)(random_next(&seed) % 3) : -1);
        if (r == -ETIMEDOUT)
            continue;
        if (r < 0)
            _exit(2);
        uint32_t inside = atomic_fetch_or(&journal->inside, 1u << me) | 1u << me;
        if ((uint32_t)__builtin_popcount(inside) > max)
            atomic_store(&journal->crowd, inside);
        if (r == 1) {
            atomic_fetch_add(&journal->told, 1);
            uint64_t took = (uint64_t)now_ns() - atomic_load(&journal->killed_ns);
            if (took > atomic_load(&journal->longest_ns) && took < TEST_NET_NS)
                atomic_store(&journal->longest_ns, took);
        }
        if (max == 1)
            increment(journal);
        atomic_fetch_add(&journal->done[me], 1);
        atomic_fetch_add(&journal->takes, 1);
        atomic_fetch_and(&journal->inside, ~(1u << me));
        if (release(storm, &user) < 0)
            _exit(3);
    }
    _exit(0);
}

static void spawn(struct storm *storm, uint32_t me)
{
    storm->parties[me] = storm->next_party++;
    storm->seed += 1000;
    storm->pids[me] = fork();
    assert_true(storm->pids[me] >= 0);
    if (storm->pids[me] == 0)
        child_main(storm, me);
}

/* The order is the daemon's: the client is gone when its process cannot store any more. */
static void reap(struct storm *storm, uint32_t me)
{
    int status;

    assert_int_equal(waitpid(storm->pids[me], &status, 0), storm->pids[me]);
    assert_true(
        (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    atomic_fetch_and(&storm->journal->inside, ~(1u << me));
    storm->abandoned += page_gone(&storm->page, storm->parties[me]);
}

static void until_takes(struct journal *journal, uint64_t takes)
{
    int64_t end = now_ns() + TEST_NET_NS;

    while (atomic_load(&journal->takes) < takes) {
        assert_true(now_ns() < end); /* somebody sleeps beside a free lock */
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
}

static void rage(struct storm *storm, enum mpool_kind kind, uint32_t capacity)
{
    uint64_t wanted = takes_wanted(), at = 0;

    *storm = (struct storm){.page = page_new(kind, capacity, capacity), .next_party = 1, .seed = 42};
    storm->journal = mmap(NULL, sizeof(*storm->journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(storm->journal != MAP_FAILED);
    for (uint32_t i = 0; i < PROCESSES; i++)
        spawn(storm, i);
    while (at < wanted || storm->kills < KILLS) {
        at = atomic_load(&storm->journal->takes) + random_next(&storm->seed) % 1000;
        until_takes(storm->journal, at);
        uint32_t victim = random_next(&storm->seed) % PROCESSES;
        atomic_store(&storm->journal->killed_ns, (uint64_t)now_ns());
        kill(storm->pids[victim], SIGKILL);
        reap(storm, victim);
        storm->kills++;
        spawn(storm, victim);
    }
    atomic_store(&storm->journal->stop, 1);
    /* Nobody may be left asleep. */
    int64_t end = now_ns() + TEST_NET_NS;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        siginfo_t info = {.si_pid = 0};
        while (waitid(P_PID, (id_t)storm->pids[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
            assert_true(now_ns() < end);
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
        }
        reap(storm, i);
    }
    printf("# %u kills, %u of them inside, %u told of it, the slowest %llu us after the kill; %llu takes\n",
        storm->kills, storm->abandoned, atomic_load(&storm->journal->told),
        (unsigned long long)atomic_load(&storm->journal->longest_ns) / 1000,
        (unsigned long long)atomic_load(&storm->journal->takes));
}

static void calm(struct storm *storm)
{
    munmap(storm->journal, sizeof(*storm->journal));
    page_free(&storm->page);
}

static void a_lock_outlives_whoever_is_killed(void **state)
{
    struct storm storm;
    uint64_t done = 0;
    (void)state;

    rage(&storm, MPOOL_KIND_LOCK, 0);
    assert_int_equal(storm.journal->crowd, 0);
    for (uint32_t i = 0; i < PROCESSES; i++)
        done += storm.journal->done[i];
    /* Who was killed inside may have been anywhere between its take, its increment and its note. */
    assert_true(storm.journal->counter >= done);
    assert_true(storm.journal->counter <= done + storm.abandoned);
    assert_true(storm.abandoned <= storm.kills);
    assert_true(storm.journal->told <= storm.abandoned);
    assert_true(storm.abandoned == 0 || storm.journal->told > 0);
    uint32_t word = (uint32_t)storm.page.area->words[0];
    assert_true(word == SYNC_FREE || word == SYNC_ABANDONED);
    assert_int_equal(storm.page.area->fair, 0);
    calm(&storm);
}

static void a_semaphore_outlives_whoever_is_killed(void **state)
{
    struct storm storm;
    (void)state;

    rage(&storm, MPOOL_KIND_BOUNDED_SEMAPHORE, 3);
    assert_int_equal(storm.journal->crowd, 0);
    struct sync_user user = page_user(&storm.page, 1);
    assert_int_equal(sync_semaphore_value(&user), 3);
    assert_int_equal(storm.page.area->fair, 0);
    calm(&storm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_outlives_whoever_is_killed),
        cmocka_unit_test(a_semaphore_outlives_whoever_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
