/* What becomes of a task whose run has ended badly. */
#include "tests/unit/core/support.h"

#include "daemon/core/core_private.h"

static void the_backoff_is_nothing_then_100_ms_doubled_up_to_10_s(void **state)
{
    static const uint64_t ms[] = {0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    (void)state;
    for (uint32_t i = 1; i < sizeof ms / sizeof *ms; i++)
        assert_true(core_retry_delay_ns(i) == ms[i] * MS);
    assert_true(core_retry_delay_ns(UINT32_MAX) == 10 * S);
}

static struct job *placed(struct desk *d, uint32_t attempts)
{
    desk_workers(d, 1);
    struct job *j = desk_job(d);
    j->core.attempts = attempts;
    desk_submit_job(d, j);
    desk_run(d);
    return j;
}

/* The worker dies in the run, and another one is there. */
static void lose(struct desk *d, struct job *j)
{
    desk_claim(j);
    desk_die(d, j->hand);
    desk_run(d);
    desk_ready_one(d);
}

static void a_task_whose_worker_dies_is_lost_when_it_may_not_run_again(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 1);
    lose(d, j);
    assert_int_equal(j->state, MPOOL_STATE_LOST);
    assert_int_equal(j->why, CORE_WHY_LOST);
    assert_int_equal(j->core.attempt, 1);
    assert_int_equal(j->placed, 1);
}

static void a_lost_run_is_repeated_at_once_then_after_100_ms(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 3);
    lose(d, j);
    assert_int_equal(j->placed, 2);
    lose(d, j);
    assert_int_equal(j->core.state, MPOOL_STATE_BACKOFF);
    struct core_pool_counts counts;
    core_pool_counts(d->pool, &counts);
    assert_int_equal(counts.queued, 1);
    desk_pass(d, 100 * MS - 1);
    assert_int_equal(j->placed, 2);
    desk_pass(d, 1);
    assert_int_equal(j->placed, 3);
    lose(d, j);
    assert_int_equal(j->state, MPOOL_STATE_LOST);
    assert_int_equal(j->core.attempt, 3);
}

static void a_retryable_failure_is_repeated_and_fails_at_the_last_attempt(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 2);
    desk_end(d, j, CORE_RESULT_FAILED_RETRYABLE, US);
    assert_int_equal(j->finished, 0);
    desk_run(d);
    assert_int_equal(j->placed, 2);
    desk_end(d, j, CORE_RESULT_FAILED_RETRYABLE, US);
    assert_int_equal(j->state, MPOOL_STATE_FAILED);
    assert_int_equal(j->why, CORE_WHY_RESULT);
}

static void a_plain_failure_is_not_repeated(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 5);
    desk_end(d, j, CORE_RESULT_FAILED, US);
    assert_int_equal(j->state, MPOOL_STATE_FAILED);
    assert_int_equal(j->core.attempt, 1);
}

static void a_task_in_backoff_can_be_cancelled(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 3);
    desk_end(d, j, CORE_RESULT_FAILED_RETRYABLE, US);
    desk_run(d);
    desk_end(d, j, CORE_RESULT_FAILED_RETRYABLE, US);
    assert_int_equal(j->core.state, MPOOL_STATE_BACKOFF);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    assert_int_equal(j->state, MPOOL_STATE_CANCELLED);
    desk_run(d);
    assert_true(core_next_ns(d->core) == UINT64_MAX);
}

static void what_lay_behind_a_dead_head_goes_to_the_front_in_order_and_counts_no_attempt(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    d->function.mean_ns = 100 * US;
    for (int i = 0; i < 6; i++)
        desk_submit(d);
    desk_run(d);
    assert_int_equal(d->hands[0].core.placed, 4);
    desk_claim(&d->jobs[0]);
    desk_die(d, &d->hands[0]);
    assert_int_equal(d->jobs[0].state, MPOOL_STATE_LOST);
    desk_run(d);
    struct hand *next = desk_ready_one(d);
    struct core_task *task = TAILQ_FIRST(&next->core.lane);
    for (int i = 1; i <= 4; i++, task = TAILQ_NEXT(task, link)) {
        assert_ptr_equal(task, &d->jobs[i].core);
        assert_int_equal(task->attempt, 0);
    }
}

static void a_head_that_was_not_claimed_goes_back_when_its_worker_dies(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 1);
    desk_die(d, j->hand);
    assert_int_equal(j->core.state, MPOOL_STATE_QUEUED);
    assert_int_equal(j->core.attempt, 0);
    desk_run(d);
    desk_spawn_fails(d);
}

static void a_run_lost_while_stopping_is_not_repeated(void **state)
{
    struct desk *d = *state;
    struct job *j = placed(d, 3);
    desk_claim(j);
    core_stop(d->core, 1000, d->now_ns);
    desk_run(d);
    desk_die(d, j->hand);
    assert_int_equal(j->state, MPOOL_STATE_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_backoff_is_nothing_then_100_ms_doubled_up_to_10_s),
        TEST(a_task_whose_worker_dies_is_lost_when_it_may_not_run_again),
        TEST(a_lost_run_is_repeated_at_once_then_after_100_ms),
        TEST(a_retryable_failure_is_repeated_and_fails_at_the_last_attempt),
        TEST(a_plain_failure_is_not_repeated),
        TEST(a_task_in_backoff_can_be_cancelled),
        TEST(what_lay_behind_a_dead_head_goes_to_the_front_in_order_and_counts_no_attempt),
        TEST(a_head_that_was_not_claimed_goes_back_when_its_worker_dies),
        TEST(a_run_lost_while_stopping_is_not_repeated),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
