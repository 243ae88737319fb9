/* What has a task left behind in its worker, and can it be undone before the next one?
 *
 * A worker remembers its process as it was when it was ready: what its module's hooks had set up stays. What a task has
 * changed since is put back; where that is impossible, the worker has to be replaced. Signal handlers, an ignored
 * SIGPIPE, threads, and descriptors beyond the standard ones are left alone: a library that is first used in a task
 * needs them to stay ready for the next one.
 */
#pragma once

#include <stddef.h>

struct process_state;

/* Records the present state. → 0 or -errno. */
int process_state_new(struct process_state **ret);
/* Restores what has changed since, and reaps children that have ended. → NULL, or what cannot be restored, as the end
 * of a sentence ("a child process"). Some 100 system calls. */
const char *process_state_restore(struct process_state *w);
