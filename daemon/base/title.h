/* What ps(1) shows for this process: overwrites the memory of argv, as setproctitle(3) does elsewhere. */
#pragma once

/* Call once, first thing in main(): remembers where argv and the environment are, and moves both away. → a copy of argv
 * that title_set() does not overwrite (argv itself when out of memory; then no title is set). */
char **title_init(int argc, char **argv);

/* Truncated to the size of the original argv and environ. Also names the thread (15 bytes) after `comm`. */
void title_set(const char *comm, const char *format, ...) __attribute__((format(printf, 2, 3)));
