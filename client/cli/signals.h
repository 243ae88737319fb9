/* The signals that end mpool (SIGINT, SIGTERM, SIGHUP, SIGQUIT) as a descriptor to poll, for verbs that cancel before
 * they go.
 *
 * A signal that mpool was started with ignored (nohup) stays ignored. The descriptor lives as long as the process: from
 * signals_open() on nothing but a look at it ends mpool, so whatever may block afterwards has to watch it (out.c does).
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

/* Ends this program by a signal that it got, or that ended the command which it ran: whoever waits for it (a shell in a
 * loop, make) then sees what it would have seen of the command. → EXIT_SIGNALLED + number, where that is no end. */
int signals_end_by(int number);
