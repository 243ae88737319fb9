/* The signals that end mpool (SIGINT, SIGTERM, SIGHUP) as a descriptor to poll, for verbs that cancel before they go.
 *
 * A signal that mpool was started with ignored (nohup) stays ignored.
 */
#pragma once

/* Blocks them and opens a signalfd. → a descriptor, owned by the caller, or -errno. */
int signals_open(void);

/* → the number of a signal that has come, or 0. Never blocks. */
int signals_take(int fd);
