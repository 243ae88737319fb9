/* Does a peer descend from one of our workers, and on whose behalf does it ask then?
 *
 * Whatever runs inside a worker (the worker itself, a command that its function runs, that command's children) has the
 * user id of the pool's workers. That id must not determine its rights: it gets the rights of the caller of its task,
 * never the daemon's. So a peer whose user is one that workers run as is looked up once, at its first request: the
 * kernel reports which process connected and who its parents are, up to a worker, which is our own unreaped child, so
 * that its pid cannot have been reused.
 *
 * - The worker itself asks for the caller of the task that it runs, or ran last: it may keep a connection from task to
 *   task. Before its first task it is its own user, as the code of its modules is.
 * - A descendant of it asks for the caller of the task that ran when it was looked up, as long as that task runs.
 * - A peer that outlived its task or worker, or whose origin is unknown, asks for nobody: only hello and ping are
 *   answered. If the socket is private to one user, there is nobody to protect, and it continues as its own user.
 * - Any other peer is the user that the kernel reports.
 *
 * Functions run in the worker's own process: one that wants to can ask in the name of the next task's caller. Modules
 * are trusted; commands need not be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/conn/conn.h"

struct worker;

struct descent;

/* → NULL: no memory. */
struct descent *descent_new(void);
/* NULL: nothing. */
void descent_free(struct descent *d);

/* For a new connection: determines its caller as far as the socket can tell. */
void descent_begin(struct conn *c);
/* Looks the peer up now, if that is possible and has not been done. */
void descent_settle(struct conn *c);
/* Call before handling a request of a peer that may descend from a worker (conn_tasks.kin). harmless: it needs no
 * rights. → RPC_CONTINUE; RPC_LATER; RPC_ANSWERED: the caller must refuse it with E_DENIED and the sentence in why. */
enum rpc_result descent_admits(struct conn *c, bool harmless, char *why, size_t size);
/* The worker that runs the peer's task, or NULL: the peer is outside, or its task has ended. */
struct worker *descent_worker(const struct conn *c);
/* The connection, or the worker, ends. */
void descent_leave(struct conn *c);
void descent_forget(struct worker *w);
