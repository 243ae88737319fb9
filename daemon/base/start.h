/* From what state does a process of the daemon start, whatever its parent left it?
 *
 * What survives execve(2) and is somebody else's: ignored and blocked signals, running timers, closed standard
 * descriptors, other descriptors, the umask, the limits and the current directory. main() puts all of it right before
 * it does anything else; templates, workers and commands inherit the result.
 */
#pragma once

#include <sys/types.h>

/* The first thing in main(). Opens /dev/null for standard descriptors that are closed; makes all others close-on-exec;
 * takes back ignored signals, blocked signals and interval timers; sets a umask that leaves the owner his rights and
 * lets nobody else write (a stricter one stays). → 0 or -errno. */
int start_clean(void);

/* Raises the soft limits to the hard ones, and those to infinity where we may, for what would kill or cripple the
 * supervisor: descriptors, size of files, memory, processor time. Remembers what they were. */
void start_raise_limits(void);
/* Gives a child the limits that this process was started with. → 0 or -errno. */
int start_restore_limits(pid_t child);
