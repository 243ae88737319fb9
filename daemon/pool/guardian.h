/* Parent of the supervisor when no service manager runs it: exits last and kills every leftover process.
 *
 * Workers die with the supervisor (PDEATHSIG), but processes that their tasks have detached do not. The guardian is a
 * subreaper above the supervisor, so all of these become its children, and are killed. Apart from that it only forwards
 * signals and the exit status. If the guardian itself is killed, the supervisor is notified (SIGUSR2) and terminates
 * together with everything it runs. */
#pragma once

#include <signal.h>

#define GUARDIAN_STOP                                                                                                  \
    SIGUSR1 /* how the guardian forwards SIGTERM and SIGINT, to distinguish them from those received directly */
#define GUARDIAN_GONE SIGUSR2 /* sent to the supervisor when the guardian dies */

/* Forks. Returns in the child, which continues as the supervisor; the parent stays here until everything has ended, and
 * exits. Under systemd (whose cgroup does the same) it returns at once without forking. */
void guardian_fork(void);
