/* Whose is our standard input while a command runs elsewhere?
 *
 * A pipe, file or device goes to the command itself, which reads as much of it as it wants, as if it ran here: what it
 * leaves is there for the next one. A terminal stays ours (whoever has it can type into it), and so does a socket: what
 * comes is passed on through a pipe, a piece at a time, as long as the command reads.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct input {
    int theirs; /* for the command; closed by input_passed() if it is our pipe's end */
    int pipe;   /* ours to write to; below 0: there is nothing to pass on */
    bool passing, terminal;
    size_t length; /* of what was read and not yet written */
    char piece[4096];
};

/* → 0, or -1 after it was said why not. */
int input_open(struct input *input);
/* The request has been made: what the command has is no longer ours. */
void input_passed(struct input *input);
/* What to poll; ->fd is -1 for nothing. → the time-out of that poll in milliseconds; -1: none. */
int input_poll(const struct input *input, struct pollfd *ret);
/* Passes something on, after what was watched came. */
void input_move(struct input *input);
void input_reset(struct input *input);
