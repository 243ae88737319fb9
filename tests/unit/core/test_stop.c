/* Cancel, time-out, grace, close and stop. */
#include "tests/unit/core/support.h"

static void a_waiting_task_is_cancelled_at_once(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1}, false);
    struct job *j = desk_submit(d);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    assert_int_equal(j->state, MPOOL_STATE_CANCELLED);
    assert_int_equal(j->why, CORE_WHY_CANCEL);
    assert_null(j->core.worker);
}

static void a_placed_task_that_is_not_claimed_is_cancelled_at_once(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_submit(d);
    desk_run(d);
    core_cancel(&j->core, CORE_WHY_SHUTDOWN, d->now_ns);
    assert_int_equal(j->state, MPOOL_STATE_SHUTDOWN);
    assert_int_equal(d->hands[0].core.state, CORE_WORKER_IDLE);
    desk_run(d);
}

static struct job *running(struct desk *d, uint32_t grace_ms, uint32_t timeout_ms)
{
    desk_workers(d, 1);
    struct job *j = desk_job(d);
    j->core.grace_ms = grace_ms;
    j->core.timeout_ms = timeout_ms;
    j->core.attempts = 3;
    desk_submit_job(d, j);
    desk_run(d);
    desk_claim(j);
    return j;
}

static void a_running_task_without_grace_is_killed_by_its_cancel(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 0, 0);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    assert_true(j->hand->killed && j->core.killing);
    assert_int_equal(j->told, 0);
    assert_int_equal(j->finished, 0);
    desk_run(d);
    desk_die(d, j->hand);
    assert_int_equal(j->state, MPOOL_STATE_CANCELLED); /* not retried, whatever its attempts */
    assert_int_equal(j->core.attempt, 1);
}

static void a_running_task_with_grace_is_told_and_then_killed(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 50, 0);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns); /* idempotent */
    assert_int_equal(j->told, 1);
    desk_pass(d, 50 * MS - 1);
    assert_false(j->hand->killed);
    desk_pass(d, 1);
    assert_true(j->hand->killed);
    desk_die(d, j->hand);
    assert_int_equal(j->state, MPOOL_STATE_CANCELLED);
}

static void a_result_wins_over_a_stop_under_way(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 50, 0);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    desk_end(d, j, CORE_RESULT_OK, US);
    assert_int_equal(j->state, MPOOL_STATE_DONE);
    assert_int_equal(j->core.stop, CORE_WHY_CANCEL);
    desk_pass(d, S);
    assert_false(j->hand->killed);
}

static void a_retryable_failure_under_a_stop_is_not_retried(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 50, 0);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    desk_end(d, j, CORE_RESULT_FAILED_RETRYABLE, US);
    assert_int_equal(j->state, MPOOL_STATE_FAILED);
}

static void a_task_that_had_ended_is_not_killed_for(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 0, 0);
    j->claim = CLAIM_DONE; /* and not collected yet */
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    assert_int_equal(j->kill_wishes, 1);
    assert_false(j->hand->killed);
    desk_pass(d, S);
    assert_int_equal(j->kill_wishes, 1);
    core_task_done(&j->core, CORE_RESULT_OK, US, NULL, d->now_ns);
    assert_int_equal(j->state, MPOOL_STATE_DONE);
}

static void a_time_out_counts_from_when_the_task_became_head(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    d->function.mean_ns = MS; /* two in a lane */
    struct job *first = desk_submit(d), *second = desk_job(d);
    second->core.timeout_ms = 10;
    desk_submit_job(d, second);
    desk_run(d);
    assert_int_equal(second->placed, 1);
    desk_claim(first);
    desk_pass(d, MS);
    desk_end(d, first, CORE_RESULT_OK, 0);
    desk_claim(second);
    desk_run(d);
    desk_pass(d, 10 * MS - 1);
    assert_int_equal(second->kill_wishes, 0);
    desk_pass(d, 1);
    assert_true(second->hand->killed);
    desk_die(d, second->hand);
    assert_int_equal(second->state, MPOOL_STATE_TIMEOUT);
    assert_int_equal(second->why, CORE_WHY_TIMEOUT);
}

static void a_time_out_is_final_whatever_the_attempts(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 0, 10);
    desk_pass(d, 10 * MS);
    desk_die(d, j->hand);
    assert_int_equal(j->state, MPOOL_STATE_TIMEOUT);
}

static void a_time_out_with_grace_tells_first(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 5, 10);
    desk_pass(d, 10 * MS);
    assert_int_equal(j->told, 1);
    assert_false(j->hand->killed);
    desk_pass(d, 5 * MS);
    assert_true(j->hand->killed);
}

static void a_time_out_of_a_head_that_was_never_claimed_moves_it_without_an_attempt(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_job(d);
    j->core.timeout_ms = 30;
    desk_submit_job(d, j);
    desk_run(d);
    desk_pass(d, 30 * MS);
    assert_int_equal(j->core.state, MPOOL_STATE_QUEUED);
    assert_int_equal(j->core.attempt, 0);
    assert_int_equal(d->hands[0].core.state, CORE_WORKER_STUCK);
    desk_pass(d, 101 * MS);
    assert_int_equal(j->placed, 2);
}

static void a_short_time_out_does_not_make_a_sleepy_worker_stuck(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_job(d);
    j->core.timeout_ms = 2;
    desk_submit_job(d, j);
    desk_run(d);
    desk_pass(d, 5 * MS);
    assert_int_equal(d->hands[0].core.state, CORE_WORKER_BUSY);
    desk_claim(j);
    desk_pass(d, 4 * MS);
    assert_true(d->hands[0].killed);
}

static void those_behind_a_killed_task_do_not_wait_for_the_death(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    for (int i = 0; i < 4; i++)
        desk_submit(d);
    desk_run(d);
    struct job *head = &d->jobs[0];
    desk_claim(head);
    core_cancel(&head->core, CORE_WHY_CANCEL, d->now_ns);
    assert_true(head->hand->killed);
    assert_int_equal(head->hand->core.placed, 1);
    desk_run(d);
}

static struct job *victim, *successor;

static void cancel_the_other(struct desk *d, struct job *j)
{
    (void)j;
    d->on_finish = NULL;
    core_cancel(&victim->core, CORE_WHY_CANCEL, d->now_ns);
    successor = desk_submit(d);
}

static void finish_may_cancel_and_submit(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_submit(d);
    victim = desk_submit(d);
    desk_run(d);
    desk_claim(j);
    d->on_finish = cancel_the_other;
    desk_die(d, &d->hands[0]);
    assert_int_equal(j->state, MPOOL_STATE_LOST);
    assert_int_equal(victim->state, MPOOL_STATE_CANCELLED);
    assert_int_equal(successor->core.state, MPOOL_STATE_QUEUED);
    desk_run(d);
}

static void a_closed_pool_runs_its_queue_then_sends_its_workers_home(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *a = desk_submit(d), *b = desk_submit(d), *c = desk_submit(d);
    desk_run(d);
    core_pool_close(d->pool);
    desk_run(d);
    desk_end(d, a, CORE_RESULT_OK, US);
    desk_run(d);
    desk_end(d, b, CORE_RESULT_OK, US);
    desk_run(d);
    assert_false(d->hands[0].retired);
    desk_end(d, c, CORE_RESULT_OK, US);
    desk_run(d);
    assert_true(d->hands[0].retired);
    assert_int_equal(d->empty, 0);
    desk_die(d, &d->hands[0]);
    desk_run(d);
    assert_int_equal(d->empty, 1);
    desk_run(d);
    assert_int_equal(d->empty, 1);
    assert_int_equal(d->asked, 0);
}

static void a_closed_pool_that_loses_its_worker_gets_another_for_the_rest(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *j = desk_job(d);
    j->core.attempts = 2;
    desk_submit_job(d, j);
    desk_run(d);
    core_pool_close(d->pool);
    desk_run(d);
    desk_claim(j);
    desk_die(d, &d->hands[0]);
    desk_run(d);
    assert_int_equal(d->asked, 1);
    desk_ready_one(d);
    assert_int_equal(j->placed, 2);
}

static void stop_answers_what_waits_and_leaves_the_running_their_grace(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    struct job *a = desk_submit(d), *ready = desk_submit(d), *queued = desk_submit(d);
    desk_run(d);
    desk_claim(a);
    core_stop(d->core, 1000, d->now_ns);
    assert_int_equal(ready->state, MPOOL_STATE_SHUTDOWN);
    assert_int_equal(queued->state, MPOOL_STATE_SHUTDOWN);
    assert_int_equal(a->finished, 0);
    assert_int_equal(a->told, 0); /* it may finish */
    desk_run(d);
    desk_pass(d, 999 * MS);
    assert_false(a->hand->killed);
    desk_pass(d, MS);
    assert_true(a->hand->killed);
    desk_die(d, a->hand);
    assert_int_equal(a->state, MPOOL_STATE_SHUTDOWN);
    desk_run(d);
    assert_true(core_is_empty(d->core));
}

static void a_second_stop_shortens_the_grace_and_never_lengthens_it(void **state)
{
    struct desk *d = *state;
    struct job *j = running(d, 0, 0);
    core_stop(d->core, 10000, d->now_ns);
    core_stop(d->core, 20000, d->now_ns);
    desk_run(d);
    desk_pass(d, S);
    core_stop(d->core, 0, d->now_ns);
    assert_true(j->hand->killed);
}

static void a_stop_retires_idle_workers_at_once_and_busy_ones_as_they_empty(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 2);
    struct job *j = desk_submit(d);
    desk_run(d);
    desk_claim(j);
    struct hand *idle = j->hand == &d->hands[0] ? &d->hands[1] : &d->hands[0];
    core_stop(d->core, 1000, d->now_ns);
    assert_true(idle->retired);
    assert_false(j->hand->retired);
    desk_run(d);
    desk_end(d, j, CORE_RESULT_OK, US);
    assert_true(j->hand->retired);
    assert_int_equal(j->state, MPOOL_STATE_DONE);
}

static void what_is_submitted_after_a_stop_is_answered_by_the_next_pass(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    core_stop(d->core, 1000, d->now_ns);
    desk_run(d);
    struct job *j = desk_submit(d);
    assert_int_equal(j->finished, 0);
    desk_run(d);
    assert_int_equal(j->state, MPOOL_STATE_SHUTDOWN);
}

static void a_worker_that_arrives_after_the_stop_is_killed(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1}, true);
    core_stop(d->core, 1000, d->now_ns);
    struct hand *h = desk_born(d);
    assert_false(h->killed);
    desk_run(d);
    assert_true(h->killed);
}

static void a_worker_that_does_not_go_is_killed(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    core_stop(d->core, 60000, d->now_ns);
    desk_run(d);
    assert_true(d->hands[0].retired);
    desk_pass(d, 5 * S - 1);
    assert_false(d->hands[0].killed);
    desk_pass(d, 1);
    assert_true(d->hands[0].killed);
    desk_pass(d, 5 * S);
    assert_int_equal(d->hands[0].kills, 2); /* until somebody says that it is dead */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_waiting_task_is_cancelled_at_once),
        TEST(a_placed_task_that_is_not_claimed_is_cancelled_at_once),
        TEST(a_running_task_without_grace_is_killed_by_its_cancel),
        TEST(a_running_task_with_grace_is_told_and_then_killed),
        TEST(a_result_wins_over_a_stop_under_way),
        TEST(a_retryable_failure_under_a_stop_is_not_retried),
        TEST(a_task_that_had_ended_is_not_killed_for),
        TEST(a_time_out_counts_from_when_the_task_became_head),
        TEST(a_time_out_is_final_whatever_the_attempts),
        TEST(a_time_out_with_grace_tells_first),
        TEST(a_time_out_of_a_head_that_was_never_claimed_moves_it_without_an_attempt),
        TEST(a_short_time_out_does_not_make_a_sleepy_worker_stuck),
        TEST(those_behind_a_killed_task_do_not_wait_for_the_death),
        TEST(finish_may_cancel_and_submit),
        TEST(a_closed_pool_runs_its_queue_then_sends_its_workers_home),
        TEST(a_closed_pool_that_loses_its_worker_gets_another_for_the_rest),
        TEST(stop_answers_what_waits_and_leaves_the_running_their_grace),
        TEST(a_second_stop_shortens_the_grace_and_never_lengthens_it),
        TEST(a_stop_retires_idle_workers_at_once_and_busy_ones_as_they_empty),
        TEST(what_is_submitted_after_a_stop_is_answered_by_the_next_pass),
        TEST(a_worker_that_arrives_after_the_stop_is_killed),
        TEST(a_worker_that_does_not_go_is_killed),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
