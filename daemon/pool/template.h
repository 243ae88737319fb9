/* The supervisor's side of a template process: its start, its messages, its end.
 *
 * What a template sends is validated: a pid that is not our own child, an answer to no request, or a list of functions
 * that does not parse ends that template. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct config_pool;
struct pool;
struct workers;
struct template;
struct worker;

/* Executes a template for the pool and sends it its configuration; pool_template_ready() or _failed() follows. → NULL
 * with *ret_errno (logged). */
struct template *template_start(struct pool *pool, int *ret_errno);

/* May another worker be requested? True if it has answered most requests, so that there is room in its socket. */
bool template_may_fork(const struct template *t);
/* Requests a worker: descriptors are borrowed. → 0 or -errno. worker_forked() of worker.h follows. */
int template_fork(struct template *t, uint32_t number, uint64_t generation, const int fds[6]);

struct template *template_ref(struct template *t);
/* Workers hold a reference for its table of functions; the process ends with template_retire(). */
void template_unref(struct template *t);
/* The pool no longer needs it: kills the process, which is reaped when it has died, and drops the pool's reference. Its
 * workers go on. */
void template_retire(struct template *t);
/* Waits for those that have not died yet; at the end of the supervisor. */
void templates_end(struct workers *workers);
/* SIGKILL, for one that does not answer; its death is reported as any other, by template_fail(). */
void template_kill(struct template *t);
