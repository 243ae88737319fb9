/* All pools and workers, and what they have in common. A worker knows how tasks are handed over and where results come
 * from; whose they are, and what the results mean, is hidden behind struct worker_task_ops. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "daemon/base/loop.h"
#include "daemon/config/config.h"
#include "daemon/core/core.h"
#include "daemon/pool/deaths.h"
#include "daemon/pool/spin_policy.h"

struct sleep_word;
struct function_index;
struct lane_job;
struct lane_result;
struct pool;
struct tasks;
struct forkserver;
struct verdict;
struct worker;

TAILQ_HEAD(pool_list, pool);
TAILQ_HEAD(worker_list, worker);
LIST_HEAD(forkserver_list, forkserver);

/* A task as a worker gets it. */
struct run_request {
    struct lane_job *job; /* complete except for the function's index */
    struct iovec pieces[2];
    int count;         /* number of pieces */
    uint8_t header[5]; /* room for a piece */
    int args_fd;       /* with LANE_JOB_MEMFD: borrowed */
    int stdin_fd;      /* with LANE_JOB_STDIN: borrowed */
};

/* How a run of a task ended, for the receiver of core_ops.finish. */
struct run_report {
    const struct lane_result *result; /* or NULL: there is none */
    int *result_memfd;
    const struct verdict *verdict; /* of the worker whose death ended it, or NULL */
    const uint8_t *partial;        /* results of a chunk that was started */
    uint64_t partial_size;
    uint32_t partial_items;
    bool chunk_is_over; /* every item may have run but the results are lost */
    bool malformed;     /* out: the result was not one whole value within the limits */
};

struct worker_task_ops {
    /* Fills in the job. → 0 or -errno. */
    int (*job)(struct tasks *tasks, struct core_task *task, struct run_request *ret);
    /* It has been placed with that worker. */
    void (*placed)(struct tasks *tasks, struct core_task *task, const struct worker *w);
    /* The id by which its caller knows it. */
    uint64_t (*public_id)(const struct core_task *task);
    /* Passes its output to its caller (core_task.alone). Bytes are borrowed. */
    void (*output)(struct core_task *task, int stream, const void *bytes, size_t length);
    /* Its caller is not reading its output: deliver no more for now. */
    bool (*output_is_blocked)(const struct core_task *task);
    /* Ends the queued tasks of functions that the pool no longer has. */
    void (*drop_absent)(struct tasks *tasks, struct pool *pool);
    /* It has ended. report: how its last run ended; zeroed if it ends without one. */
    void (*finished)(struct tasks *tasks, struct core_task *task, enum core_why why, struct run_report *report);
    /* The worker is freed. */
    void (*worker_gone)(struct worker *w);
};

struct workers {
    struct loop *loop;
    const struct config *config;
    struct core *core;
    const struct worker_task_ops *ops;
    struct tasks *tasks;     /* for all of the above; nothing of them is known here */
    const char *socket_path; /* borrowed; for the environment of functions */
    bool socket_is_private;  /* only our own user and root can connect */

    struct pool_list pools; /* in the configuration's order, the default pool first; closing ones at the end */
    struct function_index *functions; /* by name, over all pools */
    struct worker_list busy;          /* with a non-empty lane */
    uint32_t busy_count;
    struct worker_list dirty;  /* with jobs placed but not posted */
    struct worker_list paused; /* output paused: the caller is not reading it */
    uint64_t collected_bytes;  /* of results, in this pass */
    struct spin_policy spin;
    struct sleep_word *sleep_word;
    struct deaths deaths;
    struct forkserver_list forkservers; /* all whose process has not been reaped */
    uint32_t unforked;                  /* workers requested from a forkserver that has not answered yet */
    bool spawns_wanted;                 /* of some pool */
    uint32_t next_worker;
    uint64_t next_generation;
    uid_t *users; /* users that workers run as, or have run as */
    size_t user_count;
};

/* Workers will run as that user. → 0 or -ENOMEM. */
int workers_add_user(struct workers *workers, uid_t uid);
bool workers_run_as(const struct workers *workers, uid_t uid);
/* How many workers do the pools still lack? For struct descriptors. */
uint64_t workers_lacking(const void *workers);
