/* Detached tasks and their results: jobs by id, in memory, with a cap and a time to live.
 *
 * A job is created when the task is acknowledged and removed `ttl` after the task's end. All jobs are lost at a
 * restart. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "daemon/task/task.h"

struct conn;
struct process;

enum waiter_kind { WAITER_STATUS, WAITER_RESULT, WAITER_START };

struct waiter { /* a `wait` or `result` that is answered later */
    LIST_ENTRY(waiter) of_job;
    LIST_ENTRY(waiter) of_conn;
    struct conn *conn;
    struct job *job;
    uint32_t msgid;
    bool no_reply;
    enum waiter_kind kind;
    struct event *timer; /* or NULL: indefinitely */
};

struct job {
    UT_hash_handle hh;
    TAILQ_ENTRY(job) link;
    uint64_t id;
    uid_t uid;
    struct share *share;     /* of the user who submitted it, … */
    bool admin;              /* … as an administrator */
    struct task *task;       /* until it has ended */
    struct process *process; /* owned; NULL: a plain task */
    char *name;              /* owned, or NULL */
    char *function;          /* owned */
    char pool[64];
    enum mpool_state state; /* final, once task is NULL */
    uint64_t submitted_ms, started_ms, ended_ms;
    uint32_t attempt, attempts, worker;
    pid_t pid;           /* of its last run, once that has ended; 0: it never ran */
    uint64_t timeout_ms; /* the same */
    uint64_t ttl_ms;
    bool forgotten;   /* removed as soon as its task ends */
    uint64_t counted; /* the kept bytes for which it counts in its share */
    uint8_t *result;  /* owned: the result, or the error value */
    uint64_t size;
    int result_fd; /* instead of result, or -1 */
    bool has_verdict;
    struct verdict verdict;
    uint64_t done, total; /* last progress */
    LIST_HEAD(, waiter) waiters;
    struct event *expiry;
    struct tasks *tasks;
};

/* → NULL: no memory. The task is linked to the job. */
struct job *job_new(struct conn *c, struct task *t, const struct task_options *options);
struct job *job_find(struct tasks *tasks, uint64_t id);
/* Is there room for another job of this client's, with this many bytes of arguments? Finished jobs are removed when
 * their time to live expires or when they are forgotten, never to make room. */
bool job_has_room(const struct conn *c, uint64_t args_length);
extern const struct task_ops job_ops;
/* Answers now or later. timeout_ms: UINT64_MAX: indefinitely. */
void job_wait(
    struct job *job, struct conn *c, uint32_t msgid, bool no_reply, enum waiter_kind kind, uint64_t timeout_ms);
/* Answers a waiting request of this connection with E_CANCELLED; if it waits for a process to start, cancels that. →
 * false: there is none with this msgid. */
bool job_wait_cancel(struct conn *c, uint32_t msgid);
void waiter_free(struct waiter *w);
/* Answers the requests that wait for its start. */
void job_started(struct job *job);
/* The job is no longer wanted. → whether it has been freed; otherwise it is freed when its task ends. */
bool job_forget(struct tasks *tasks, struct job *job);
void job_free(struct tasks *tasks, struct job *job);
