/* Tasks that wait for tasks: which connections come from inside a worker, and does that worker wait for an answer?
 *
 * A peer runs inside a worker when it is that process, or came of it (a command that a function runs). The kernel says
 * which process it is, and the worker is our own child, so the number cannot be another's; nothing but the number of
 * workers is decided by it. While such a connection waits for tasks its worker counts as waiting in the heart, see
 * core_worker_waiting(); beyond max_nested the request is refused, as it could not be answered by anybody.
 */
#pragma once

#include <stdbool.h>

struct conn;
struct rpc;
struct worker;

/* Does the peer run inside a worker? Looked up once. */
bool nested_inside(struct conn *c);
/* The request will wait for a task. → false: answered, as nobody could run it. */
bool nested_may_wait(struct rpc *r);
/* The request waits for something that others than tasks may bring: the worker's place is given to another one as far
 * as max_nested goes. */
void nested_waits(struct conn *c);
/* The connection has been served in this pass, outside of the heart: if all its requests have been answered, it waits
 * no more. */
void nested_settle(struct conn *c);
/* The connection, or the worker, ends. */
void nested_leave(struct conn *c);
void nested_forget(struct worker *w);
