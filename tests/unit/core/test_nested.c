/* Workers that wait for other tasks, and workers that are made for one task. */
#include "tests/unit/core/support.h"

static void a_waiting_worker_leaves_its_place_to_another_one(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_nested = 2}, true);
    d->function.mean_ns = MS; /* two in a lane */
    struct hand *outer = desk_ready_one(d);
    struct job *parent = desk_submit(d);
    desk_run(d);
    desk_claim(parent);
    struct job *child = desk_submit(d);
    desk_run(d); /* behind the parent, as nobody has said yet that it waits */
    assert_ptr_equal(child->hand, outer);
    assert_int_equal(d->asked, 0);
    assert_true(core_worker_may_wait(&outer->core));
    core_worker_waiting(&outer->core, true, d->now_ns);
    desk_run(d);
    assert_int_equal(child->claim, CLAIM_RECLAIMED);
    assert_int_equal(d->asked, 1);
    struct hand *inner = desk_ready_one(d);
    assert_ptr_equal(child->hand, inner);
    desk_end(d, child, CORE_RESULT_OK, US);
    core_worker_waiting(&outer->core, false, d->now_ns);
    desk_run(d);
    assert_true(inner->core.standby); /* one at work is what the pool may have */
    desk_end(d, parent, CORE_RESULT_OK, US);
    desk_run(d);
    struct job *next = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(next->hand, outer);
}

static void the_one_too_many_stands_by_for_the_next_wait_and_goes_in_time(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_nested = 1, .idle_timeout_ms = 100}, true);
    struct hand *outer = desk_ready_one(d);
    struct job *parent = desk_submit(d);
    desk_run(d);
    desk_claim(parent);
    struct hand *inner = NULL;
    for (int i = 0; i < 3; i++) {
        core_worker_waiting(&outer->core, true, d->now_ns);
        struct job *child = desk_submit(d);
        desk_run(d);
        if (!inner)
            inner = desk_ready_one(d);
        assert_int_equal(d->asked, 0);
        assert_ptr_equal(child->hand, inner);
        desk_end(d, child, CORE_RESULT_OK, US);
        core_worker_waiting(&outer->core, false, d->now_ns);
        desk_run(d);
    }
    desk_pass(d, 100 * MS - 1);
    assert_false(inner->retired);
    desk_pass(d, 1);
    assert_true(inner->retired);
    desk_end(d, parent, CORE_RESULT_OK, US);
}

/* Else it might wait for as long as that head runs, while there is room for one worker more. */
static void what_a_worker_waits_for_is_placed_behind_no_head(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 2, .max = 2, .max_nested = 1}, true);
    struct hand *waiting = desk_ready_one(d);
    desk_ready_one(d);
    struct job *parent = desk_submit(d), *other = desk_submit(d);
    desk_run(d);
    desk_claim(parent);
    desk_claim(other);
    waiting = parent->hand;
    core_worker_waiting(&waiting->core, true, d->now_ns);
    struct job *child = desk_job(d);
    core_submit_ahead(&child->core, d->now_ns);
    desk_run(d);
    assert_int_equal(child->placed, 0);
    assert_int_equal(d->asked, 1);
    struct hand *inner = desk_ready_one(d);
    assert_ptr_equal(child->hand, inner);
    desk_end(d, child, CORE_RESULT_OK, US);
    core_worker_waiting(&waiting->core, false, d->now_ns);
    desk_end(d, parent, CORE_RESULT_OK, US);
    desk_end(d, other, CORE_RESULT_OK, US);
}

static void those_that_are_waited_for_go_first_in_the_order_of_their_coming(void **state)
{
    struct desk *d = *state;
    desk_workers(d, 1);
    d->function.mean_ns = 2 * MS;
    struct job *running = desk_submit(d);
    desk_run(d);
    struct job *back = desk_submit(d), *led = desk_submit(d), *j[4];
    for (int i = 0; i < 3; i++) {
        j[i] = desk_job(d);
        core_submit_ahead(&j[i]->core, d->now_ns);
    }
    core_lead(&led->core, d->now_ns);
    j[3] = led;
    struct job *last = running;
    for (int i = 0; i < 4; i++) {
        desk_end(d, last, CORE_RESULT_OK, 2 * MS);
        desk_run(d);
        assert_int_equal(j[i]->placed, 1);
        last = j[i];
    }
    assert_int_equal(back->placed, 0);
    desk_end(d, last, CORE_RESULT_OK, 2 * MS);
    desk_run(d);
    assert_int_equal(back->placed, 1);
}

static void one_that_lies_behind_a_head_comes_forth_when_it_is_led(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_nested = 1}, true);
    d->function.mean_ns = MS; /* two in a lane */
    struct hand *outer = desk_ready_one(d);
    struct job *parent = desk_submit(d);
    desk_run(d);
    desk_claim(parent);
    core_worker_waiting(&outer->core, true, d->now_ns);
    struct job *head = desk_submit(d);
    desk_run(d);
    struct hand *inner = desk_ready_one(d);
    desk_claim(head);
    struct job *behind = desk_submit(d), *back = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(behind->hand, inner);
    core_lead(&behind->core, d->now_ns);
    desk_run(d);
    assert_int_equal(behind->claim, CLAIM_RECLAIMED);
    assert_int_equal(back->placed, 0);
    desk_end(d, head, CORE_RESULT_OK, US);
    desk_run(d);
    assert_int_equal(behind->placed, 2);
    desk_end(d, behind, CORE_RESULT_OK, US);
    core_worker_waiting(&outer->core, false, d->now_ns);
    desk_end(d, parent, CORE_RESULT_OK, US);
}

static void a_busy_one_too_many_gets_nothing_more_and_goes(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_nested = 1}, true);
    d->function.mean_ns = MS; /* two in a lane */
    struct hand *outer = desk_ready_one(d);
    struct job *parent = desk_submit(d);
    desk_run(d);
    desk_claim(parent);
    core_worker_waiting(&outer->core, true, d->now_ns);
    struct job *other = desk_submit(d);
    desk_run(d);
    struct hand *inner = desk_ready_one(d);
    desk_claim(other);
    core_worker_waiting(&outer->core, false, d->now_ns);
    struct job *next = desk_submit(d);
    desk_run(d);
    assert_ptr_equal(next->hand, outer);
    desk_end(d, other, CORE_RESULT_OK, US);
    desk_run(d);
    assert_true(inner->retired);
    desk_end(d, parent, CORE_RESULT_OK, US);
    desk_end(d, next, CORE_RESULT_OK, US);
}

static void no_more_may_wait_than_max_nested(void **state)
{
    struct desk *d = *state;
    desk_pool(d, (struct core_pool_config){.min = 1, .max = 1, .max_nested = 1}, true);
    struct hand *outer = desk_ready_one(d);
    struct job *parent = desk_submit(d);
    desk_run(d);
    desk_claim(parent);
    core_worker_waiting(&outer->core, true, d->now_ns);
    assert_true(core_worker_may_wait(&outer->core)); /* it does already */
    struct job *child = desk_submit(d);
    desk_run(d);
    struct hand *inner = desk_ready_one(d);
    desk_claim(child);
    assert_false(core_worker_may_wait(&inner->core));
    desk_end(d, child, CORE_RESULT_OK, US);
    desk_end(d, parent, CORE_RESULT_OK, US);
    desk_run(d);
    struct core_pool_counts counts;
    core_pool_counts(d->pool, &counts);
    assert_int_equal(counts.waiting, 0); /* it ends with what the worker runs */
}

static void desk_once(struct desk *d, uint32_t max)
{
    desk_pool(d, (struct core_pool_config){.max = max, .max_tasks = 1, .once = true, .idle_timeout_ms = 100}, true);
}

static void a_worker_for_one_task_is_made_for_it_and_ends_with_it(void **state)
{
    struct desk *d = *state;
    desk_once(d, 4);
    assert_int_equal(d->asked, 0);
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    assert_int_equal(d->asked, 2);
    desk_ready_one(d);
    desk_ready_one(d);
    assert_ptr_not_equal(a->hand, b->hand);
    assert_int_equal(d->asked, 0); /* nobody is to replace them */
    desk_end(d, a, CORE_RESULT_OK, US);
    struct job *c = desk_submit(d);
    desk_run(d);
    assert_true(a->hand->retired);
    assert_int_equal(d->asked, 1);
    desk_ready_one(d);
    assert_ptr_not_equal(c->hand, a->hand);
    desk_end(d, b, CORE_RESULT_OK, US);
    desk_end(d, c, CORE_RESULT_OK, US);
}

static void its_death_in_the_task_throttles_nothing(void **state)
{
    struct desk *d = *state;
    desk_once(d, 4);
    for (int i = 0; i < 10; i++) {
        struct job *j = desk_submit(d);
        desk_run(d);
        assert_int_equal(d->asked, 1);
        desk_ready_one(d);
        desk_claim(j);
        desk_die(d, j->hand);
        desk_run(d);
        assert_int_equal(j->state, MPOOL_STATE_LOST);
    }
    assert_int_equal(d->asked, 0);
}

static void one_whose_task_was_cancelled_goes_in_time(void **state)
{
    struct desk *d = *state;
    desk_once(d, 4);
    struct job *j = desk_submit(d);
    desk_run(d);
    core_cancel(&j->core, CORE_WHY_CANCEL, d->now_ns);
    struct hand *h = desk_ready_one(d);
    desk_pass(d, 100 * MS);
    assert_true(h->retired);
    assert_int_equal(j->placed, 0);
}

static void one_of_an_older_configuration_runs_no_new_task(void **state)
{
    struct desk *d = *state;
    desk_once(d, 4);
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    struct hand *first = desk_ready_one(d), *second = desk_born(d);
    struct core_pool_config config = *core_pool_config(d->pool);
    core_pool_reconfigure(d->pool, &config, d->now_ns);
    desk_run(d);
    core_worker_ready(&second->core, d->now_ns);
    desk_run(d);
    assert_true(second->retired);
    assert_false(first->retired); /* it is at its task */
    assert_int_equal(d->asked, 1);
    desk_ready_one(d);
    desk_end(d, a, CORE_RESULT_OK, US);
    desk_end(d, b, CORE_RESULT_OK, US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_waiting_worker_leaves_its_place_to_another_one),
        TEST(the_one_too_many_stands_by_for_the_next_wait_and_goes_in_time),
        TEST(what_a_worker_waits_for_is_placed_behind_no_head),
        TEST(those_that_are_waited_for_go_first_in_the_order_of_their_coming),
        TEST(one_that_lies_behind_a_head_comes_forth_when_it_is_led),
        TEST(a_busy_one_too_many_gets_nothing_more_and_goes),
        TEST(no_more_may_wait_than_max_nested),
        TEST(a_worker_for_one_task_is_made_for_it_and_ends_with_it),
        TEST(its_death_in_the_task_throttles_nothing),
        TEST(one_whose_task_was_cancelled_goes_in_time),
        TEST(one_of_an_older_configuration_runs_no_new_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
