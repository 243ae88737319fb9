/* Which process is at the other end of a connection, and is it still alive?
 *
 * A child that inherited a connection may keep it open after the process that made it has died. So anything that must
 * end with that process (locks that it holds, processes that it started) does not rely on the connection: a pidfd,
 * opened when there is first something to watch for, reports its exit. Notifies the lock owners and processes that
 * depend on it. */
#pragma once

struct conn;

/* From now on the peer's exit is noticed. May be called any number of times. → 0, also if it cannot be watched from
 * here (it is in another pid namespace): then only the end of the connection counts; -ESRCH: it has died; -EMFILE,
 * -ENFILE, -ENOMEM or another -errno. */
int peer_watch(struct conn *c);
/* Call when the connection is freed. */
void peer_forget(struct conn *c);
