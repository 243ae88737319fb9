/* A desk to put the core on: workers and lanes made of plain fields, and a clock that the test moves. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/core.h"

#define US 1000ull
#define MS 1000000ull
#define S  1000000000ull

enum { DESK_HANDS = 128, DESK_JOBS = 256 };

enum claim { CLAIM_NONE, CLAIM_READY, CLAIM_STARTED, CLAIM_DONE, CLAIM_RECLAIMED, CLAIM_KILLING };

struct hand { /* a worker */
    struct core_worker core;
    bool alive, killed, retired, refuses;
    unsigned kills;
};

struct job { /* a task */
    struct core_task core;
    enum claim claim;
    struct hand *hand; /* where it was placed last */
    unsigned placed, told, kill_wishes, finished;
    enum mpool_state state;
    enum core_why why;
};

struct desk {
    struct core *core;
    struct core_pool *pool;
    struct core_client *client;    /* of every task, the same */
    struct core_function function; /* of every task, unless the test says otherwise */
    uint64_t now_ns;
    unsigned asked; /* spawns without an answer */
    unsigned empty; /* calls of pool_empty */
    struct hand hands[DESK_HANDS];
    struct job jobs[DESK_JOBS];
    unsigned hand_count, job_count;
    void (*on_finish)(struct desk *desk, struct job *job);
    void (*on_spawn)(struct desk *desk);
};

/* For cmocka: *state is a desk, without a pool; the teardown stops everything and finds it empty. */
int desk_setup(void **state);
int desk_teardown(void **state);

/* A pool, open or not. */
void desk_pool(struct desk *d, struct core_pool_config config, bool open);
/* A pool of exactly n workers, all ready and idle. */
void desk_workers(struct desk *d, uint32_t n);
struct hand *desk_born(struct desk *d); /* answers one spawn */
void desk_spawn_fails(struct desk *d);
struct hand *desk_ready_one(struct desk *d); /* answers one spawn, and the worker is ready */

/* A task that is not submitted yet, of one attempt, without time-out and grace, of priority 128. */
struct job *desk_job(struct desk *d);
struct job *desk_submit(struct desk *d); /* the same, submitted; no core_run() */
/* The same, from another client or user, or of another priority. */
struct job *desk_job_of_client(struct desk *d, struct core_client *client, uint32_t user, uint8_t priority);
void desk_submit_job(struct desk *d, struct job *j);

void desk_run(struct desk *d);               /* core_run() now, and core_check() */
void desk_pass(struct desk *d, uint64_t ns); /* time goes by; core_run() whenever it is due */
void desk_claim(struct job *j);              /* its worker claims it */
void desk_end(struct desk *d, struct job *j, enum core_result result,
    uint64_t run_ns);                          /* claims if need be, runs so long; no core_run() */
void desk_die(struct desk *d, struct hand *h); /* and is reported dead; no core_run() */
struct job *desk_job_of(struct core_task *task);
struct hand *desk_hand_of(struct core_worker *worker);

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)
