/* The child of this worker that functions must not wait for.
 *
 * A module may keep a helper process from task to task (exec.so does), which is a child of the worker. A function that
 * waits for any child must not wait for the helper indefinitely: the helper is ended before such a wait. Only modules
 * that ship with the daemon know of this. The worker's main thread only.
 */
#pragma once

#include <sys/types.h>

/* pid: the helper, one per process; 0: there is none any more. end: ends it, and calls this with 0. */
void mpool_host_helper(pid_t pid, void (*end)(void));
/* → its pid, or 0. */
pid_t helper_pid(void);
