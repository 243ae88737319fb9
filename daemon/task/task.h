/* A task: what was asked for, by whom, and how it is answered.
 *
 * There are three kinds, each with a table of functions: a call, attached to a connection (call.c); a detached task,
 * whose job outlives it (job.c); a chunk of a map (map_chunks.c). The core decides when it runs, and reports its end
 * once through task_finished(). What all kinds have in common is here, and nothing of them is known. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "daemon/base/option_table.h"
#include "daemon/core/core.h"
#include "daemon/pool/worker.h"
#include "daemon/pool/workers.h"
#include "daemon/task/attached.h"
#include "proto/errors.h"

struct caller;
struct conn;
struct function;
struct job;
struct map;
struct pool;
struct outcome;
struct tasks;

#define TASK_NAME_MAX 128u /* bytes */
#define TASK_PRIORITY 128u /* unless the caller says otherwise */

/* The caller's options, checked. See options.h for the names. */
struct task_options {
    struct option_text pool, name;                                   /* borrowed from the request */
    uint64_t timeout_ms, attempts, ttl_s, chunk, args_memfd;         /* 0: not given */
    uint64_t delay_ms, start_at_ms, expires_at_ms, queue_timeout_ms; /* 0: not given; at: of the wall clock */
    uint64_t start_ns, expires_ns;                                   /* what follows from these; 0: none */
    uint64_t priority;                                               /* default: TASK_PRIORITY */
    bool output, star, each, stream;
    bool has_stdin; /* a descriptor that came with the request is its standard input */
    bool daemonic;  /* default: true */
};

#define TASK_OPTIONS_DEFAULT ((struct task_options){.daemonic = true, .priority = TASK_PRIORITY})

/* The operations of a kind of task. */
struct task_ops {
    /* The id by which its caller knows it. */
    uint64_t (*public_id)(const struct task *t);
    /* The connection that receives its output, or NULL. */
    struct conn *(*reader)(const struct task *t);
    void (*output)(struct task *t, int stream, const void *bytes, size_t length);
    /* Arguments, if they are not the task's own, and the maximum size of its result. */
    void (*fill_job)(const struct task *t, struct run_request *ret);
    /* It has been placed with that worker. NULL: nothing. */
    void (*placed)(struct task *t, const struct worker *w);
    /* Which attempt does this run count as? NULL: as the core counts. */
    void (*count_attempts)(const struct task *t, const struct run_report *report, struct outcome *o);
    /* Adjusts the outcome, for processes. text: room for the sentence. NULL: nothing. */
    void (*judge)(const struct task *t, struct outcome *o, char *text, size_t size);
    /* It has ended: reports that to whoever waits for it. o->malformed may be set. */
    void (*finish)(struct task *t, const struct run_report *report, struct outcome *o);
    /* What it owns beside its arguments. NULL: nothing. */
    void (*free)(struct task *t);
};

struct task {
    struct core_task core;
    struct function *function;
    uint64_t id;
    const struct task_ops *ops; /* its kind's */
    bool output;                /* the caller wants its output */
    bool small;                 /* its memory has the size that is recycled */
    bool removed;               /* its function went away in a reload */
    bool no_reply;              /* sent as a notification */
    struct caller *caller;      /* who asked for it: its own requests are made on that caller's behalf, too */
    uint64_t submitted_ms;
    union {
        struct {
            struct conn *conn;
            uint32_t msgid;
            LIST_ENTRY(task) same_hash; /* in the connection's table of calls; notifications are not */
            TAILQ_ENTRY(task) of_conn;  /* in that table's list of all */
            TAILQ_ENTRY(task) every;    /* supervisor's list */
            struct attached by_id;
            char *name;   /* owned, or NULL */
            int stdin_fd; /* owned, or -1 */
        } call;
        struct job *job;
        struct {
            struct map *map;
            uint32_t first, count;   /* items of the map */
            size_t offset, length;   /* their bytes */
            uint32_t item_attempt;   /* runs of its first item so far */
            uint64_t timeout_ms;     /* of one item */
            TAILQ_ENTRY(task) every; /* map's list */
        } chunk;
    };
    uint32_t began_ms;         /* when it began to run, as ms after submitted_ms, plus 1; 0: not yet */
    struct worker *parent;     /* that waits for it and has given up its slot meanwhile, or NULL: see nested.h */
    TAILQ_ENTRY(task) sibling; /* in the parent's list */
    int args_fd;               /* a sealed memfd with the arguments, or -1 */
    uint64_t args_length;
    uint8_t args[]; /* if args_fd is -1 and it is not a chunk */
};

static inline struct task *task_of(struct core_task *t)
{
    return (struct task *)(void *)((char *)t - offsetof(struct task, core));
}

/* Only the first call counts. The wall clock may be set back, and a task may wait for more than a month. */
static inline void task_began(struct task *t, uint64_t wall_ms)
{
    uint64_t waited = wall_ms > t->submitted_ms ? wall_ms - t->submitted_ms : 0;
    if (t->began_ms == 0)
        t->began_ms = waited < UINT32_MAX ? (uint32_t)waited + 1 : UINT32_MAX;
}

/* As requested; the core gives a chunk somewhat longer than one item. 0: none. */
static inline uint64_t task_timeout_ms(const struct task *t)
{
    return t->core.chunk ? t->chunk.timeout_ms : t->core.timeout_ms;
}

/* Of the wall clock; 0: it has not begun to run. */
static inline uint64_t task_started_ms(const struct task *t)
{
    return t->began_ms ? t->submitted_ms + t->began_ms - 1 : 0;
}

/* Clients that take memfds get larger results that way: shared memory instead of two copies through a socket. */
#define MEMFD_RESULT_MIN (512u << 10)

/* How a task ended, for the receiver of its result. Exactly one of: a result (error NONE), the function's own error
 * value (error FAILED with size > 0), or our own error with text. */
struct outcome {
    enum mpool_state state;
    enum mpool_error error;
    const char *text;    /* without "E_NAME: "; own errors */
    const uint8_t *data; /* result or error value, in the lane: may change until it is copied */
    uint64_t size;
    int memfd;           /* holds the result instead of data, or -1; the receiver may take it (set it to -1) */
    bool shared;         /* others hold the memfd, too */
    uint64_t generation; /* of the worker that made it; 0: unknown */
    uint32_t items_done; /* chunks */
    const struct verdict *verdict; /* for LOST and kills; else NULL */
    uint32_t attempt, attempts;
    bool malformed; /* set by the receiver: the bytes were not one valid value */
};

/* Sent to a caller whose worker returned an invalid value. */
#define TASK_WORKER_BROKE "the worker's answer was damaged; it has been ended"

/* Makes a task of the caller's, without a flow. args: copied (large ones into a memfd), or args_fd: taken, of
 * args_length bytes (small ones are copied out of it, as they are not worth a descriptor; they are checked to be one
 * whole value then). → NULL with *ret_errno (-ENOMEM, -EMFILE, -ENOSPC, -EIO; -EBADMSG: args_fd holds no whole value).
 */
struct task *task_new(struct tasks *tasks, struct caller *caller, struct function *f, const struct task_ops *ops,
    const struct task_options *options, const void *args, uint64_t args_length, int args_fd, int *ret_errno);
/* Only for a task that is not submitted to the core, or no longer. */
void task_free(struct tasks *tasks, struct task *t);
/* Frees the memory that is kept for the next tasks. */
void task_rooms_free(struct tasks *tasks);

/* The id by which its caller knows it: for a chunk that of its map. */
uint64_t task_public_id(const struct task *t);

/* Submits it to the core. c: the connection that waits for it, or NULL. front: ahead of tasks that are already waiting.
 */
void task_submit(struct tasks *tasks, struct task *t, const struct conn *c, bool front);
/* Sends output of a task to the connection that requested it. */
void task_put_output(struct conn *c, uint32_t msgid, int stream, const void *bytes, size_t length);

/* worker_task_ops.finished */
void task_finished(struct tasks *tasks, struct core_task *task, enum core_why why, struct run_report *report);

/* The task that the worker is running now, if any. */
struct task *task_running(const struct worker *w);

/* Writes the response to a request from an outcome: result, function's error, or our own. Takes outcome->memfd if it
 * is passed on. */
void task_respond(struct conn *c, uint32_t msgid, bool no_reply, struct outcome *o);

/* "E_NAME: text" of an outcome that is not a success; out is always terminated. → its length. */
size_t task_error_text(const struct outcome *o, char *out, size_t size, int *ret_class);

/* State, error and text of a task that was stopped or lost. verdict: of the worker whose death ended it, or NULL. text:
 * room for the sentence. */
void task_describe_stop(
    const struct task *t, enum core_why why, const struct verdict *verdict, struct outcome *o, char *text, size_t size);

/* The maximum result size for this connection (NULL: a job). */
uint64_t task_max_result(const struct tasks *tasks, const struct conn *c);
