/* Do threads, of one client and of many, keep what a lock guards in order? To be run under ThreadSanitizer, which knows
 * whether each release happens before the next take. */
#include "tests/unit/sync/support.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS 8u

struct team {
    struct page page, other;
    unsigned rounds;
    uint64_t plain; /* guarded; no atomic, so that a race shows */
    uint64_t shares[THREADS];
    _Atomic uint32_t inside, crowd;
};

struct member {
    struct team *team;
    uint32_t number;
    pthread_t thread;
    int result;
};

static void run(struct team *team, void *(*body)(void *member))
{
    struct member members[THREADS];

    for (uint32_t i = 0; i < THREADS; i++) {
        members[i] = (struct member){.team = team, .number = i};
        assert_int_equal(pthread_create(&members[i].thread, NULL, body, &members[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
        assert_int_equal(members[i].result, 0);
    }
}

static void *count_under_lock(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    /* Two threads of each client. */
    struct sync_user user = page_user(&team->page, 1 + me->number / 2);

    for (unsigned i = 0; i < team->rounds && me->result == 0; i++) {
        me->result = sync_take(&user, -1);
        team->plain++;
        team->shares[me->number]++;
        if (me->result == 0)
            me->result = sync_lock_release(&user);
    }
    return NULL;
}

static void a_lock_guards_plain_memory(void **state)
{
    struct team team = {.page = page_new(MPOOL_KIND_LOCK, 0, 0), .rounds = 20000};
    (void)state;

    run(&team, count_under_lock);
    assert_int_equal(team.plain, THREADS * team.rounds);
    struct sync_snapshot snapshot;
    sync_inspect(team.page.area, team.page.kind, 0, &snapshot);
    assert_int_equal(snapshot.fence, THREADS * team.rounds);
    page_free(&team.page);
}

/* The first takes and releases until all others have had it as often as they want. */
static void *hog_or_guest(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user user = page_user(&team->page, 1 + me->number);

    while (me->result == 0 &&
           (me->number == 0 ? atomic_load(&team->inside) < THREADS - 1 : team->shares[me->number] < team->rounds)) {
        me->result = sync_take(&user, -1);
        team->shares[me->number]++;
        if (me->result == 0)
            me->result = sync_lock_release(&user);
    }
    if (me->number)
        atomic_fetch_add(&team->inside, 1);
    return NULL;
}

static void one_that_takes_without_a_pause_lets_others_in(void **state)
{
    struct team team = {.page = page_new(MPOOL_KIND_LOCK, 0, 0), .rounds = 50};
    (void)state;

    run(&team, hog_or_guest);
    page_free(&team.page);
}

static void *count_under_rlock(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user user = page_user(&team->page, 1 + me->number / 4);

    for (unsigned i = 0; i < team->rounds && me->result == 0; i++) {
        unsigned depth = 1 + i % 3;
        for (unsigned d = 0; d < depth; d++)
            me->result |= sync_rlock_take(&user, -1);
        team->plain++;
        for (unsigned d = 0; d < depth; d++)
            me->result |= sync_rlock_release(&user);
    }
    return NULL;
}

static void an_rlock_guards_plain_memory(void **state)
{
    struct team team = {.page = page_new(MPOOL_KIND_RLOCK, 0, 0), .rounds = 10000};
    (void)state;

    run(&team, count_under_rlock);
    assert_int_equal(team.plain, THREADS * team.rounds);
    page_free(&team.page);
}

static void *pass_semaphore(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user user = page_user(&team->page, 1 + me->number);

    for (unsigned i = 0; i < team->rounds && me->result == 0; i++) {
        me->result = sync_take(&user, -1);
        if (atomic_fetch_add(&team->inside, 1) >= team->page.capacity)
            atomic_store(&team->crowd, 1);
        if (i % 64 == 0)
            sched_yield();
        atomic_fetch_sub(&team->inside, 1);
        if (me->result == 0)
            me->result = sync_semaphore_release(&user);
    }
    return NULL;
}

static void a_semaphore_lets_in_no_more_than_it_may(void **state)
{
    struct team team = {.page = page_new(MPOOL_KIND_BOUNDED_SEMAPHORE, 3, 3), .rounds = 20000};
    struct sync_user user = page_user(&team.page, 1);
    (void)state;

    run(&team, pass_semaphore);
    assert_int_equal(team.crowd, 0);
    assert_int_equal(sync_semaphore_value(&user), 3);
    page_free(&team.page);
}

/* Half of them give what the other half takes. */
static void *hand_over(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user user = page_user(&team->page, 1 + me->number);

    for (unsigned i = 0; i < team->rounds && me->result == 0; i++) {
        if (me->number % 2) {
            me->result = sync_take(&user, -1);
            continue;
        }
        do
            me->result = sync_semaphore_release(&user);
        while (me->result == -EOVERFLOW && sched_yield() == 0);
    }
    return NULL;
}

static void what_producers_release_consumers_take(void **state)
{
    struct team team = {.page = page_new(MPOOL_KIND_SEMAPHORE, SYNC_SLOTS, 0), .rounds = 5000};
    struct sync_user user = page_user(&team.page, 1);
    (void)state;

    run(&team, hand_over);
    assert_int_equal(sync_semaphore_value(&user), 0);
    page_free(&team.page);
}

/* A buffer of one, guarded by a condition: plain is what is in it. */
static void *through_a_condition(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user condition = page_user(&team->page, 1 + me->number), lock = page_user(&team->other, 1 + me->number);
    bool producer = me->number % 2;

    for (unsigned i = 0; i < team->rounds && me->result == 0; i++) {
        me->result = sync_take(&lock, -1);
        while ((team->plain != 0) == producer && me->result == 0)
            me->result = sync_condition_wait(&condition, &lock, false, -1);
        team->plain = producer ? i + 1 : 0;
        team->shares[me->number]++;
        if (me->result == 0)
            me->result = sync_condition_notify(&condition, &lock, false, UINT32_MAX);
        if (me->result == 0)
            me->result = sync_lock_release(&lock);
    }
    return NULL;
}

static void a_condition_on_another_lock_hands_over_every_item(void **state)
{
    struct team team = {
        .page = page_new(MPOOL_KIND_CONDITION, 0, 0), .other = page_new(MPOOL_KIND_LOCK, 0, 0), .rounds = 1000};
    (void)state;

    run(&team, through_a_condition);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(team.shares[i], team.rounds);
    assert_int_equal(team.plain, 0);
    page_free(&team.page);
    page_free(&team.other);
}

/* Between two barriers everybody reads what all wrote before the first. */
static void *in_step(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user user = page_user(&team->page, 1 + me->number / 2);

    for (unsigned i = 1; i <= team->rounds && me->result == 0; i++) {
        team->shares[me->number] = i;
        int place = sync_barrier_wait(&user, -1);
        for (uint32_t other = 0; other < THREADS; other++)
            if (team->shares[other] != i)
                me->result = -EBADMSG;
        if (place == 0)
            team->plain++; /* one of them, each time */
        if (place < 0 || sync_barrier_wait(&user, -1) < 0)
            me->result = -EPIPE;
    }
    return NULL;
}

static void a_barrier_keeps_all_in_step(void **state)
{
    struct team team = {.page = page_new(MPOOL_KIND_BARRIER, THREADS, 0), .rounds = 1000};
    (void)state;

    run(&team, in_step);
    assert_int_equal(team.plain, team.rounds);
    page_free(&team.page);
}

/* The first sets for all others what they wait for, and they count themselves. */
static void *by_events(void *argument)
{
    struct member *me = argument;
    struct team *team = me->team;
    struct sync_user event = page_user(&team->page, 1 + me->number), barrier = page_user(&team->other, 1 + me->number);

    for (unsigned i = 1; i <= team->rounds && me->result == 0; i++) {
        if (me->number == 0) {
            team->plain = i;
            sync_event_set(&event);
        } else {
            me->result = sync_event_wait(&event, -1);
            if (team->plain != i)
                me->result = -EBADMSG;
        }
        if (sync_barrier_wait(&barrier, -1) < 0)
            me->result = -EPIPE;
        if (me->number == 0)
            sync_event_clear(&event);
        if (sync_barrier_wait(&barrier, -1) < 0)
            me->result = -EPIPE;
    }
    return NULL;
}

static void an_event_shows_what_was_written_before_it(void **state)
{
    struct team team = {
        .page = page_new(MPOOL_KIND_EVENT, 0, 0), .other = page_new(MPOOL_KIND_BARRIER, THREADS, 0), .rounds = 1000};
    (void)state;

    run(&team, by_events);
    page_free(&team.page);
    page_free(&team.other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_guards_plain_memory),
        cmocka_unit_test(one_that_takes_without_a_pause_lets_others_in),
        cmocka_unit_test(an_rlock_guards_plain_memory),
        cmocka_unit_test(a_semaphore_lets_in_no_more_than_it_may),
        cmocka_unit_test(what_producers_release_consumers_take),
        cmocka_unit_test(a_condition_on_another_lock_hands_over_every_item),
        cmocka_unit_test(a_barrier_keeps_all_in_step),
        cmocka_unit_test(an_event_shows_what_was_written_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
