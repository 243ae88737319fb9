/* A small world for the core: virtual time, simulated workers and lanes, and a judge that knows what may happen.
 *
 * Everything is decided by one seeded generator and one clock, so a seed replays exactly. The real core runs in it,
 * called only at events and at core_next_ns(). scenario.c plays users and administrators, proc.c the workers,
 * supervisor.c the room that performs the core's wishes, judge.c checks each of them against what was true in the
 * world.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/core.h"

#define US 1000ull
#define MS 1000000ull
#define S  1000000000ull

#define SIM_SLOTS   64u
#define SIM_RING    1024u
#define SIM_TASKS   96u
#define SIM_POOLS   2u
#define SIM_LEVELS  3u /* priorities */
#define SIM_USERS   3u
#define SIM_CLIENTS 5u
#define SIM_NEVER   UINT64_MAX

/* ---- chance --------------------------------------------------------------------------------------------------------
 */

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t n);                   /* 0 … n - 1 */
uint64_t rng_between(struct rng *rng, uint64_t from, uint64_t to); /* both included */
bool rng_percent(struct rng *rng, unsigned percent);

/* ---- events --------------------------------------------------------------------------------------------------------
 */

enum event_kind {
    EVENT_SUBMIT,
    EVENT_CANCEL,
    EVENT_OUTDATE,
    EVENT_RECONFIGURE,
    EVENT_SUSPEND,
    EVENT_OPEN,
    EVENT_PAUSE,  /* or the end of a pause, of a pool or of a function */
    EVENT_MURDER, /* some worker is killed by somebody else */
    EVENT_FREEZE, /* SIGSTOP; it goes on later */
    EVENT_END,
    EVENT_STOP_AGAIN,
    EVENT_SPAWN_ANSWER,
    EVENT_PROC_READY,
    EVENT_PROC_STEP,
    EVENT_PROC_RUN_ENDS,
    EVENT_PROC_WAITS,   /* its function submits a task and waits for it */
    EVENT_PROC_GOES_ON, /* that task has ended */
    EVENT_PROC_EXITS,
    EVENT_NOTICE_RESULTS,
    EVENT_NOTICE_DEATH,
    EVENT_COUNT
};

struct event {
    uint64_t at_ns, order;
    enum event_kind kind;
    uint32_t subject; /* index of a task, pool or proc, by kind */
    uint32_t run;     /* EVENT_PROC_RUN_ENDS, EVENT_PROC_WAITS: of which run */
};

/* ---- tasks as the judge knows them
 * ------------------------------------------------------------------------------------ */

enum outcome { OUTCOME_OK, OUTCOME_FAILED, OUTCOME_RETRYABLE, OUTCOME_CRASH };

struct live_task { /* freed in finish(), so that nobody looks at it any more */
    struct core_task core;
    struct sim_task *task;
};

struct sim_task {
    uint32_t index, pool, level, user, client;
    uint64_t charged_ns;    /* what its run counts for its turns */
    bool leaving;           /* the queue: it is being placed */
    bool came_back;         /* without having run: that is to be given back once it queues again */
    struct live_task *live; /* NULL: not submitted, or finished */
    bool submitted, finished, follower;
    bool front; /* need not wait for those who came earlier */
    bool ahead; /* goes before all others, and behind no head */
    uint32_t function, attempts, timeout_ms, grace_ms;
    uint64_t start_ns, expires_ns; /* as in the core; before it is submitted: after that */
    bool alone, chunk;
    uint64_t submit_ns, finish_ns, order;
    uint32_t runs_begun, runs_ended;
    bool running;   /* some worker runs it now */
    bool succeeded; /* a run of it has ended well */
    bool placed_ever, requeued;
    uint64_t placed_ns, claimed_ns, told_ns; /* told_ns: 0 not told in this run */
    enum core_why asked;                     /* to stop, by core_cancel(); CORE_WHY_RESULT: not */
    uint64_t asked_ns;
    enum mpool_state state;
};

/* ---- workers
 * ---------------------------------------------------------------------------------------------------------- */

enum word { WORD_READY, WORD_STARTED, WORD_DONE, WORD_RECLAIMED, WORD_KILLING };

struct slot {
    enum word word;
    struct sim_task *task;
    enum outcome outcome;
    uint64_t run_ns;
};

struct proc {
    struct core_worker core;
    uint32_t id, pool;
    bool alive, ready, stepping, running, retiring, kill_sent, noticing;
    bool told; /* to stop, and it listened */
    uint64_t frozen_until_ns;
    uint32_t run; /* number of the run that is on, or was last */
    uint64_t run_began_ns;
    enum outcome run_outcome;
    uint32_t claims;
    struct sim_task *child;    /* what its run waits for; or NULL */
    uint32_t head, tail, next; /* collected up to; placed up to; where the worker looks next */
    uint64_t refused_pass;     /* number of the pass in which place() last said no; 0: never */
    struct slot slots[SIM_RING];
};

/* ---- the world
 * ----------------------------------------------------------------------------------------------------------- */

struct sim_pool {
    struct core_pool *core;
    struct core_pool_config config;
    uint32_t max_ever, nested_ever;
    bool paused;
    bool open, given_up, reconfigured, closed, empty_told;
    uint32_t asked;
    uint32_t failed_births; /* spawns that failed, and workers that died, since a new one last ended a task */
    struct core_function functions[4];
};

/* Time used, as in daemon/core/turns.c. */
struct sim_turn {
    uint64_t used_ns, place_ns, clock_ns;
    uint32_t members;
    bool waits;
};

struct sim_flow {
    struct sim_turn turn;
    uint64_t last_order;
};

/* What may go wrong in this seed, in percent of the occasions. */
struct mischief {
    unsigned crash, retryable, failure, hang, young, spawn_fails, place_refuses, slow_wake, admin, murder, freeze,
        cancel, nested;
    bool strict_slots; /* a slot is free only after the worker has passed it, too */
    bool races;        /* workers go on while the supervisor looks */
    bool quiet;        /* nothing goes wrong: times are judged tightly */
};

struct sim {
    uint64_t seed, now_ns, order, passes;
    bool trace;
    struct rng rng;
    struct mischief mischief;
    struct core *core;
    struct event *events; /* a binary heap */
    size_t event_count, event_size;
    struct sim_pool pools[SIM_POOLS];
    uint32_t pool_count;
    struct core_client *clients[SIM_CLIENTS];
    struct sim_turn levels[SIM_POOLS][SIM_LEVELS], users[SIM_POOLS][SIM_LEVELS][SIM_USERS];
    struct sim_flow flows[SIM_POOLS][SIM_LEVELS][SIM_USERS][SIM_CLIENTS];
    struct sim_task tasks[SIM_TASKS];
    uint32_t task_count, unfinished;
    struct proc **procs; /* by id; NULL: buried */
    uint32_t proc_count, proc_size, proc_alive;
    struct sim_task *collecting; /* whose result is being handed in */
    enum outcome collected;
    struct proc *burying;
    struct sim_task *buried;       /* the started head of the one being buried */
    bool stopping, stopped, ended; /* stopped: core_stop() has returned */
    uint64_t stop_deadline_ns, end_ns;
    uint64_t busiest_ns; /* sum of all run times begun, for the quiet seeds */
};

/* events.c */
void sim_at(struct sim *sim, uint64_t delay_ns, enum event_kind kind, uint32_t subject, uint32_t run);
bool sim_pop(struct sim *sim, struct event *ret);
uint64_t sim_next_ns(const struct sim *sim);

/* judge.c: stops the program, with the seed, when something happened that must not. */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_say(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void judge_place(struct sim *sim, struct proc *p, struct sim_task *t);
void judge_claim(struct sim *sim, struct proc *p, struct sim_task *t);
void judge_kill_task(struct sim *sim, struct proc *p, struct sim_task *t);
void judge_kill_worker(struct sim *sim, struct proc *p);
void judge_retire(struct sim *sim, struct proc *p);
void judge_spawn(struct sim *sim, struct sim_pool *pool);
void judge_finish(struct sim *sim, struct sim_task *t, enum core_why why);
void judge_rest(struct sim *sim);
void judge_end(struct sim *sim);

/* turns.c: the same for the turns that flows take. */
uint8_t turns_priority(uint32_t level);
void turns_submit(struct sim *sim, struct sim_task *t); /* after it was submitted */
void turns_place(struct sim *sim, struct sim_task *t);  /* before it is placed: is it its turn? */
void turns_placed(struct sim *sim, struct sim_task *t); /* while it is still in the queue */
void turns_came_back(struct sim_task *t);               /* without having run; before it is in the queue again */
void turns_look(struct sim *sim);
void turns_done(struct sim *sim, struct sim_task *t, uint64_t run_ns); /* before the core learns of it */
void turns_finish(struct sim *sim, struct sim_task *t);

/* proc.c */
struct proc *proc_new(struct sim *sim, uint32_t pool);
void proc_post(struct sim *sim, struct proc *p);
void proc_die(struct sim *sim, struct proc *p);
void proc_ready(struct sim *sim, struct proc *p);
void proc_step(struct sim *sim, struct proc *p);
void proc_run_ends(struct sim *sim, struct proc *p, uint32_t run);
void proc_waits(struct sim *sim, struct proc *p, uint32_t run);
void proc_goes_on(struct sim *sim, struct proc *p);
void proc_told(struct sim *sim, struct proc *p);
void proc_freeze(struct sim *sim, struct proc *p, uint64_t for_ns);
static inline struct slot *proc_slot(struct proc *p, uint32_t position)
{
    return &p->slots[position % SIM_RING];
}

/* supervisor.c */
extern const struct core_ops supervisor_ops;
void supervisor_spawn_answer(struct sim *sim, struct sim_pool *pool);
void supervisor_collect(struct sim *sim, struct proc *p);
void supervisor_bury(struct sim *sim, struct proc *p);
void supervisor_submit(struct sim *sim, struct sim_task *t);
void supervisor_cancel(struct sim *sim, struct sim_task *t, enum core_why why);

/* scenario.c */
void scenario_begin(struct sim *sim);
typedef void event_handler(struct sim *sim, const struct event *event);
event_handler scenario_submit, scenario_cancel, scenario_outdate, scenario_reconfigure, scenario_suspend, scenario_open,
    scenario_pause, scenario_murder, scenario_freeze, scenario_end, scenario_stop_again;
struct sim_task *scenario_task(struct sim *sim); /* one more; NULL: enough */

/* world.c */
void sim_run(uint64_t seed, bool trace);
