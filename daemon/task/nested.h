/* Tasks that wait for tasks: is a worker waiting for an answer, and which of the tasks that it waits for goes first?
 *
 * While a connection from inside a worker (descent.h) waits for tasks, the core counts its worker as waiting, see
 * core_worker_waiting(); beyond max_nested the request is refused, as no worker would be left to run the task.
 *
 * One of the tasks that a worker waits for (its leader) is queued ahead of all tasks that are only waiting, and ignores
 * the queue's cap: it takes the slot that the worker gave up. So a pool full of parents finishes, however many tasks
 * are queued behind them, and a parent with a thousand children keeps others out no longer than if it did their work
 * itself: its other children are queued normally, and the first of them leads next. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct tasks;
struct task;
struct worker;

/* A request of the connection's is about to wait for a task. → false with a sentence: no worker could run it. */
bool nested_may_wait(struct conn *c, char *why, size_t size);
/* The request blocks on something that need not come from a task (a queue item): up to max_nested such workers are
 * replaced meanwhile. */
void nested_waits(struct conn *c);
/* Is the client inside a waiting worker that has no leader yet? Then its next task leads. */
bool nested_goes_ahead(const struct conn *c);
/* Submits the task to the core for a connection that waits. front: see core_submit_front(). */
void nested_submit(const struct conn *c, struct task *t, bool front);
/* If the connection waits, it does so for that detached task. */
void nested_adopt(const struct conn *c, struct task *t);
/* The task has ended: another child of its parent leads. Called inside the core, in finish(). */
void nested_end(struct task *t);
/* Everything that the connection requested is answered, or nobody reads the answers any more. Any connection, any time.
 */
void nested_answered(struct conn *c);
/* Call once per pass, before the core runs: ends the waiting of these connections' workers. Otherwise the core would
 * give the slot that the answer frees to a new task, and parents would pile up. */
void nested_run(struct tasks *tasks);
/* The connection, or the worker, ends. */
void nested_leave(struct conn *c);
void nested_forget(struct worker *w);
