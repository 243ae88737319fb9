/* Does a peer come of one of our workers, and for whom does it ask then?
 *
 * What runs inside a worker (the worker itself, a command that its function runs, that one's children) has the user id
 * of the pool's workers. That id says nothing of the rights that it is to have: those are the rights of the caller of
 * its task, never the daemon's. So a peer whose user is one that workers run as is looked up once, at its first
 * request: the kernel says which process connected and which its parents are, up to a worker, which is our own child
 * and not reaped, so that its number cannot be another's.
 *
 * - The worker itself asks for the caller of the task that it runs, or ran last: a connection may be kept from task to
 *   task. Before its first task it is its own user, as the code of its modules is.
 * - What came of it asks for the caller of the task that ran when it was looked up, as long as that task runs.
 * - Who outlived a task or a worker, or cannot be told, asks for nobody: nothing is answered but hello and ping. Where
 *   the socket is one user's alone there is nobody to be kept apart, and it goes on as its own user.
 * - Everybody else is who the kernel says.
 *
 * Functions run in the worker's own process: one that wants to can ask in the name of the next task's caller. Modules
 * are trusted; commands need not be.
 */
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

/* A new connection: who is it, as far as the socket tells? */
void descent_begin(struct conn *c);
/* Looks it up now, if that can be done and has not been. */
void descent_settle(struct conn *c);
/* Before a request of a peer that may come of a worker (conn_tasks.kin). harmless: it needs no rights.
 * → RPC_CONTINUE; RPC_LATER; RPC_ANSWERED: to be refused with E_DENIED and the sentence in why. */
enum rpc_result descent_admits(struct conn *c, bool harmless, char *why, size_t size);
/* The worker that runs the peer's task, or NULL: the peer is outside, or its task is over. */
struct worker *descent_worker(const struct conn *c);
/* The connection, or the worker, ends. */
void descent_leave(struct conn *c);
void descent_forget(struct worker *w);
