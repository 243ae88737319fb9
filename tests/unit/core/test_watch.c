/* Taking back what waits in vain, and workers that do not claim. */
#include "tests/unit/core/support.h"

static struct hand *other(struct desk *d, const struct hand *h)
{
    return h == &d->hands[0] ? &d->hands[1] : &d->hands[0];
}

/* Two workers; one claimed a long task and has `behind` more, the other one has one and is about to end it. */
static struct job *lopsided(struct desk *d, unsigned behind)
{
    desk_workers(d, 2);
    d->function.mean_ns = 20 * US;
    for (unsigned i = 0; i < 2 * (behind + 1); i++)
        desk_submit(d);
    desk_run(d);
    struct hand *h = d->jobs[0].hand;
    desk_claim(&d->jobs[0]);
    for (unsigned i = 1; i < d->job_count; i++)
        if (d->jobs[i].hand != h)
            desk_end(d, &d->jobs[i], CORE_RESULT_OK, 0);
    return &d->jobs[0];
}

static void an_idle_worker_gets_half_of_what_lies_behind_a_slow_head(void **state)
{
    struct desk *d = *state;
    struct job *head = lopsided(d, 8);
    d->now_ns += 101 * US;
    desk_run(d);
    assert_int_equal(head->hand->core.placed, 5); /* the head and half of eight */
    assert_int_equal(other(d, head->hand)->core.placed, 4);
}

static void the_tail_is_taken_and_order_is_kept(void **state)
{
    struct desk *d = *state;
    struct job *head = lopsided(d, 4);
    d->now_ns += 101 * US;
    desk_run(d);
    struct core_task *t, *before = NULL;
    TAILQ_FOREACH (t, &other(d, head->hand)->core.lane, link) {
        assert_true(!before || before < t); /* jobs lie in an array in the order of their submission */
        before = t;
    }
    TAILQ_FOREACH (t, &head->hand->core.lane, link)
        assert_true(t < TAILQ_FIRST(&other(d, head->hand)->core.lane));
}

static void nothing_is_taken_back_behind_a_head_that_has_just_begun(void **state)
{
    struct desk *d = *state;
    struct job *head = lopsided(d, 4);
    d->now_ns += 100 * US;
    desk_run(d);
    assert_int_equal(head->hand->core.placed, 5);
}

static void the_watch_takes_back_within_a_millisecond_without_any_event(void **state)
{
    struct desk *d = *state;
    struct job *head = lopsided(d, 1);
    desk_run(d);
    assert_int_equal(head->hand->core.placed, 2);
    desk_pass(d, MS);
    assert_int_equal(head->hand->core.placed, 1);
    assert_int_equal(other(d, head->hand)->core.placed, 1);
}

/* One worker with a head and one task behind it, which is all that it may have, and another one in the queue. */
static void two_and_one(struct desk *d)
{
    desk_workers(d, 1);
    d->function.mean_ns = MS;
    for (int i = 0; i < 3; i++)
        desk_submit(d);
    desk_run(d);
    assert_int_equal(d->hands[0].core.placed, 2);
    desk_claim(&d->jobs[0]);
}

static void nothing_is_taken_back_from_behind_a_usual_head_while_no_worker_is_idle(void **state)
{
    struct desk *d = *state;
    two_and_one(d);
    desk_pass(d, 2 * MS - 1);
    assert_int_equal(d->hands[0].core.placed, 2);
    assert_int_equal(d->jobs[1].placed, 1);
}

static void nothing_waits_behind_a_slow_head_though_no_worker_is_idle(void **state)
{
    struct desk *d = *state;
    two_and_one(d);
    desk_pass(d, 3 * MS);
    assert_int_equal(d->hands[0].core.placed, 1);
    assert_int_equal(d->jobs[1].claim, CLAIM_RECLAIMED);
    desk_pass(d, S); /* and nothing is placed there again */
    assert_int_equal(d->jobs[1].placed, 1);
    desk_end(d, &d->jobs[0], CORE_RESULT_OK, 0);
    desk_run(d);
    assert_int_equal(d->jobs[1].placed, 2); /* in its order */
    assert_ptr_equal(TAILQ_FIRST(&d->hands[0].core.lane), &d->jobs[1].core);
}

static void nothing_is_placed_behind_a_head_that_has_become_slow(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    d->function.mean_ns = 5 * US;
    struct core_function slow = {.mean_ns = 5 * MS, .runs = 1};
    struct job *head = desk_submit(d), *other = desk_job(d);
    desk_run(d);
    other->core.function = &slow; /* so that no worker is idle */
    desk_submit_job(d, other);
    desk_run(d);
    desk_claim(head);
    desk_claim(other);
    desk_pass(d, 2 * MS);
    struct job *next = desk_submit(d);
    desk_pass(d, S);
    assert_int_equal(next->placed, 0);
    desk_end(d, other, CORE_RESULT_OK, 0);
    desk_run(d);
    assert_ptr_equal(next->hand, other->hand);
}

static void no_short_task_waits_for_a_long_one_at_any_depth(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    d->function.mean_ns = 5 * US; /* all of one function: which one is long cannot be known */
    for (int i = 0; i < 200; i++)
        desk_submit(d);
    desk_run(d);
    struct job *one = &d->jobs[0];
    struct hand *stuck = one->hand;
    desk_claim(one);
    for (int turn = 0; turn < 1000; turn++) {
        struct core_task *task = NULL;
        for (unsigned i = 0; i < d->hand_count; i++)
            if (&d->hands[i] != stuck && (task = TAILQ_FIRST(&d->hands[i].core.lane)))
                desk_end(d, desk_job_of(task), CORE_RESULT_OK, 50 * US);
        desk_pass(d, 50 * US);
        if (!task)
            break;
    }
    for (unsigned i = 1; i < 200; i++)
        assert_int_equal(d->jobs[i].finished, 1);
    assert_int_equal(one->finished, 0);
}

static void an_idle_pool_has_no_timer(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    assert_true(core_next_ns(d->core) == UINT64_MAX);
    struct job *j = desk_submit(d);
    desk_run(d);
    assert_true(core_next_ns(d->core) <= d->now_ns + 20 * MS);
    desk_end(d, j, CORE_RESULT_OK, US);
    desk_run(d);
    assert_true(core_next_ns(d->core) == UINT64_MAX);
}

static void a_long_run_that_is_known_to_be_claimed_wakes_nobody(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_claim(j);
    desk_pass(d, 50 * MS);
    assert_true(core_next_ns(d->core) == UINT64_MAX);
}

static void a_head_unclaimed_for_20_ms_goes_to_an_idle_worker(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct job *j = desk_submit(d);
    desk_run(d);
    struct hand *stuck = j->hand;
    desk_pass(d, 19 * MS);
    assert_ptr_equal(j->hand, stuck);
    desk_pass(d, 21 * MS);
    assert_ptr_equal(j->hand, other(d, stuck));
    assert_int_equal(stuck->core.state, CORE_WORKER_STUCK);
    assert_int_equal(j->core.attempt, 0);
    assert_false(stuck->killed);
}

static void a_head_unclaimed_stays_where_it_is_while_nobody_is_idle(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_pass(d, 4900 * MS);
    assert_int_equal(j->placed, 1);
    assert_int_equal(d->hands[0].core.state, CORE_WORKER_BUSY);
}

static void a_head_unclaimed_for_5_s_costs_its_worker_the_life_in_any_case(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_pass(d, 5021 * MS);
    assert_true(d->hands[0].killed);
    assert_int_equal(j->core.state, MPOOL_STATE_QUEUED);
    assert_int_equal(j->core.attempt, 0);
    desk_die(d, &d->hands[0]);
    desk_run(d);
    desk_ready_one(d);
    assert_int_equal(j->placed, 2);
}

/* Lets the stopped worker be tried, until it is found not to claim. */
static void strike(struct desk *d, struct hand *stopped)
{
    struct job *busy = NULL;
    for (int tries = 0; tries < 3; tries++) {
        struct job *j = desk_submit(d);
        desk_run(d);
        if (j->hand == stopped)
            break;
        desk_claim(j);
        busy = j;
    }
    if (busy)
        desk_end(d, busy, CORE_RESULT_OK, 20 * US);
    desk_run(d);
    assert_int_equal(stopped->core.placed, 1);
    desk_pass(d, 41 * MS);
    assert_int_equal(stopped->core.placed, 0);
    for (unsigned i = 0; i < d->job_count; i++)
        if (!d->jobs[i].finished)
            desk_end(d, &d->jobs[i], CORE_RESULT_OK, 20 * US);
    desk_run(d);
}

static void a_stuck_worker_rests_100_ms_then_1_s_and_is_killed_at_the_third_strike(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct hand *stopped = &d->hands[0];
    strike(d, stopped);
    assert_int_equal(stopped->core.state, CORE_WORKER_STUCK);
    desk_pass(d, 101 * MS);
    assert_int_equal(stopped->core.state, CORE_WORKER_IDLE);
    strike(d, stopped);
    desk_pass(d, 900 * MS);
    assert_int_equal(stopped->core.state, CORE_WORKER_STUCK);
    desk_pass(d, 101 * MS);
    assert_int_equal(stopped->core.state, CORE_WORKER_IDLE);
    assert_false(stopped->killed);
    strike(d, stopped);
    assert_true(stopped->killed);
    assert_int_equal(stopped->core.state, CORE_WORKER_DYING);
}

static void any_claim_clears_the_strikes(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct hand *stopped = &d->hands[0];
    strike(d, stopped);
    desk_pass(d, 101 * MS);
    assert_int_equal(stopped->core.strikes, 1);
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    desk_claim(a);
    desk_claim(b);
    desk_pass(d, 41 * MS);
    assert_int_equal(stopped->core.strikes, 0);
}

static void a_head_that_is_claimed_in_the_last_moment_stays(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct job *j = desk_submit(d);
    desk_run(d);
    struct hand *h = j->hand;
    d->now_ns += 30 * MS;
    desk_claim(j); /* just before the watch looks */
    desk_run(d);
    assert_ptr_equal(j->core.worker, &h->core);
    assert_int_equal(h->core.state, CORE_WORKER_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_worker_gets_half_of_what_lies_behind_a_slow_head),
        TEST(the_tail_is_taken_and_order_is_kept),
        TEST(nothing_is_taken_back_behind_a_head_that_has_just_begun),
        TEST(the_watch_takes_back_within_a_millisecond_without_any_event),
        TEST(nothing_is_taken_back_from_behind_a_usual_head_while_no_worker_is_idle),
        TEST(nothing_waits_behind_a_slow_head_though_no_worker_is_idle),
        TEST(nothing_is_placed_behind_a_head_that_has_become_slow),
        TEST(no_short_task_waits_for_a_long_one_at_any_depth),
        TEST(an_idle_pool_has_no_timer),
        TEST(a_long_run_that_is_known_to_be_claimed_wakes_nobody),
        TEST(a_head_unclaimed_for_20_ms_goes_to_an_idle_worker),
        TEST(a_head_unclaimed_stays_where_it_is_while_nobody_is_idle),
        TEST(a_head_unclaimed_for_5_s_costs_its_worker_the_life_in_any_case),
        TEST(a_stuck_worker_rests_100_ms_then_1_s_and_is_killed_at_the_third_strike),
        TEST(any_claim_clears_the_strikes),
        TEST(a_head_that_is_claimed_in_the_last_moment_stays),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
