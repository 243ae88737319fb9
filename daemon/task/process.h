/* A process: a function that runs in a worker of its own, started for it and never reused.
 *
 * It is a detached task (job.h) with additional state: a pid once started, an exit code at the end, and signals in
 * between. A daemonic one ends with the connection that started it; its output goes to that connection if requested.
 * The cap is on processes that have not ended: they are not queued, one too many is refused. */
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
    TAILQ_ENTRY(process) link;   /* in the supervisor's list until it has ended */
    LIST_ENTRY(process) of_conn; /* in its starter's list until either has ended */
    struct job *job;
    struct conn *starter; /* NULL: gone, or not needed */
    struct conn *reader;  /* receives its output: the starter, or NULL: the log */
    bool daemonic, ended;
    bool has_exitcode;
    int exitcode;     /* as in multiprocessing: the status, or the negative signal number */
    int early_signal; /* that ended it before it ran, or 0 */
    pid_t pid;        /* 0: not started yet, or never */
};

/* Is there room for another one, in the pool and for this user? → MPOOL_ERROR_NONE, or an error with a sentence. */
enum mpool_error process_has_room(const struct conn *c, const struct pool *pool, char *why, size_t size);
/* Makes the job a process started by c. Its task must not be submitted yet. → 0 or -ENOMEM. */
int process_new(struct job *job, struct conn *c, const struct task_options *options);
void process_free(struct process *p); /* NULL: nothing */

/* It has been given to its worker: answers the requests that wait for its start. */
void process_placed(struct process *p, pid_t pid);
/* The answer to spawn. */
void process_started(const struct process *p, struct conn *c, uint32_t msgid, bool no_reply);
/* Maps its exit to an outcome: an exit is not a crash here. text: room for the sentence. */
void process_outcome(struct process *p, struct outcome *o, char *text, size_t size);
void process_ended(struct process *p);
/* Sends output to its reader. */
void process_output(struct process *p, int stream, const void *bytes, size_t length);
/* The connection has closed, or its client process has died: cancels its daemonic processes; the others continue
 * without it. */
void processes_orphaned(struct conn *c);
/* The three keys of its status that other tasks lack. */
void process_pack(msgpack_packer *pk, const struct process *p);
