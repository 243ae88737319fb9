/* The signals that end mpool (SIGINT, SIGTERM, SIGHUP) as a descriptor to poll, for verbs that cancel before they go.
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
