/* The template: a clean process, one per pool, that loads the pool's modules once and forks its workers.
 *
 * mpoold execs itself as `mpoold template POOL` with its end of a socket as descriptor CONTRACT_TEMPLATE_FD. It stays
 * single-threaded, holds no descriptor of the supervisor's, and reads nothing but that socket.
 */
#pragma once

#define TEMPLATE_VERB "template"

/* → the exit status. */
int template_main(void);
