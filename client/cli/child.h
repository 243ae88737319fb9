/* Runs a command here, as a child of mpool, and passes signals on to it. */
#pragma once

/* words: the command and its arguments, NULL after the last. Signals that others send to mpool go to the command; those
 * of the terminal reach it anyway. If mpool is killed, the command gets SIGTERM, for it has lost what it was run under.
 * → its exit status, 128 + N where signal N killed it, 126 or 127 where it could not be executed or found, EXIT_OWN. */
int child_run(char **words);
