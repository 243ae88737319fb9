/* A process: a function that runs in a worker of its own, made for it and never used again.
 *
 * It is a detached task (job.h) with more to tell: a pid from its start on, an exit code at its end, and signals in
 * between. A daemonic one ends with the connection that started it; what it prints goes to that connection if it asked
 * for it. The cap is on those that have not ended: there is no queue for them, one too many is refused.
 */
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "proto/errors.h"

struct conn;
struct job;
struct outcome;
struct pool;
struct task_options;

struct process {
    TAILQ_ENTRY(process) link;   /* in the supervisor's list, until it has ended */
    LIST_ENTRY(process) of_conn; /* in its starter's list, until one of the two has ended */
    struct job *job;
    struct conn *starter; /* NULL: gone, or of no interest */
    struct conn *reader;  /* of what it prints: the starter, or NULL: the log */
    bool daemonic, ended;
    bool has_exitcode;
    int exitcode;     /* as multiprocessing tells it: the status, or the negative number of the signal */
    int early_signal; /* that ended it before it ran, or 0 */
    pid_t pid;        /* 0: not started yet, or never */
};

/* Is there room for one more, in the pool and for this user? → MPOOL_ERROR_NONE, or an error with a sentence. */
enum mpool_error process_has_room(const struct conn *c, const struct pool *pool, char *why, size_t size);
/* Makes k one, started by c. Its task must not be submitted yet. → 0 or -ENOMEM. */
int process_new(struct job *job, struct conn *c, const struct task_options *options);
void process_free(struct process *p); /* NULL: nothing */

/* It has been given to its worker: whoever waits for its start is answered. */
void process_placed(struct process *p, pid_t pid);
/* The answer to spawn. */
void process_started(const struct process *p, struct conn *c, uint32_t msgid, bool no_reply);
/* What its end means: an exit is no crash here. text: room for the sentence. */
void process_judge(struct process *p, struct outcome *o, char *text, size_t size);
void process_ended(struct process *p);
/* To its reader. */
void process_output(struct process *p, int stream, const void *bytes, size_t length);
/* The connection has closed, or the process that made it has died: its daemonic ones are cancelled, the others go on
 * without it. */
void processes_orphaned(struct conn *c);
/* The three keys of its status that other tasks do not have. */
void process_pack(msgpack_packer *pk, const struct process *p);
