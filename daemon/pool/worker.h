/* A worker as the supervisor knows it: its process, its lane, its sockets, what it runs, and how it ended. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/core/core.h"
#include "daemon/lane/lane.h"
#include "daemon/pool/oom.h"
#include "daemon/pool/orphans.h"
#include "daemon/pool/output.h"

struct function;
struct pool;
struct workers;
struct task;
struct forkserver;

/* How a worker ended, for E_LOST, status and the log. */
struct verdict {
    uint32_t worker;
    pid_t pid;
    int signal;           /* 0: it exited */
    int exit_status;      /* when signal is 0 */
    enum oom_verdict oom; /* killed by the kernel's out-of-memory killer */
    bool broke;           /* we killed it because it broke the lane's protocol */
    uint64_t cpu_us, peak_kib;
};

#define WORKER_MEMFD_NONE (-1)
#define WORKER_MEMFD_LOST (-2) /* it was sent, but this process had no free descriptor for it */

struct worker_memfd {
    uint32_t position;
    uint64_t size;
    int fd; /* or WORKER_MEMFD_… */
};

/* A task whose output is logged. */
struct speaker {
    uint64_t task; /* its public id */
    const struct function *function;
};

struct worker {
    struct core_worker core;
    TAILQ_ENTRY(worker) link; /* in its pool */
    TAILQ_ENTRY(worker) busy; /* in the supervisor's list, while its lane is not empty */
    TAILQ_ENTRY(worker) dirty;
    TAILQ_ENTRY(worker) paused;   /* output paused: the caller is not reading it (backpressure) */
    TAILQ_ENTRY(worker) spinning; /* may busy-wait: see spin_policy.h */
    bool in_busy, in_dirty, in_paused, in_spinning;
    struct workers *workers;
    struct pool *pool;
    struct forkserver *forkserver; /* owned reference */
    uint32_t number;
    uint64_t generation;
    struct speaker last; /* whose result was collected last */
    pid_t pid;           /* 0: not forked yet */
    struct child child;  /* of that pid */
    int pidfd, control;
    struct event *on_death, *on_control;
    struct output out[2]; /* what it prints to 1 and 2 */
    struct output_lines lines[2];
    struct speaker line_of[2]; /* whose text an unfinished line is */
    struct lane *lane;
    struct worker_memfd results[2]; /* sent ahead of their DONE; collected before a third is accepted */
    bool ready, kill_sent;          /* kill_sent: SIGKILL has been sent */
    bool excused;                   /* the pool has been informed why it does not get ready */
    bool retiring;                  /* the retire job is placed */
    bool broke;
    bool process;   /* made for one task: see process.h */
    uint32_t waits; /* connections from inside it that are waiting for tasks: see daemon/task/nested.h */
    TAILQ_HEAD(, conn_tasks) clients; /* connections of clients inside it */
    TAILQ_HEAD(, task) children;      /* the tasks that they wait for */
    struct task *leader;              /* the child that is queued ahead of tasks that are only waiting; NULL: none */
    uint64_t born_ns, retired_ns, last_rss_check_ns;
};

static inline struct worker *worker_of(struct core_worker *w)
{
    return (struct worker *)(void *)((char *)w - offsetof(struct worker, core));
}

/* core_ops: see core.h. */
bool worker_place(void *context, struct core_worker *worker, struct core_task *task);
bool worker_reclaim(void *context, struct core_worker *worker, struct core_task *task);
bool worker_started(void *context, struct core_worker *worker, struct core_task *task);
void worker_cancel(void *context, struct core_worker *worker, struct core_task *task);
bool worker_kill_task(void *context, struct core_worker *worker, struct core_task *task);
void worker_kill(void *context, struct core_worker *worker);
void worker_retire(void *context, struct core_worker *worker);
void worker_spawn(void *context, struct core_pool *pool);
void worker_finish(void *context, struct core_task *task, enum core_why why, void *report);

/* Starts some of the workers that worker_spawn() was asked for: outside of the core's calls, and only so many per pass
 * and per forkserver that nothing is held up. */
void worker_spawn_wanted(struct workers *workers);

/* The forkserver's answer: pid, or negative errno. → false: no such worker was requested. */
bool worker_forked(struct forkserver *t, uint32_t number, uint64_t generation, pid_t pid);
/* Its forkserver exited before it answered. */
void worker_fork_failed(struct worker *w, const char *why);

/* Resumes reading those whose callers have room again. */
void worker_resume_output(struct workers *workers);

/* Collects what the lane has resolved. → how many positions. */
unsigned worker_collect(struct worker *w);
/* The worker of this generation, if it is still alive, has violated the protocol: log that and kill it. */
void worker_break_by_generation(struct workers *workers, uint64_t generation, const char *what);
/* Is anything resolved? One load. */
bool worker_has_result(const struct worker *w);
/* Publishes what was placed in this pass. */
void worker_post(struct worker *w);
/* The sealed memfd that was sent ahead of the result at `position`, or WORKER_MEMFD_…. The caller owns it. */
int worker_take_memfd(struct worker *w, uint32_t position, uint64_t size);
/* The task it is running now, if any. */
struct core_task *worker_running(const struct worker *w);
/* Bytes of resident memory, 0 if unknown. */
uint64_t worker_rss(const struct worker *w);
/* Signals its process; SIGKILL as any other. → 0 or -errno. */
int worker_signal(struct worker *w, int number);
uint64_t worker_cpu_ms(const struct worker *w);
/* Checks max_memory; call now and then. */
void worker_check_memory(struct worker *w);
/* For the end of the supervisor: kills and reaps. */
void worker_destroy(struct worker *w);
