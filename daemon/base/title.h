/* What ps(1) shows for this process: the memory of argv is written over, as setproctitle(3) does elsewhere. */
#pragma once

/* Once, first thing in main(): remembers where argv and the environment lie, and moves both away.
 * → a copy of argv that title_set() does not write over (argv itself when there is no memory; no title is set then). */
char **title_init(int argc, char **argv);

/* Cut to what argv and environ took at the start. Also names the thread (15 bytes) after `comm`. */
void title_set(const char *comm, const char *format, ...) __attribute__((format(printf, 2, 3)));
