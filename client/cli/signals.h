/* The signals that end mpool (SIGINT, SIGTERM, SIGHUP, SIGQUIT) as a descriptor to poll, for verbs that cancel before
 * they go.
 *
 * A signal that mpool was started with ignored (nohup) stays ignored. The descriptor lives as long as the process:
 * after signals_open() these signals end mpool only where the descriptor is checked, so code that may block must watch
 * it (out.c does).
 */
#pragma once

/* Blocks them and opens the descriptor. → 0, or -errno. */
int signals_open(void);

/* → the descriptor, readable when one has come; -1 before signals_open(). */
int signals_fd(void);

/* → the number of a signal that has come, or 0. Never blocks. */
int signals_take(void);

/* → the last that was taken, or 0. */
int signals_taken(void);

/* → the number of "TERM", "SIGTERM" or "15"; 0: there is no such signal. */
int signals_number(const char *word);

/* A verb's status that says that signal N ended it, or the command that it ran: main() ends by it, too. */
enum { ENDED_BY = 256 };

/* Ends this program by a signal that it received, or that ended the command it ran, so that its parent (a shell loop,
 * make) sees the same status as from the command. → EXIT_SIGNALLED + number, if the signal does not end it. */
int signals_end_by(int number);
