/* Whose task is next: priorities, and turns between users and clients. */
#include "tests/unit/core/support.h"

#include "daemon/core/core_private.h"

enum { CLIENTS = 4 };

/* One worker, busy; functions that are too slow for a second task in its lane. */
static void one_busy_worker(struct desk *d)
{
    desk_workers(d, 1);
    d->function.mean_ns = 5 * MS;
    desk_submit(d);
    desk_run(d);
}

static void submit(struct desk *d, struct core_client *client, uint32_t user, uint8_t priority, unsigned n)
{
    while (n-- > 0)
        desk_submit_job(d, desk_job_of_client(d, client, user, priority));
}

/* The task that runs ends; → the one that follows. */
static struct job *next(struct desk *d, uint64_t run_ns)
{
    for (unsigned i = 0; i < d->job_count; i++)
        if (d->jobs[i].placed && !d->jobs[i].finished) {
            desk_end(d, &d->jobs[i], CORE_RESULT_OK, run_ns);
            desk_run(d);
            break;
        }
    for (unsigned i = 0; i < d->job_count; i++)
        if (d->jobs[i].placed && !d->jobs[i].finished)
            return &d->jobs[i];
    return NULL;
}

static unsigned index_of(const struct desk *d, const struct job *j)
{
    return (unsigned)(j - d->jobs);
}

static void the_highest_priority_goes_first(void **state)
{
    static const uint8_t priorities[] = {128, 0, 255, 128, 129, 127, 255};
    static const unsigned order[] = {3, 7, 5, 1, 4, 6, 2};
    struct desk *d = *state;
    one_busy_worker(d);
    for (unsigned i = 0; i < 7; i++)
        submit(d, d->client, 0, priorities[i], 1);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(index_of(d, next(d, 5 * MS)), order[i]);
}

static void a_lone_task_of_another_client_is_next_but_one(void **state)
{
    struct desk *d = *state;
    struct core_client *lone = core_client_new();
    one_busy_worker(d);
    submit(d, d->client, 0, 128, 100);
    next(d, 5 * MS);
    submit(d, lone, 0, 128, 1);
    struct job *second = next(d, 5 * MS), *third = next(d, 5 * MS);
    assert_true(index_of(d, second) == 101 || index_of(d, third) == 101);
    core_client_free(lone);
}

static void users_take_turns_however_many_clients_they_have(void **state)
{
    struct desk *d = *state;
    struct core_client *clients[CLIENTS];
    unsigned of_one = 0;
    one_busy_worker(d);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = core_client_new();
        submit(d, clients[i], i == 0 ? 1 : 2, 128, 20);
    }
    for (unsigned i = 0; i < 20; i++)
        of_one += index_of(d, next(d, 5 * MS)) <= 20;
    assert_in_range(of_one, 9, 11);
    for (unsigned i = 0; i < CLIENTS; i++)
        core_client_free(clients[i]);
}

static void time_counts_and_not_the_number_of_tasks(void **state)
{
    struct desk *d = *state;
    struct core_client *other = core_client_new();
    struct core_function slow = {.mean_ns = 50 * MS, .runs = 1};
    one_busy_worker(d);
    for (unsigned i = 0; i < 10; i++) {
        struct job *j = desk_job_of_client(d, other, 0, 128);
        j->core.function = &slow;
        desk_submit_job(d, j);
    }
    submit(d, d->client, 0, 128, 100);
    unsigned slow_ones = 0;
    uint64_t run_ns = 5 * MS;
    for (unsigned i = 0; i < 33; i++) {
        bool slow_one = index_of(d, next(d, run_ns)) <= 10;
        run_ns = slow_one ? 50 * MS : 5 * MS;
        slow_ones += slow_one;
    }
    assert_in_range(slow_ones, 2, 4); /* 3 × 50 ms beside 30 × 5 ms */
    core_client_free(other);
}

static void what_a_run_took_is_what_counts_in_the_end(void **state)
{
    struct desk *d = *state;
    struct core_client *other = core_client_new();
    struct core_function varied = {.mean_ns = 5 * MS, .runs = 1};
    one_busy_worker(d);
    for (unsigned i = 0; i < 2; i++) {
        struct job *j = desk_job_of_client(d, other, 0, 128);
        j->core.function = &varied;
        desk_submit_job(d, j);
    }
    submit(d, d->client, 0, 128, 40);
    while (index_of(d, next(d, 5 * MS)) != 1)
        ;
    next(d, 100 * MS); /* it should have been 5 */
    for (unsigned i = 0; i < 15; i++) {
        assert_int_equal(d->jobs[2].placed, 0);
        next(d, 5 * MS);
    }
    for (unsigned i = 0; i < 10 && !d->jobs[2].placed; i++)
        next(d, 5 * MS);
    assert_int_equal(d->jobs[2].placed, 1);
    core_client_free(other);
}

static void who_has_nothing_in_the_core_owes_nothing(void **state)
{
    struct desk *d = *state;
    struct core_client *other = core_client_new();
    one_busy_worker(d);
    submit(d, other, 7, 128, 1);
    assert_int_equal(index_of(d, next(d, 5 * MS)), 1);
    submit(d, d->client, 0, 128, 50);
    next(d, 30 * S); /* that was the other's */
    submit(d, other, 7, 128, 1);
    struct job *second = next(d, 5 * MS), *third = next(d, 5 * MS);
    assert_true(index_of(d, second) == 52 || index_of(d, third) == 52);
    core_client_free(other);
}

static void a_task_that_is_taken_back_counts_nothing(void **state)
{
    struct desk *d = *state;
    struct core_client *other = core_client_new();
    desk_workers(d, 2);
    d->function.mean_ns = 300 * US;
    struct job *a = desk_submit(d), *b = desk_submit(d);
    desk_run(d);
    struct job *behind = desk_job_of_client(d, other, 1, 128);
    desk_submit_job(d, behind);
    desk_run(d);
    assert_int_equal(behind->placed, 1);
    uint64_t used_ns = behind->core.flow->node.used_ns;
    desk_claim(a);
    desk_claim(b);
    struct job *free_worker = behind->hand == a->hand ? b : a;
    desk_end(d, free_worker, CORE_RESULT_OK, 300 * US);
    desk_pass(d, 2 * MS); /* its head is slow, and the other worker idle */
    assert_int_equal(behind->placed, 2);
    assert_true(behind->core.flow->node.used_ns == used_ns);
    core_client_free(other);
}

static void clients_and_pools_may_go_in_any_order(void **state)
{
    struct desk *d = *state;
    struct core_client *first = core_client_new(), *second = core_client_new();
    desk_workers(d, 1);
    struct core_flow *kept = core_flow_get(first, d->pool, 3, 9), *same = core_flow_get(first, d->pool, 3, 9);
    assert_ptr_equal(kept, same);
    assert_int_equal(core_flow_priority(kept), 9);
    assert_ptr_not_equal(kept, core_flow_get(first, d->pool, 4, 9));
    core_flow_unref(same);
    for (unsigned i = 0; i < 256; i++) /* of those that have no task a few are kept */
        core_flow_unref(core_flow_get(second, d->pool, 3, (uint8_t)i));
    unsigned levels = 0;
    const struct core_node *n;
    LIST_FOREACH (n, &d->pool->turns->children, sibling)
        levels++;
    assert_in_range(levels, 1, 10);
    struct core_flow *other = LIST_FIRST(&d->pool->turns->children) ? core_flow_get(first, d->pool, 4, 9) : NULL;
    core_client_free(first);
    core_flow_unref(other);
    core_flow_unref(other);
    core_stop(d->core, 0, d->now_ns);
    desk_run(d);
    desk_die(d, &d->hands[0]);
    desk_run(d);
    core_pool_free(d->pool);
    d->pool = NULL;
    core_flow_unref(kept); /* a map may outlive its pool */
    core_client_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_highest_priority_goes_first),
        TEST(a_lone_task_of_another_client_is_next_but_one),
        TEST(users_take_turns_however_many_clients_they_have),
        TEST(time_counts_and_not_the_number_of_tasks),
        TEST(what_a_run_took_is_what_counts_in_the_end),
        TEST(who_has_nothing_in_the_core_owes_nothing),
        TEST(a_task_that_is_taken_back_counts_nothing),
        TEST(clients_and_pools_may_go_in_any_order),
    };
    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
