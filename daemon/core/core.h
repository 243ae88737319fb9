/* The scheduler core. Pure: which task runs where and when, how many workers there are, what happens after a death.
 *
 * Knows no system call, no clock, no libevent, no bytes. Events come in as function calls with the time; actions go out
 * through struct core_ops, immediately, from inside those calls. An op must not call back into the core, except for
 * readers without now_ns and two more cases: finish() may submit, lead and cancel, spawn() may answer at once.
 * tests/sim runs this very code under a seeded scheduler. One thread. Never logs, never allocates per task or worker.
 *
 * The guarantee: every task handed to core_submit() gets exactly one finish(), whatever dies.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/states.h"

struct core;
struct core_client;
struct core_flow;
struct core_pool;

#define CORE_DOWN_BIRTHS 5u /* failed births in a row after which a pool without workers is down */

/* Embedded in whatever waits; a node of the core's heap, so that arming one never allocates. */
struct core_timer {
    uint64_t at_ns;
    struct core_timer *child, *next, *prev; /* prev: the parent for a first child, else the previous sibling */
    uint32_t order;                         /* among those with the same time */
    uint8_t kind;                           /* the core's own enum: what it is embedded in, and what to do */
    bool armed;
};

/* Running averages of one function in one pool; the supervisor keeps one per function, initially zeroed, and reports
 * it. */
struct core_function {
    uint64_t mean_ns; /* of one run; 0: unknown */
    uint64_t runs;
    uint64_t chunk_mean_ns, chunk_runs; /* the same for its map chunks, whose length says nothing about one run */
    bool paused;                        /* see core_function_pause() */
};

/* Why a task ended, in addition to its state. */
enum core_why {
    CORE_WHY_RESULT, /* DONE or FAILED: as the function reported, just collected */
    CORE_WHY_LOST,   /* LOST: its worker died; the supervisor has the verdict */
    CORE_WHY_TIMEOUT,
    CORE_WHY_CANCEL,
    CORE_WHY_SHUTDOWN,
    CORE_WHY_EXPIRED, /* EXPIRED: it was still waiting at its expires_ns; it has not run */
    CORE_WHY_DOWN,    /* FAILED: its pool has no worker and cannot make one; it has not run, or its last run was lost */
};

struct core_worker;

/* Embedded in the supervisor's task. The first group is set by the supervisor before core_submit(), the rest is the
 * core's. */
struct core_task {
    struct core_pool *pool;
    struct core_flow *flow; /* where it queues; of the same pool; the supervisor's reference */
    struct core_function *function;
    uint64_t timeout_ms; /* of one run; 0: none */
    uint64_t start_ns;   /* it does not run before; 0: at once */
    uint64_t expires_ns; /* its first run does not begin at that time or later; 0: no limit */
    uint32_t attempts;   /* runs allowed in all, ≥ 1 */
    uint32_t grace_ms;   /* between asking a running function to stop and killing it; 0: kill at once */
    bool alone;          /* shares no lane with others (its output must be told apart) */
    bool chunk;          /* a map's chunk: its mean is kept per chunk run and not mixed into mean_ns */

    enum mpool_state state;     /* RUNNING is not tracked here: a PLACED task may have been claimed; see ops->started */
    uint32_t attempt;           /* runs that have started and ended or died; the run that is on is attempt + 1 */
    uint32_t position;          /* in its worker's lane; set by ops->place */
    uint32_t charged_us;        /* what its run counts for the turns of its flow; 0: nothing yet, or no more */
    uint8_t stop;               /* enum core_why of the stop that is under way, 0 when none (CORE_WHY_RESULT); stays
                                 * readable in finish(): a FAILED with a stop is how a function obeys a cancel */
    uint8_t cancel_signal;      /* for ops->cancel: that was asked for with the cancel, or 0 */
    bool killing;               /* its worker has been killed for it */
    bool parked;                /* QUEUED, and its function is paused */
    bool ending;                /* about to be finished: cancelling it does nothing any more */
    bool ahead;                 /* a worker waits for it: see core_submit_ahead() */
    struct core_worker *worker; /* while PLACED, and in the finish() of a task that was; else NULL */
    struct core_timer timer;
    TAILQ_ENTRY(core_task) link; /* in its flow, or in the worker's lane, in order */
};
TAILQ_HEAD(core_task_list, core_task);

enum core_worker_state {
    CORE_WORKER_STARTING, /* spawned, not ready */
    CORE_WORKER_IDLE,     /* with `standby`: ready, but held until the worker that it replaces has left */
    CORE_WORKER_BUSY,
    CORE_WORKER_RETIRING, /* gets nothing new; retired when its lane is empty */
    CORE_WORKER_STUCK,    /* does not claim what it was given */
    CORE_WORKER_DYING,    /* killed or retired; only its death is awaited */
};

/* Embedded in the supervisor's worker. All fields are the core's; the supervisor may read. */
struct core_worker {
    struct core_pool *pool;
    enum core_worker_state state;
    struct core_task_list lane; /* placed and not collected, oldest first */
    uint32_t placed;            /* length of lane */
    uint32_t tasks_done;        /* runs that ended, for max_tasks */
    uint32_t strikes;           /* how often in a row it was found not claiming */
    uint64_t ready_ns, state_ns, head_since_ns;
    uint64_t refused_ns; /* place() has failed since then; 0: it does not fail */
    bool outdated;       /* of an older configuration, or over its memory limit: to be replaced */
    bool expiring;       /* outdated, or its runs are nearly used up: works until its replacement is ready */
    bool standby;        /* IDLE only: see CORE_WORKER_IDLE */
    bool healthy;        /* has finished a task, or lived long enough: its death does not throttle spawning */
    bool claimed;        /* the head of its lane is known to have been claimed */
    bool watched;        /* in the list of unclaimed heads */
    bool blocked;        /* place() refused: not tried again until one of its tasks is collected, or the next watch */
    bool killed;         /* DYING by kill, not by retire */
    bool overdue;        /* its head has been there for longer than anything should wait behind it: see watch.c */
    bool waiting;        /* the function that it runs waits for other tasks: see core_worker_waiting() */
    int16_t bucket;      /* where `link` is; see lanes.c */
    struct core_timer timer;         /* by state: start, time-out of the head, idle time-out, retirement */
    TAILQ_ENTRY(core_worker) link;   /* in the pool's bucket of its lane length, or its stand-bys */
    TAILQ_ENTRY(core_worker) every;  /* in the pool's list of all workers */
    TAILQ_ENTRY(core_worker) watch;  /* in the pool's list of unclaimed heads */
    TAILQ_ENTRY(core_worker) expiry; /* in the pool's list of expiring workers */
};
TAILQ_HEAD(core_worker_list, core_worker);

struct core_pool_config {
    uint32_t min, max;         /* workers; 1 ≤ min ≤ max */
    uint32_t max_nested;       /* maximum of additional workers beyond max, one for each that waits for other tasks */
    uint64_t idle_timeout_ms;  /* maximum idle time of a worker above min; 0: forever */
    uint32_t max_tasks;        /* runs of one worker before it is replaced; 0: unlimited */
    uint64_t start_timeout_ms; /* a worker that is not ready by then is killed; 0: no limit */
    /* Each worker is made for one task and ends with it; none is made ahead and none replaced. Then min is 0, max_tasks
     * 1, max the number of concurrent tasks, and idle_timeout_ms the lifetime of a worker whose task was cancelled
     * first. */
    bool once;
};

struct core_ops {
    /* Puts the task into the worker's lane and sets task->position. → true; false: no room just now (not an error; the
     * task stays at the front of its flow until a slot of that worker is collected). */
    bool (*place)(void *context, struct core_worker *worker, struct core_task *task);
    /* READY → RECLAIMED. → false: the worker has claimed it (or broken its lane). A reclaimed slot needs no further
     * call. */
    bool (*reclaim)(void *context, struct core_worker *worker, struct core_task *task);
    /* Has the worker claimed it? */
    bool (*started)(void *context, struct core_worker *worker, struct core_task *task);
    /* Asks a running function to stop. */
    void (*cancel)(void *context, struct core_worker *worker, struct core_task *task);
    /* STARTED → KILLING, and SIGKILL if that succeeded. → false: it had ended (its result is about to be collected). */
    bool (*kill_task)(void *context, struct core_worker *worker, struct core_task *task);
    /* SIGKILL without regard to tasks: the worker is stuck or useless; it has claimed nothing. It may still be
     * STARTING, or have ignored a retire, and the call is repeated now and then until core_worker_died() follows. */
    void (*kill_worker)(void *context, struct core_worker *worker);
    /* Asks a worker with an empty lane to exit. core_worker_died() follows. */
    void (*retire)(void *context, struct core_worker *worker);
    /* Makes one more worker for the pool: core_worker_add() follows at once (these two may be called from inside) or
     * later, or core_spawn_failed(). Until one of them has come the worker counts as starting. */
    void (*spawn)(void *context, struct core_pool *pool);
    /* The one definite answer. The task is the supervisor's again; the core no longer accesses it. May call
     * core_submit() and its variants, core_lead() and core_cancel(). */
    void (*finish)(void *context, struct core_task *task, enum core_why why, void *report);
    /* A closed pool has no task and no worker left; it may be freed with core_pool_free() later (not from here). Once,
     * from inside core_run(). */
    void (*pool_empty)(void *context, struct core_pool *pool);
};

/* → NULL when there is no memory. ops and context are borrowed for the core's life. */
struct core *core_new(const struct core_ops *ops, void *context);
/* Pools must have been freed, tasks finished. */
void core_free(struct core *core);

/* ---- pools ---- */

/* userdata: the supervisor's pool. Spawning starts with core_pool_open(). */
struct core_pool *core_pool_new(struct core *core, const struct core_pool_config *config, void *userdata);
void *core_pool_userdata(const struct core_pool *pool);
/* The forkserver is ready (or ready again): workers may be asked for, min of them at once. */
void core_pool_open(struct core_pool *pool);
/* The forkserver has exited or does not load: no spawns until core_pool_open(). Workers and queue stay: without workers
 * the queue waits, also that of a closed pool, until the supervisor opens it again, gives it up or cancels the tasks.
 */
void core_pool_suspend(struct core_pool *pool);
/* The forkserver has failed too often: until core_pool_open() the suspended pool is down, once it has no worker. */
void core_pool_give_up(struct core_pool *pool);
/* Is the pool down? It is when CORE_DOWN_BIRTHS births in a row have failed (one that took longer than start_timeout_ms
 * is enough), or it was given up, and no worker is left that could take a task. Waiting tasks are then finished with
 * CORE_WHY_DOWN; births are still tried. Where each task has a worker of its own, a birth is tried for each. */
bool core_pool_is_down(const struct core_pool *pool, uint64_t now_ns);
/* New limits; existing workers become outdated and are replaced one for one, each after its replacement is ready. */
void core_pool_reconfigure(struct core_pool *pool, const struct core_pool_config *config, uint64_t now_ns);
/* No new tasks will come (the supervisor ensures that); the queue is run, the workers retired, then ops->pool_empty. */
void core_pool_close(struct core_pool *pool);
/* While a pool, or one of its functions, is paused none of its tasks is started. Those that run go on, and so do those
 * that they wait for. Idempotent. */
void core_pool_pause(struct core_pool *pool, bool paused, uint64_t now_ns);
bool core_pool_is_paused(const struct core_pool *pool);
void core_function_pause(struct core_pool *pool, struct core_function *function, bool paused, uint64_t now_ns);
void core_pool_free(struct core_pool *pool); /* closed and empty, or never opened and empty */

struct core_pool_counts {
    uint64_t queued;               /* waiting, backoff and delayed ones included */
    uint32_t placed;               /* in lanes */
    uint32_t workers;              /* alive or starting, dying ones not counted */
    uint32_t idle, busy, starting; /* standby workers count as idle, retiring ones as busy, stuck ones as neither */
    uint32_t waiting;              /* of the busy ones: waiting for other tasks */
    uint64_t throttled_until_ns;   /* no spawns until then because workers died young; 0: not throttled */
};
void core_pool_counts(const struct core_pool *pool, struct core_pool_counts *ret);
const struct core_pool_config *core_pool_config(const struct core_pool *pool);
const struct core_worker_list *core_pool_workers(const struct core_pool *pool); /* through `every` */

/* ---- who submits ---- */

/* A client is a source of tasks: a connection. Its tasks queue in flows: one for each pool, priority, and user on whose
 * behalf it asks. Within a priority, workers' time is shared equally between users, then between the clients of a user;
 * see turns.c. → NULL: no memory. */
struct core_client *core_client_new(void);
/* Its tasks live on. NULL: nothing. */
void core_client_free(struct core_client *client);
/* Where the client's tasks queue, in the order of their submission. priority: higher ones go first. → a reference, to
 * be held by each task until its finish(); NULL: no memory. */
struct core_flow *core_flow_get(struct core_client *client, struct core_pool *pool, uint32_t user, uint8_t priority);
struct core_flow *core_flow_ref(struct core_flow *flow);
/* NULL: nothing. */
void core_flow_unref(struct core_flow *flow);
uint8_t core_flow_priority(const struct core_flow *flow);

/* ---- tasks ---- */

/* Queues a task at the back of its flow, once its start_ns has come. Never fails, never finishes it from inside (not
 * even when stopping: core_run() does then). Dispatch happens in core_run(). The task must not be in the core already.
 */
void core_submit(struct core_task *task, uint64_t now_ns);
/* The same at the front of its flow: for the rest of a chunk that was handed back. */
void core_submit_front(struct core_task *task, uint64_t now_ns);
/* Queues a task that a worker waits for, which has given up its place to another worker meanwhile. It precedes all
 * other queued tasks, in FIFO order among its like, and is never placed behind another task in a lane. */
void core_submit_ahead(struct core_task *task, uint64_t now_ns);
/* Gives a task that was submitted otherwise the precedence of core_submit_ahead(); may be called from finish(). Does
 * nothing if it runs. */
void core_lead(struct core_task *task, uint64_t now_ns);
/* why: CORE_WHY_CANCEL or CORE_WHY_SHUTDOWN. Queued, delayed, backing off, or placed and not claimed: finished from
 * inside. Running: asked to stop, and killed after its grace; finish() comes later. Idempotent. */
void core_cancel(struct core_task *task, enum core_why why, uint64_t now_ns);

enum core_result { CORE_RESULT_OK, CORE_RESULT_FAILED, CORE_RESULT_FAILED_RETRYABLE };
/* The worker's head task was collected. Finishes it from inside (with its result, even when a stop was under way and
 * lost the race), or puts it into backoff when it failed retryably with attempts left. run_ns: for averages, clamped.
 * report: passed on to finish(). */
void core_task_done(struct core_task *task, enum core_result result, uint64_t run_ns, void *report, uint64_t now_ns);

/* ---- workers ---- */

void core_worker_add(struct core_pool *pool, struct core_worker *worker, uint64_t now_ns); /* STARTING */
void core_spawn_failed(struct core_pool *pool, uint64_t now_ns); /* counts as a death before the first task */
void core_worker_ready(struct core_worker *worker, uint64_t now_ns);
/* The function that it runs waits for other tasks (waiting), or no longer does. While it waits the worker is given
 * nothing, what it has not claimed is taken back, and the pool may have one more worker in its place, up to max_nested:
 * so tasks may wait for tasks of their own pool. Ends by itself with the run; has no effect on a worker that runs
 * nothing, or in a pool in which each task has a worker of its own. Idempotent. */
void core_worker_waiting(struct core_worker *worker, bool waiting, uint64_t now_ns);
/* May it begin to wait? Asked before core_worker_waiting(true). No when max_nested others wait: no worker would be left
 * to run what it waits for. */
bool core_worker_may_wait(const struct core_worker *worker);
/* Replace it soon, without delaying a task. */
void core_worker_outdate(struct core_worker *worker, uint64_t now_ns);
/* The worker is dead, and all that it had completed has been collected (core_task_done). head_started: it had claimed
 * the head of its lane. That task is finished (stop under way: that state; else LOST) or backs off for another attempt;
 * those behind it go to the front of their flows in order and count no attempt. The worker is the supervisor's again.
 */
void core_worker_died(struct core_worker *worker, bool head_started, void *report, uint64_t now_ns);

/* ---- the loop's part ---- */

/* Fires what is due, then dispatches. Once per pass of the loop, after all events of the pass. */
void core_run(struct core *core, uint64_t now_ns);
/* When core_run() must be called at the latest without any event; UINT64_MAX: never. */
uint64_t core_next_ns(const struct core *core);

/* No more tasks: queued and unclaimed ones are finished with SHUTDOWN from inside, running ones have grace_ms, then are
 * killed and finished with SHUTDOWN. Calling it again with a smaller grace shortens it. Workers are retired as they
 * empty. */
void core_stop(struct core *core, uint64_t grace_ms, uint64_t now_ns);
/* Nothing is queued, placed or alive, and no spawn is unanswered. */
bool core_is_empty(const struct core *core);

/* For tests: checks that every list, count, bucket and mask agrees, and that nothing waits that could go on. Call it
 * after core_run() with the same time. Aborts if something is wrong. Walks over everything, so it is slow. */
void core_check(const struct core *core, uint64_t now_ns);
