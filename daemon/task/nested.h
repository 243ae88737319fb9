/* Tasks that wait for tasks: does a worker wait for an answer, and which of the tasks that it waits for goes first?
 *
 * While a connection from inside a worker (descent.h) waits for tasks its worker counts as waiting in the heart, see
 * core_worker_waiting(); beyond max_nested the request is refused, as it could not be answered by anybody.
 *
 * Of the tasks that a worker waits for, one at a time (its leader) goes before all that only wait, and past the queue's
 * cap: it has the place that the worker left. So a pool full of parents comes to its end, however many wait behind
 * them, and a parent with a thousand children keeps nobody out for longer than if it did their work itself: the others
 * wait in the queue like everybody's, and the first of them leads next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct tasks;
struct task;
struct worker;

/* A request of the connection's will wait for a task. → false with a sentence: nobody could run it. */
bool nested_may_wait(struct conn *c, char *why, size_t size);
/* The request waits for something that others than tasks may bring: the worker's place is given to another one as far
 * as max_nested goes. */
void nested_waits(struct conn *c);
/* Is it a worker's that waits, and none of the tasks that this one waits for goes before the others? Then the next one
 * does. */
bool nested_goes_ahead(const struct conn *c);
/* Hands the task to the heart for a connection that waits. front: see core_submit_front(). */
void nested_submit(const struct conn *c, struct task *t, bool front);
/* The connection, if it waits, does so for that detached task. */
void nested_adopt(const struct conn *c, struct task *t);
/* The task has ended: another one of its parent's goes ahead. From inside the heart, in finish(). */
void nested_end(struct task *t);
/* All that the connection asked for is answered, or nobody reads it any more. Any connection, any time. */
void nested_answered(struct conn *c);
/* Once a pass, before the heart runs: the workers of such connections wait no more. The heart would else give the place
 * that comes free with the answer to somebody who has not begun, and parents would pile up. */
void nested_run(struct tasks *tasks);
/* The connection, or the worker, ends. */
void nested_leave(struct conn *c);
void nested_forget(struct worker *w);
