/* Which fork handlers have the libraries of this process registered, and how are they run around a raw clone(2)?
 *
 * Workers are made by a clone that glibc does not know of (CLONE_PARENT), so it would run no pthread_atfork() handler.
 * The executable therefore replaces glibc's __register_atfork(), which every pthread_atfork() calls: it remembers the
 * handlers and passes them on, so that an ordinary fork() runs them as usual. Any thread may register; the rest is for
 * the forkserver's main thread.
 */
#pragma once

/* Before the clone: in reverse order of registration. */
void atfork_prepare(void);
/* After it, in the process that made it: in order of registration. */
void atfork_parent(void);
/* The same in the new process. */
void atfork_child(void);
