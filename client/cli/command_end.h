/* How did a command run by exec.run end? Reads its result; used by run, map --exec, wait, spawn --join and queue get
 * --exec. */
#pragma once

#include <stdbool.h>

#include "client/cli/view.h"

#define COMMAND_END_SIZE 256

/* Does this function return the ends of commands (exec.run)? */
bool command_end_is_of(const char *function);
/* → the exit status as in a shell: the command's own, 128 + N if signal N killed it, EXIT_TIMED_OUT if it timed out. */
int command_end_status(struct view end);
/* → the signal that killed it, or 0. */
int command_end_signal(struct view end);
/* → "" if it succeeded and its output is complete, else a description of the problem, written to `to`. */
const char *command_end_trouble(struct view end, char to[COMMAND_END_SIZE]);
