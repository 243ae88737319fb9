/* How did a command end that exec.run ran? Read from its result, the same for run, map --exec, wait, spawn --join and
 * queue get --exec.
 */
#pragma once

#include <stdbool.h>

#include "client/cli/view.h"

#define COMMAND_END_SIZE 256

/* Whether this function's results are commands' ends. */
bool command_end_is_of(const char *function);
/* → the exit status as a shell has it: the command's own, 128 + N where signal N killed it, EXIT_TIMED_OUT where it ran
 * out of time. */
int command_end_status(struct view end);
/* → the signal that killed it, or 0. */
int command_end_signal(struct view end);
/* → "" when all was well and is all there, else what was not, written to `to`. */
const char *command_end_trouble(struct view end, char to[COMMAND_END_SIZE]);
