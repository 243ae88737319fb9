/* Does every task have exactly one fate when its worker is killed at a random instant? Two processes; each worker notes
 * in memory of its own what it started and finished, which is the judge of what the supervisor reads out of the lane.
 */
#include "tests/unit/lane/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 400u
#define ITEMS  8u
#define TASKS  4000u /* of one round, at most */

/* Written by the worker alone, read when it is dead. Counts, so that a double run shows. */
struct journal {
    _Atomic uint8_t started[TASKS], finished[TASKS];
    _Atomic uint32_t spoiled; /* arguments that were not what the supervisor placed */
};

enum fate { UNPLACED, PLACED, DONE, LOST, NEVER_STARTED, RECLAIMED };

struct round {
    struct ends ends;
    struct journal *journal;
    uint8_t fates[TASKS];
    uint32_t first, next; /* positions: task id = position - first */
    uint64_t seed;
    bool killing;
    uint32_t killing_position;
    unsigned partial; /* lost, with some items done */
};

static uint8_t bytes[1u << 17];

static size_t args_size(uint64_t task)
{
    return task % 11 == 0 ? 3000 + task % 9000 : task % 300;
}

static size_t result_size(uint64_t task)
{
    return task % 97 == 0 ? 100000 + task : task % 13 == 0 ? 2000 + task : task % 280;
}

static _Noreturn void worker_main(struct round *r)
{
    struct worker_job job;
    size_t room;

    if (ends_open_worker(&r->ends) < 0)
        _exit(1);
    for (;;) {
        if (worker_lane_next(r->ends.worker, &job, -1) != 1)
            continue;
        uint64_t task = job.job.task_id;
        atomic_fetch_add(&r->journal->started[task], 1);
        if (job.args_length != args_size(task) || !pattern_check(job.args, job.args_length, task))
            atomic_fetch_add(&r->journal->spoiled, 1);
        /* A chunk: what is done is published item by item. */
        uint8_t *space = worker_lane_result_space(r->ends.worker, &room);
        size_t size = result_size(task);
        pattern_fill(bytes, size, task);
        for (uint32_t item = 0; item < ITEMS; item++) {
            /* The function itself: all of a chunk takes from nothing to some ten microseconds. */
            for (volatile uint32_t spin = (uint32_t)(task * 2654435761u) % 4096 / ITEMS; spin; spin--)
                continue;
            memcpy(space + size * item / ITEMS, bytes + size * item / ITEMS,
                size * (item + 1) / ITEMS - size * item / ITEMS);
            worker_lane_partial(r->ends.worker, item + 1, size * (item + 1) / ITEMS);
        }
        if (!worker_lane_finish(r->ends.worker, &(struct worker_outcome){.items_done = ITEMS, .size = size}))
            for (;;)
                pause(); /* being killed: nothing but wait for the end */
        atomic_fetch_add(&r->journal->finished[task], 1);
    }
}

static void settle(struct round *r, uint32_t position, enum fate fate)
{
    uint32_t task = position - r->first;

    assert_int_equal(r->fates[task], PLACED);
    r->fates[task] = (uint8_t)fate;
}

/* → how many were collected. */
static unsigned drain(struct round *r)
{
    struct lane_result result;
    unsigned collected = 0;
    int n;

    while ((n = lane_collect(r->ends.lane, &result)) == 1) {
        if (!result.reclaimed) {
            assert_int_equal(result.task_id, result.position - r->first);
            assert_int_equal(result.size, result_size(result.task_id));
            assert_true(pattern_check(result.data, result.size, result.task_id));
        }
        settle(r, result.position, result.reclaimed ? RECLAIMED : DONE);
        lane_release(r->ends.lane);
        collected++;
    }
    assert_int_equal(n, 0);
    return collected;
}

static void fill(struct round *r, uint32_t depth)
{
    while (lane_outstanding(r->ends.lane) < depth && r->next - r->first < TASKS) {
        uint64_t task = r->next - r->first;
        struct lane_job job = test_job(task);
        job.flags = LANE_JOB_CHUNK;
        job.items = ITEMS;
        struct iovec args = {.iov_base = bytes, .iov_len = args_size(task)};
        uint32_t position;

        pattern_fill(bytes, args.iov_len, task);
        if (lane_place(r->ends.lane, &job, &args, 1, &position) < 0)
            break;
        assert_int_equal(position, r->next);
        r->fates[task] = PLACED;
        r->next++;
    }
    lane_post(r->ends.lane);
}

/* Takes something back: any position, whatever has become of it. */
static void meddle(struct round *r)
{
    uint32_t outstanding = lane_outstanding(r->ends.lane);
    uint32_t position = lane_head(r->ends.lane) + (outstanding ? random_next(&r->seed) % outstanding : 0);

    if (outstanding)
        (void)lane_reclaim(r->ends.lane, position);
}

/* What the dead worker's chunk had finished is whole, and as much as it says. → its items. */
static uint32_t check_partial(struct round *r, uint32_t position)
{
    uint64_t task = position - r->first, size = 0;
    const uint8_t *data = NULL;
    uint32_t items = lane_partial(r->ends.lane, position, &data, &size);

    if (items) {
        pattern_fill(bytes, result_size(task), task);
        assert_int_equal(size, result_size(task) * items / ITEMS);
        assert_memory_equal(data, bytes, size);
    }
    return items;
}

/* The worker is dead: no store can follow. */
static void judge(struct round *r)
{
    unsigned lost = 0;

    (void)drain(r);
    for (uint32_t p = lane_head(r->ends.lane); p != r->next; p++) {
        enum lane_claim claim = lane_peek(r->ends.lane, p);
        switch (claim) {
        case LANE_READY: settle(r, p, NEVER_STARTED); break;
        case LANE_RECLAIMED: settle(r, p, RECLAIMED); break;
        case LANE_STARTED:
        case LANE_KILLING:
            settle(r, p, LOST);
            r->partial += check_partial(r, p) > 0;
            assert_int_equal(claim == LANE_KILLING, r->killing && p == r->killing_position);
            lost++;
            break;
        case LANE_EMPTY:
        case LANE_DONE: fail_msg("position %u is %d after its worker's death", p, (int)claim);
        }
    }
    assert_true(lost <= 1);
    if (r->killing)
        assert_int_equal(lost, 1);

    for (uint32_t task = 0; task < r->next - r->first; task++) {
        unsigned started = r->journal->started[task], finished = r->journal->finished[task];
        switch (r->fates[task]) {
        case DONE: assert_true(started == 1 && finished <= 1); break;
        case LOST: assert_true(started <= 1 && finished == 0); break;
        case NEVER_STARTED:
        case RECLAIMED: assert_true(started == 0 && finished == 0); break;
        default: fail_msg("task %u has no fate", task);
        }
    }
    assert_int_equal(r->journal->spoiled, 0);
}

static void play(struct round *r, bool kill_for_a_task)
{
    unsigned target = random_next(&r->seed) % 600, collected = 0;
    uint32_t depth = 1 + random_next(&r->seed) % LANE_SLOTS;
    int status;

    ends_open_supervisor(&r->ends);
    r->first = r->next = lane_head(r->ends.lane);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        worker_main(r);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(pidfd >= 0);

    while (collected < target) {
        fill(r, depth);
        if (random_next(&r->seed) % 16 == 0)
            meddle(r);
        unsigned now = drain(r);
        collected += now;
        if (now == 0 && !ends_sleep(&r->ends, pidfd))
            fail_msg("no doorbell after %u results", collected);
    }
    /* From nothing to a few tasks, mostly little: the kill is to land anywhere in the worker's loop. */
    fill(r, depth);
    for (volatile uint32_t spin = (random_next(&r->seed) & 0xffff) >> (random_next(&r->seed) & 15); spin; spin--)
        continue;
    while (kill_for_a_task && !r->killing && r->next - r->first < TASKS) {
        for (uint32_t p = lane_head(r->ends.lane); p != r->next && !r->killing; p++) {
            r->killing = lane_begin_kill(r->ends.lane, p);
            r->killing_position = p;
        }
        if (!r->killing) {
            (void)drain(r);
            fill(r, depth);
        }
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(pidfd);
    judge(r);
    ends_close(&r->ends);
}

static void rounds(bool kill_for_a_task, unsigned count)
{
    struct round *r = calloc(1, sizeof(*r));
    unsigned fates[RECLAIMED + 1] = {0}, kills = 0, partial = 0;

    assert_non_null(r);
    for (unsigned i = 0; i < count; i++) {
        *r = (struct round){.seed = i * 2 + kill_for_a_task};
        r->journal = mmap(NULL, sizeof(*r->journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(r->journal, MAP_FAILED);
        play(r, kill_for_a_task);
        kills += r->killing;
        partial += r->partial;
        for (uint32_t task = 0; task < r->next - r->first; task++)
            fates[r->fates[task]]++;
        munmap(r->journal, sizeof(*r->journal));
    }
    print_message("# %u kills (%u for a task): %u done, %u lost (%u in part), %u never started, %u taken back\n", count,
        kills, fates[DONE], fates[LOST], partial, fates[NEVER_STARTED], fates[RECLAIMED]);
    /* The test has tried what it is about. How many are lost is up to chance, unless kills are for a task. */
    assert_true(fates[DONE] && fates[NEVER_STARTED] && fates[RECLAIMED]);
    assert_int_equal(kills > 0, kill_for_a_task);
    free(r);
}

static void every_task_has_one_fate_when_its_worker_dies_anywhere(void **state)
{
    (void)state;
    rounds(false, ROUNDS);
}

static void kill_for_a_task_hits_that_task_and_no_other(void **state)
{
    (void)state;
    rounds(true, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_has_one_fate_when_its_worker_dies_anywhere),
        cmocka_unit_test(kill_for_a_task_hits_that_task_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
