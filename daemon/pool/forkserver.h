/* The supervisor's side of a forkserver process: its start, its messages, its end.
 *
 * What a forkserver sends is validated: a pid that is not our own child, an answer to no request, or a list of
 * functions that does not parse ends that forkserver. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct config_pool;
struct pool;
struct workers;
struct forkserver;
struct worker;

/* Executes a forkserver for the pool and sends it its configuration; pool_forkserver_ready() or _failed() follows. →
 * NULL with *ret_errno (logged). */
struct forkserver *forkserver_start(struct pool *pool, int *ret_errno);

/* May another worker be requested? True if it has answered most requests, so that there is room in its socket. */
bool forkserver_may_fork(const struct forkserver *t);
/* Requests a worker: descriptors are borrowed. → 0 or -errno. worker_forked() of worker.h follows. */
int forkserver_fork(struct forkserver *t, uint32_t number, uint64_t generation, const int fds[6]);

struct forkserver *forkserver_ref(struct forkserver *t);
/* Workers hold a reference for its table of functions; the process ends with forkserver_retire(). */
void forkserver_unref(struct forkserver *t);
/* The pool no longer needs it: kills the process, which is reaped when it has died, and drops the pool's reference. Its
 * workers go on. */
void forkserver_retire(struct forkserver *t);
/* Waits for those that have not died yet; at the end of the supervisor. */
void templates_end(struct workers *workers);
/* SIGKILL, for one that does not answer; its death is reported as any other, by forkserver_fail(). */
void forkserver_kill(struct forkserver *t);
