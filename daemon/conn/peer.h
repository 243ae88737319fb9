/* Which process is at the other end of a connection, and does it still live?
 *
 * A connection may be held open by a child that inherited it for longer than the process lives that made it. So what is
 * to end with that process (locks that it holds, processes that it started) is not left to the connection: a pidfd,
 * taken when there is first something to watch for, tells of the death. Knows what hangs on it: parties and processes.
 */
#pragma once

struct conn;

/* From now on the peer's death is noticed. Any number of times. → 0, also where it cannot be watched from here (it
 * lives in another namespace of pids): then the end of the connection alone tells; -ESRCH: it has died; -EMFILE,
 * -ENFILE, -ENOMEM or another -errno. */
int peer_watch(struct conn *c);
/* The connection is freed. */
void peer_forget(struct conn *c);
