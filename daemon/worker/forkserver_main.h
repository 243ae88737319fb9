/* The forkserver: a clean process, one per pool, that loads the pool's modules once and forks its workers.
 *
 * mpoold execs itself as `mpoold forkserver POOL` with its end of a socket as descriptor CONTROL_FORKSERVER_FD. It
 * stays single-threaded, holds no descriptor of the supervisor's, and reads nothing but that socket.
 */
#pragma once

#define FORKSERVER_VERB "forkserver"

/* → the exit status. */
int forkserver_main(void);
