/* Drives a connection. One turn sends, receives, delivers and pumps; all waiting consists of turns. */
#pragma once

#include "client/lib/handle.h"

/* One turn. deadline_ns: how long to wait for something to do; 0: not at all. Checks nothing: see handle_check_waiting.
 * → callbacks run; -ENOTCONN when one of them disconnected: the handle is gone. client->loss reports a lost
 * connection. */
int loop_turn(mpool_client *client, uint64_t deadline_ns);

/* One turn that waits, until the deadline or as long as the present call may. → 0: look whether there is what you wait
 * for; -ETIMEDOUT, -EINTR: look, and wait no longer; -ENOTCONN as above. */
int loop_wait(mpool_client *client, uint64_t deadline_ns);

/* Turns until *done. → 0; -ETIMEDOUT; -EINTR; -ENOTCONN as above. A lost connection completes every call, and so *done.
 */
int loop_until(mpool_client *client, const bool *done, uint64_t deadline_ns);

/* Starts what the sources can start, and sends it. → 0; -ENOTCONN as above. */
int loop_pump(mpool_client *client);
