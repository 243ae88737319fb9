/* See support.h. */
#include "tests/unit/core/support.h"

#include <stdlib.h>

struct job *desk_job_of(struct core_task *task)
{
    return (struct job *)(void *)((char *)task - offsetof(struct job, core));
}

struct hand *desk_hand_of(struct core_worker *worker)
{
    return (struct hand *)(void *)((char *)worker - offsetof(struct hand, core));
}

static bool op_place(void *context, struct core_worker *worker, struct core_task *task)
{
    struct job *j = desk_job_of(task);
    struct hand *h = desk_hand_of(worker);
    (void)context;
    assert_true(h->alive && !h->killed && !h->retired);
    if (h->refuses)
        return false;
    j->claim = CLAIM_READY;
    j->hand = h;
    j->placed++;
    return true;
}

static bool op_reclaim(void *context, struct core_worker *worker, struct core_task *task)
{
    struct job *j = desk_job_of(task);
    (void)context;
    assert_ptr_equal(j->hand, desk_hand_of(worker));
    if (j->claim != CLAIM_READY)
        return false;
    j->claim = CLAIM_RECLAIMED;
    return true;
}

static bool op_started(void *context, struct core_worker *worker, struct core_task *task)
{
    (void)context;
    (void)worker;
    return desk_job_of(task)->claim != CLAIM_READY;
}

static void op_cancel(void *context, struct core_worker *worker, struct core_task *task)
{
    (void)context;
    (void)worker;
    desk_job_of(task)->told++;
}

static bool op_kill_task(void *context, struct core_worker *worker, struct core_task *task)
{
    struct job *j = desk_job_of(task);
    (void)context;
    j->kill_wishes++;
    if (j->claim != CLAIM_STARTED)
        return false;
    j->claim = CLAIM_KILLING;
    desk_hand_of(worker)->killed = true;
    return true;
}

static void op_kill_worker(void *context, struct core_worker *worker)
{
    (void)context;
    desk_hand_of(worker)->killed = true;
    desk_hand_of(worker)->kills++;
}

static void op_retire(void *context, struct core_worker *worker)
{
    (void)context;
    assert_false(desk_hand_of(worker)->retired);
    assert_int_equal(worker->placed, 0);
    desk_hand_of(worker)->retired = true;
}

static void op_spawn(void *context, struct core_pool *pool)
{
    struct desk *d = context;
    assert_ptr_equal(core_pool_userdata(pool), d);
    d->asked++;
    if (d->on_spawn)
        d->on_spawn(d);
}

static void op_finish(void *context, struct core_task *task, enum core_why why, void *report)
{
    (void)report;
    struct desk *d = context;
    struct job *j = desk_job_of(task);
    j->finished++;
    assert_int_equal(j->finished, 1);
    j->state = task->state;
    j->why = why;
    core_flow_unref(task->flow);
    if (d->on_finish)
        d->on_finish(d, j);
}

static void op_pool_empty(void *context, struct core_pool *pool)
{
    (void)pool;
    ((struct desk *)context)->empty++;
}

static const struct core_ops ops = {
    .place = op_place,
    .reclaim = op_reclaim,
    .started = op_started,
    .cancel = op_cancel,
    .kill_task = op_kill_task,
    .kill_worker = op_kill_worker,
    .retire = op_retire,
    .spawn = op_spawn,
    .finish = op_finish,
    .pool_empty = op_pool_empty,
};

int desk_setup(void **state)
{
    struct desk *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->now_ns = 1000 * S;
    d->core = core_new(&ops, d);
    d->client = core_client_new();
    assert_non_null(d->client);
    assert_non_null(d->core);
    *state = d;
    return 0;
}

int desk_teardown(void **state)
{
    struct desk *d = *state;
    d->on_finish = NULL;
    d->on_spawn = NULL;
    core_stop(d->core, 0, d->now_ns);
    desk_run(d);
    while (d->asked > 0)
        desk_spawn_fails(d);
    /* Two rounds: what ends on a worker may free another one. */
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < d->hand_count; i++)
            if (d->hands[i].alive && (d->hands[i].killed || d->hands[i].retired))
                desk_die(d, &d->hands[i]);
        desk_run(d);
    }
    for (unsigned i = 0; i < d->job_count; i++)
        if (d->jobs[i].core.pool)
            assert_int_equal(d->jobs[i].finished, 1);
    assert_true(core_is_empty(d->core));
    assert_true(core_next_ns(d->core) == UINT64_MAX);
    core_pool_free(d->pool);
    core_client_free(d->client);
    core_free(d->core);
    free(d);
    return 0;
}

void desk_pool(struct desk *d, struct core_pool_config config, bool open)
{
    if (config.start_timeout_ms == 0)
        config.start_timeout_ms = 60000;
    d->pool = core_pool_new(d->core, &config, d);
    assert_non_null(d->pool);
    if (open)
        core_pool_open(d->pool);
    desk_run(d);
}

struct hand *desk_born(struct desk *d)
{
    assert_true(d->asked > 0 && d->hand_count < DESK_HANDS);
    struct hand *h = &d->hands[d->hand_count++];
    d->asked--;
    h->alive = true;
    core_worker_add(d->pool, &h->core, d->now_ns);
    return h;
}

void desk_spawn_fails(struct desk *d)
{
    assert_true(d->asked > 0);
    d->asked--;
    core_spawn_failed(d->pool, d->now_ns);
}

struct hand *desk_ready_one(struct desk *d)
{
    struct hand *h = desk_born(d);
    core_worker_ready(&h->core, d->now_ns);
    desk_run(d);
    return h;
}

void desk_workers(struct desk *d, uint32_t n)
{
    desk_pool(d, (struct core_pool_config){.min = n, .max = n}, true);
    assert_int_equal(d->asked, n);
    for (uint32_t i = 0; i < n; i++)
        desk_ready_one(d);
}

struct job *desk_job(struct desk *d)
{
    return desk_job_of_client(d, d->client, 0, 128);
}

struct job *desk_job_of_client(struct desk *d, struct core_client *client, uint32_t user, uint8_t priority)
{
    assert_true(d->job_count < DESK_JOBS);
    struct job *j = &d->jobs[d->job_count++];
    j->core.pool = d->pool;
    j->core.flow = core_flow_get(client, d->pool, user, priority);
    assert_non_null(j->core.flow);
    j->core.function = &d->function;
    j->core.attempts = 1;
    return j;
}

void desk_submit_job(struct desk *d, struct job *j)
{
    core_submit(&j->core, d->now_ns);
}

struct job *desk_submit(struct desk *d)
{
    struct job *j = desk_job(d);
    desk_submit_job(d, j);
    return j;
}

void desk_run(struct desk *d)
{
    core_run(d->core, d->now_ns);
    core_check(d->core, d->now_ns);
}

void desk_pass(struct desk *d, uint64_t ns)
{
    uint64_t until_ns = d->now_ns + ns, next_ns;
    while ((next_ns = core_next_ns(d->core)) <= until_ns) {
        if (next_ns > d->now_ns)
            d->now_ns = next_ns;
        desk_run(d);
    }
    d->now_ns = until_ns;
}

void desk_claim(struct job *j)
{
    assert_int_equal(j->claim, CLAIM_READY);
    j->claim = CLAIM_STARTED;
}

void desk_end(struct desk *d, struct job *j, enum core_result result, uint64_t run_ns)
{
    if (j->claim == CLAIM_READY)
        desk_claim(j);
    assert_int_equal(j->claim, CLAIM_STARTED);
    j->claim = CLAIM_DONE;
    if (run_ns < S)
        d->now_ns += run_ns;
    core_task_done(&j->core, result, run_ns, NULL, d->now_ns);
}

void desk_die(struct desk *d, struct hand *h)
{
    struct core_task *head = TAILQ_FIRST(&h->core.lane);
    bool started = head && desk_job_of(head)->claim != CLAIM_READY;
    assert_true(h->alive);
    h->alive = false;
    core_worker_died(&h->core, started, NULL, d->now_ns);
}
