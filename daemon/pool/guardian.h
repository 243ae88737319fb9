/* The process above the supervisor, where no service manager stands there: it dies last, and leaves nobody behind.
 *
 * Workers die with the supervisor (PDEATHSIG), but what their tasks have detached does not. The guardian is a subreaper
 * above the supervisor, so all of that becomes its child, and is killed. It does nothing else but pass on signals and
 * the exit status. If the guardian itself is killed, the supervisor learns it (SIGUSR2) and ends with all it has.
 */
#pragma once

#include <signal.h>

#define GUARDIAN_STOP                                                                                                  \
    SIGUSR1 /* how the guardian passes SIGTERM and SIGINT on: to be told from those that came directly */
#define GUARDIAN_GONE SIGUSR2 /* what the supervisor gets when the guardian has died */

/* Forks. Returns in the child, which goes on as the supervisor; the parent stays here until all is over, and exits.
 * Under systemd (whose cgroup does the same) it returns at once without a fork. */
void guardian_fork(void);
