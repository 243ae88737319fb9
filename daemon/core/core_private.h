/* What the files of the core share: the two hidden structs, and each file's functions for the others.
 *
 * Every public function in core.h ends with core_pool_touch() for the pool that it changed; core_run() then brings each
 * touched pool to rest (dispatch, take back, size, timers). Consequences of an event beyond its own task and worker are
 * therefore handled in one place.
 */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "daemon/core/core.h"
#include "daemon/core/timer.h"

#define CORE_US       1000ull
#define CORE_MS       1000000ull
#define CORE_S        1000000000ull
#define CORE_LANE_MAX 64u /* maximum of tasks in one lane */

#define CORE_WAKE_NS           (10 * CORE_US) /* an idle worker may take this long, and longer, to wake */
#define CORE_RETIRE_TIMEOUT_NS (5 * CORE_S)   /* a worker that does not exit or die in this time is killed (again) */
#define CORE_BATCH_MIN         16u            /* workers that are replaced at the same time, or a quarter of the pool */
#define CORE_STUCK_NS          (20 * CORE_MS) /* a head unclaimed for this long is moved when another worker is idle */
#define CORE_DEAF_NS           (5 * CORE_S)   /* a worker whose head stays unclaimed this long is killed */
#define CORE_BEHIND_NS         (100 * CORE_US) /* tasks behind a head that runs longer are moved to idle workers */
#define CORE_OVERDUE_NS        (2 * CORE_MS)   /* nothing waits behind a head that runs longer, idle workers or not */
#define CORE_WATCH_FAST_NS     (1 * CORE_MS)
#define CORE_WATCH_SLOW_NS     (20 * CORE_MS)
#define CORE_HEALTHY_NS        (1 * CORE_S) /* a worker that lived this long is healthy */
#define CORE_BACKOFF_NS        (100 * CORE_MS)
#define CORE_BACKOFF_MAX_NS    (10 * CORE_S)

#define CORE_CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

enum core_timer_kind {
    CORE_TIMER_TASK_DUE,
    CORE_TIMER_TASK_EXPIRY,
    CORE_TIMER_TASK_GRACE,
    CORE_TIMER_WORKER_START,
    CORE_TIMER_WORKER_HEAD,
    CORE_TIMER_WORKER_REST,
    CORE_TIMER_WORKER_GONE,
    CORE_TIMER_POOL_WATCH,
    CORE_TIMER_POOL_IDLE,
    CORE_TIMER_POOL_SPAWN,
    CORE_TIMER_STOP,
};

TAILQ_HEAD(core_pool_list, core_pool);

struct core {
    const struct core_ops *ops; /* borrowed */
    void *context;
    struct core_timers timers;
    struct core_pool_list pools, touched;
    struct core_timer stop_timer;
    bool stopping;
    bool stop_over; /* the grace has passed */
};

/* Whoever takes turns: a priority, a user, a client or a flow. See turns.c. */
struct core_node {
    struct core_timer place;  /* among those of its parent that wait, by used_ns when the turn began */
    struct core_timers turns; /* its children that wait: that have a task in the queue */
    uint64_t used_ns;         /* virtual time: what its tasks have used while there were any */
    uint64_t clock_ns;        /* virtual time: the place of the child that had the last turn */
    struct core_node *parent; /* NULL: the pool's root */
    LIST_HEAD(, core_node) children;
    LIST_ENTRY(core_node) sibling;
    uint32_t id;         /* of a user; of a level: UINT8_MAX - priority */
    uint32_t references; /* children, and others */
    uint32_t members;    /* children with tasks in the core, or tasks of a flow */
};

struct core_flow {
    struct core_node node;
    struct core_pool *pool;
    struct core_client *client;  /* that keeps it for its next tasks; NULL: none does */
    LIST_ENTRY(core_flow) link;  /* in that client's list */
    struct core_task_list tasks; /* in the queue, in order */
    uint64_t length;             /* how many they are */
};

struct core_pool {
    struct core *core;
    struct core_pool_config config;
    void *userdata;
    TAILQ_ENTRY(core_pool) link, touched_link;
    bool touched;
    bool opened;         /* may spawn */
    bool given_up;       /* not opened, and not expected to be for long */
    bool closing;        /* no new tasks */
    bool draining;       /* closing or stopping, and nothing waits: workers are retired as their lanes empty */
    bool empty_reported; /* pool_empty() has been called */

    struct core_task_list ahead;   /* precedes the queue */
    struct core_node *turns;       /* the queue */
    struct core_task_list backoff; /* those that wait for their next attempt */
    struct core_task_list delayed; /* those that wait for their start */
    struct core_task_list parking; /* those whose function is paused */
    uint64_t queued, parked;       /* ahead, in the queue or parked; the last of these */
    uint64_t backing_off, delay_count;
    bool paused;
    uint32_t placed; /* tasks in all lanes */

    struct core_worker_list every;
    struct core_worker_list open[CORE_LANE_MAX];       /* by length of the lane: may be given more tasks */
    struct core_worker_list closed[CORE_LANE_MAX + 1]; /* may not be given more now */
    uint64_t open_mask;                                /* bit n: open[n] is not empty */
    uint64_t closed_mask;                              /* bit n: closed[n + 1] is not empty */
    struct core_worker_list standbys;
    struct core_worker_list unclaimed; /* workers whose head is not known to be claimed; oldest head first */
    struct core_worker_list expiring;

    /* Number of workers by state; kept by core_worker_set_state() and its variants. */
    uint32_t asked; /* spawn() without an answer */
    uint32_t starting, standby;
    uint32_t idle, busy, stuck, retiring; /* these four are active: they may hold tasks */
    uint32_t expiring_count;
    uint32_t dying;
    uint32_t waiting; /* of busy and retiring: waiting for other tasks */

    uint32_t early_exits;        /* in a row */
    uint64_t throttled_until_ns; /* 0: not throttled */
    struct core_worker *trial;   /* the worker that ends the throttling by surviving; NULL: none yet */

    struct core_timer watch_timer, idle_timer, spawn_timer;
    bool thorough; /* the watch timer has fired: look at every lane, not only the first few */
};

/* ---- core.c */

void core_pool_touch(struct core_pool *pool);
/* Saturating: a deadline that does not fit becomes "never". */
uint64_t core_later_ns(uint64_t now_ns, uint64_t delay_ms);

static inline uint32_t core_pool_active(const struct core_pool *p)
{
    return p->idle + p->busy + p->stuck + p->retiring;
}

static inline uint32_t core_pool_pending(const struct core_pool *p)
{
    return p->asked + p->starting + p->standby;
}

/* How many may be at work: one that waits for other tasks gives up its place to another one. max_nested is checked when
 * a worker begins to wait; lowering it later must not take away what those already waiting depend on. */
static inline uint32_t core_pool_limit(const struct core_pool *p)
{
    return p->config.max + p->waiting;
}

/* Workers that stay or are starting: `min` and `max` apply to them. */
static inline uint32_t core_pool_fresh(const struct core_pool *p)
{
    return core_pool_active(p) + core_pool_pending(p) - p->retiring - p->expiring_count;
}

/* ---- state.c */

void core_task_set_state(struct core_task *task, enum mpool_state state);
bool core_state_may_follow(enum mpool_state from, enum mpool_state to);
/* The one place that finishes. The task must be in no list. Call it last: finish() may submit and cancel. */
void core_task_end(struct core_task *task, enum mpool_state state, enum core_why why, void *report);

/* ---- turns.c */

/* The queue of a pool. → NULL: no memory. */
struct core_node *core_turns_new(void);
/* Its flows are forgotten by their clients. NULL: nothing. */
void core_turns_free(struct core_node *root);
/* The task whose turn it is, or NULL. */
struct core_task *core_turns_first(const struct core_node *root);
/* A task comes into the core, and is about to leave it. */
void core_turns_enter(struct core_task *task);
void core_turns_leave(struct core_task *task);
/* Calls it for every task in the queue, which may remove that task. */
void core_turns_each(struct core_node *root, void (*call)(struct core_task *task, void *userdata), void *userdata);
/* To and from its flow. */
void core_turns_push(struct core_task *task, bool front);
void core_turns_remove(struct core_task *task);
/* It was placed: counts the expected time; came back without having run: counts nothing; has run: counts that time. */
void core_turns_charge(struct core_task *task);
void core_turns_refund(struct core_task *task);
void core_turns_correct(struct core_task *task, uint64_t run_ns);

/* ---- waiting.c */

/* Does it wait for its first run, past the time by which that should have begun? */
bool core_task_is_expired(const struct core_task *task, uint64_t now_ns);
/* Queues a task (QUEUED) at one end of its list: `ahead`, its flow, or its function's if that is paused. */
void core_queue_push(struct core_pool *pool, struct core_task *task, bool front);
/* BACKOFF or DELAYED, until then. */
void core_queue_push_later(struct core_pool *pool, struct core_task *task, enum mpool_state state, uint64_t at_ns);
/* That time has come. */
void core_queue_due(struct core_task *task);
void core_queue_remove(struct core_pool *pool, struct core_task *task); /* by its state, which stays */

/* Of the tasks that wait, the first one, paused or not; NULL: there is none. */
struct core_task *core_queue_any(const struct core_pool *pool);
/* Tasks of the function that are parked go back to the front of their flows. function: NULL: of all. */
void core_queue_unpark(struct core_pool *pool, const struct core_function *function);

/* A closed pool runs what it has. */
static inline bool core_pool_pauses(const struct core_pool *pool)
{
    return pool->paused && !pool->closing;
}

/* The next one to be placed. */
static inline struct core_task *core_queue_first(const struct core_pool *pool)
{
    struct core_task *task = TAILQ_FIRST(&pool->ahead);
    return task || core_pool_pauses(pool) ? task : core_turns_first(pool->turns);
}

/* ---- lanes.c */

static inline uint64_t core_task_mean_ns(const struct core_task *task)
{
    return task->chunk ? task->function->chunk_mean_ns : task->function->mean_ns;
}

uint32_t core_task_depth(const struct core_task *task);
uint32_t core_worker_runs_left(const struct core_worker *worker);
bool core_worker_accepts(const struct core_worker *worker);
/* Files the worker by its state and lane. cold: behind the other idle ones, not before them. */
void core_lane_file(struct core_worker *worker, bool cold);
void core_lane_unfile(struct core_worker *worker);
void core_lane_push(struct core_worker *worker, struct core_task *task, uint64_t now_ns);
void core_lane_remove(struct core_worker *worker, struct core_task *task, uint64_t now_ns);
void core_lane_known_claimed(struct core_worker *worker);
/* Takes READY tasks back to the front of their flows, from the tail, until `keep` are left. → how many. The caller
 * settles the worker. */
uint32_t core_lane_take_back(struct core_worker *worker, uint32_t keep, uint64_t now_ns);

static inline bool core_pool_has_idle(const struct core_pool *pool)
{
    return pool->open_mask & 1;
}

/* Lanes with more than a head, by length: bit n for n + 1 tasks. */
static inline uint64_t core_pool_ahead_mask(const struct core_pool *pool)
{
    return ((pool->open_mask >> 1) | pool->closed_mask) & ~1ull;
}

/* ---- dispatch.c */

void core_dispatch(struct core_pool *pool, uint64_t now_ns);

/* ---- watch.c */

void core_watch_take_back(struct core_pool *pool, uint64_t now_ns);
void core_watch_fire(struct core_pool *pool, uint64_t now_ns);
void core_watch_arm(struct core_pool *pool, uint64_t now_ns);
/* The worker has not claimed its head in time: takes back everything and rests it, or kills it at the third time. If
 * the head turns out to be claimed the suspicion is cleared. */
void core_watch_suspect(struct core_worker *worker, uint64_t now_ns);
void core_watch_rested(struct core_worker *worker, uint64_t now_ns);

/* ---- worker_state.c */

void core_worker_set_state(struct core_worker *worker, enum core_worker_state state, uint64_t now_ns);
/* Ready, but one too many for now: it is held until there is room. */
void core_worker_stand_by(struct core_worker *worker, uint64_t now_ns);
/* After its lane changed: makes it busy or idle, or retires it. */
void core_worker_settle(struct core_worker *worker, uint64_t now_ns);
void core_worker_expire(struct core_worker *worker);
/* Gives it nothing new; retires it when its lane is empty, at once if it is. */
void core_worker_retire(struct core_worker *worker, uint64_t now_ns);
void core_worker_kill(struct core_worker *worker, uint64_t now_ns);
/* The op itself killed the worker for a task; takes back the tasks behind that one. */
void core_worker_killed_for_task(struct core_worker *worker, uint64_t now_ns);
void core_worker_release_standby(struct core_worker *worker, uint64_t now_ns);
void core_worker_gone_timer(struct core_worker *worker, uint64_t now_ns);

/* ---- sizing.c */

void core_sizing_shrink(struct core_pool *pool, uint64_t now_ns); /* before dispatch */
void core_sizing_grow(struct core_pool *pool, uint64_t now_ns);   /* after it */
void core_sizing_idle(struct core_pool *pool, uint64_t now_ns);
/* The worker that has been idle longest and replaces nobody; NULL: there is none. */
struct core_worker *core_sizing_idlest(const struct core_pool *pool);
/* Lets one expiring worker go: an idle one if there is one. */
void core_sizing_relieve(struct core_pool *pool, uint64_t now_ns);
void core_sizing_early_exit(struct core_pool *pool, uint64_t now_ns);
/* A birth has taken too long: counts as CORE_DOWN_BIRTHS failures in a row. */
void core_sizing_late_birth(struct core_pool *pool, uint64_t now_ns);
void core_sizing_healthy(struct core_worker *worker);
void core_sizing_reset(struct core_pool *pool);

/* ---- stop.c */

void core_stop_head_timeout(struct core_worker *worker, uint64_t now_ns);
/* It has waited past its deadline: ends it, unless it has just begun to run. */
void core_stop_expired(struct core_task *task, uint64_t now_ns);
void core_stop_grace_over(struct core_task *task, uint64_t now_ns);
void core_stop_deadline(struct core *core, uint64_t now_ns);
enum mpool_state core_stop_state(enum core_why why);
/* Retires idle workers now, busy ones when their lane is empty. */
void core_stop_drain(struct core_pool *pool, uint64_t now_ns);
/* Finishes the first waiting task: the core is stopping, or the pool is down. → false: none waits. */
bool core_stop_flush_one(struct core_pool *pool, enum core_why why);

/* ---- retry.c */

/* The delay before the next run after `attempt` runs (≥ 1). */
uint64_t core_retry_delay_ns(uint32_t attempt);
/* The n-th step of 100 ms · 2^n, at most 10 s. */
uint64_t core_retry_step_ns(uint32_t n);
/* A run failed and another is allowed: to the front of its flow, or into backoff. The task must be in no list. */
void core_retry(struct core_task *task, uint64_t now_ns);
bool core_retry_allowed(const struct core_task *task);
