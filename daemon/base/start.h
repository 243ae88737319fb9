/* Gives a daemon process a defined initial state, whatever it inherited from its parent.
 *
 * These attributes survive execve(2): ignored and blocked signals, running timers, closed standard descriptors, other
 * descriptors, the umask, the limits and the current directory. main() resets all of them before it does anything else;
 * forkservers, workers and commands inherit the result. */
#pragma once

#include <sys/types.h>

/* Must be the first call in main(). Opens /dev/null for closed standard descriptors; makes all others close-on-exec;
 * resets ignored signals, blocked signals and interval timers; sets a umask that keeps the owner's permissions and lets
 * nobody else write (a stricter one is kept). → 0 or -errno. */
int start_clean(void);

/* Raises the soft limits that could kill or cripple the supervisor (descriptors, file size, memory, CPU time) to the
 * hard ones, and the hard ones to infinity where permitted. Remembers the original values. */
void start_raise_limits(void);
/* Gives a child the limits with which this process was started. → 0 or -errno. */
int start_restore_limits(pid_t child);
