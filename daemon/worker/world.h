/* What has a task left behind in its worker, and can it be undone before the next one?
 *
 * A worker remembers its process as it was when it was ready: what its module's hooks had set up stays. What a task has
 * changed since is put back; where that is impossible, the worker has to be replaced. Handlers of signals, SIGPIPE
 * ignored, threads, and descriptors beyond the standard ones are left alone: they are how a library that is first used
 * in a task keeps itself ready for the next one.
 */
#pragma once

#include <stddef.h>

struct world;

/* Takes the picture. → 0 or -errno. */
int world_new(struct world **ret);
/* Puts back what has changed since, and collects children that have ended. → NULL, or what cannot be put back, as the
 * end of a sentence ("a child process"). Some 100 system calls. */
const char *world_restore(struct world *w);
