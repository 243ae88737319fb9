/* Which child of this worker is not for functions to find?
 *
 * A module may keep a helper process from task to task (exec.so does), which is a child of the worker. A function that
 * waits for whatever child ends must not wait for it indefinitely: the helper is ended before such a wait. Only modules
 * that ship with the daemon know of this. The worker's main thread only.
 */
#pragma once

#include <sys/types.h>

/* pid: the helper, one in a process; 0: none any more. end: lets it end, and calls this with 0. */
void mpool_host_helper(pid_t pid, void (*end)(void));
/* → its pid, or 0. */
pid_t helper_pid(void);
