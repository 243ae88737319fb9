/* A task: what was asked for, by whom, and how it is answered.
 *
 * Three kinds: a call, attached to a connection; a detached task, whose record (kept.h) outlives it; a chunk of a map.
 * The heart decides when it runs; its one answer comes back through task_finished().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "daemon/core/core.h"
#include "daemon/supervisor/attached.h"
#include "daemon/supervisor/option_table.h"
#include "daemon/supervisor/worker.h"
#include "proto/errors.h"

struct caller;
struct conn;
struct function;
struct kept;
struct map;
struct pool;
struct supervisor;

enum task_kind { TASK_CALL, TASK_DETACHED, TASK_CHUNK };

#define TASK_NAME_MAX 128u /* bytes */

/* What the caller asked for beside function and arguments, checked. See options.h for the names. */
struct task_options {
    struct option_text pool, name;                           /* borrowed from the request */
    uint64_t timeout_ms, attempts, ttl_s, chunk, args_memfd; /* 0: not given */
    bool output, star, each, stream;
    bool has_stdin; /* a descriptor that came with the request is its standard input */
    bool daemonic;  /* true unless said otherwise */
};

struct task {
    struct core_task core;
    struct function *function;
    uint64_t id;
    enum task_kind kind;
    bool output;           /* the caller wants what it prints */
    bool small;            /* its memory is of the size that is kept */
    bool removed;          /* its function went away in a reload */
    bool no_reply;         /* sent as a notification */
    struct caller *caller; /* who asked for it: what it asks for itself is that one's, too */
    uint64_t submitted_ms;
    union {
        struct {
            struct conn *conn;
            uint32_t msgid;
            LIST_ENTRY(task) same_hash; /* in the connection's table of calls; a notification is in none */
            TAILQ_ENTRY(task) of_conn;  /* in that table's list of all */
            TAILQ_ENTRY(task) every;    /* supervisor's list */
            struct attached by_id;
            char *name;   /* owned, or NULL */
            int stdin_fd; /* owned, or -1 */
        } call;
        struct kept *kept;
        struct {
            struct map *map;
            uint32_t first, count;   /* items of the map */
            size_t offset, length;   /* their bytes */
            uint32_t item_attempt;   /* runs of its first item so far */
            uint64_t timeout_ms;     /* of one item */
            TAILQ_ENTRY(task) every; /* map's list */
        } chunk;
    };
    uint32_t began_ms;         /* when it began to run: so long after submitted_ms, and 1; 0: it has not */
    struct worker *parent;     /* that waits for it and has left its place for that, or NULL: see nested.h */
    TAILQ_ENTRY(task) sibling; /* in that one's list */
    int args_fd;               /* a sealed memfd with the arguments, or -1 */
    uint64_t args_length;
    uint8_t args[]; /* when args_fd is -1 and kind is not CHUNK */
};

static inline struct task *task_of(struct core_task *t)
{
    return (struct task *)(void *)((char *)t - offsetof(struct task, core));
}

/* The first time counts. The wall clock may be set back, and a task may wait for more than a month. */
static inline void task_began(struct task *t, uint64_t wall_ms)
{
    uint64_t waited = wall_ms > t->submitted_ms ? wall_ms - t->submitted_ms : 0;
    if (t->began_ms == 0)
        t->began_ms = waited < UINT32_MAX ? (uint32_t)waited + 1 : UINT32_MAX;
}

/* What was asked for; the heart gives a chunk somewhat longer than one item. 0: none. */
static inline uint64_t task_timeout_ms(const struct task *t)
{
    return t->kind == TASK_CHUNK ? t->chunk.timeout_ms : t->core.timeout_ms;
}

/* Of the wall clock; 0: it has not begun to run. */
static inline uint64_t task_started_ms(const struct task *t)
{
    return t->began_ms ? t->submitted_ms + t->began_ms - 1 : 0;
}

/* Connections that take memfds get larger results that way: shared memory instead of two copies through a socket. */
#define MEMFD_RESULT_MIN (512u << 10)

/* How a task ended, for whoever is to be told. Exactly one of: a result (error NONE), the function's own error value
 * (error FAILED with size > 0), or our own error with text. */
struct outcome {
    enum mpool_state state;
    enum mpool_error error;
    const char *text;    /* without "E_NAME: "; own errors */
    const uint8_t *data; /* result or error value, in the lane: may change until copied */
    uint64_t size;
    int memfd;           /* holds the result instead of data, or -1; the receiver may take it (set it to -1) */
    bool shared;         /* and others hold it, too */
    uint64_t generation; /* of the worker that made it; 0: nobody that can be told */
    uint32_t items_done; /* chunks */
    const struct verdict *verdict; /* LOST, and kills; else NULL */
    uint32_t attempt, attempts;
    bool broke; /* set by the receiver: the bytes were not one whole harmless value */
};

/* What a caller hears whose worker sent no whole value. */
#define TASK_WORKER_BROKE "the worker's answer was damaged; it has been ended"

/* Makes a task of the caller's. args: copied (large ones into a memfd), or args_fd: taken, of args_length bytes (small
 * ones are copied out of it, so that what is held open is worth it; checked to be one whole value then). → NULL with
 * *ret_errno (-ENOMEM, -EMFILE, -ENOSPC, -EIO; -EBADMSG: args_fd holds no whole value). */
struct task *task_new(struct supervisor *s, struct caller *caller, struct function *f, enum task_kind kind,
    const struct task_options *options, const void *args, uint64_t args_length, int args_fd, int *ret_errno);
/* Only for one that the heart has not, or has no longer. */
void task_free(struct supervisor *s, struct task *t);
/* Frees the rooms that are kept for the next tasks. */
void task_rooms_free(struct supervisor *s);

/* The id by which its caller may know it: a chunk's is that of its map. */
uint64_t task_public_id(const struct task *t);

/* Hands it to the heart. */
void task_submit(struct supervisor *s, struct task *t, bool front);

/* core_ops.finish */
void task_finished(void *context, struct core_task *task, enum core_why why);

/* Fills a lane job but for the function's index, and the pieces of its arguments. header: room for a chunk's array
 * header. → number of pieces (0 with LANE_JOB_MEMFD, *ret_memfd then borrowed), or -errno. */
int task_job(const struct supervisor *s, struct task *t, struct lane_job *ret, struct iovec pieces[2],
    uint8_t header[5], int *ret_memfd);

/* What it printed goes to its caller. Bytes are borrowed. */
void task_output(struct task *t, int stream, const void *bytes, size_t length);

/* Its caller does not read what it prints: no more of it now. */
bool task_caller_is_full(const struct task *t);

/* Ends the waiting tasks of functions that the pool no longer has. */
void task_drop_absent(struct supervisor *s, struct pool *pool);

/* Writes the response to a request from an outcome: result, function's error, or our own. Takes outcome->memfd if it
 * is passed on. */
void task_respond(struct conn *c, uint32_t msgid, bool no_reply, struct outcome *o);

/* "E_NAME: text" of an outcome that is no success; out is always terminated. → its length. */
size_t task_error_text(const struct outcome *o, char *out, size_t size, int *ret_class);

/* State, error and text of a task that was stopped or lost. text: room for the sentence. */
void task_describe_stop(const struct task *t, enum core_why why, struct outcome *o, char *text, size_t size);

/* How large a result this connection (NULL: a detached task) may get. */
uint64_t task_max_result(const struct supervisor *s, const struct conn *c);

/* While worker_collect() hands a result to the heart, and while worker death is judged: what task_finished() reports.
 */
struct task_context {
    const struct lane_result *result; /* just collected, or NULL */
    int *result_memfd;
    const struct verdict *verdict; /* of the worker that has just died, or NULL */
    const uint8_t *partial;        /* of its started chunk */
    uint64_t partial_size;
    uint32_t partial_items;
    bool chunk_is_over; /* all of it may have run, and what came of it cannot be had */
    bool broke;         /* out: the result was no whole value */
};
extern struct task_context task_context;
