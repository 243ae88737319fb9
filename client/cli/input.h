/* Who reads our standard input while a command runs in a worker?
 *
 * A pipe, file or device is passed to the command itself, which reads as much of it as it wants, as if it ran here: the
 * rest is left for the next reader. We keep a terminal (a process that has it can type into it) and a socket, and copy
 * their data to the command through a pipe, piece by piece, as long as it reads.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct input {
    int theirs; /* for the command; closed by input_passed() if it is our pipe's end */
    int pipe;   /* our end for writing; negative: nothing to pass on */
    bool passing, terminal;
    size_t length; /* of the bytes read but not yet written */
    char piece[4096];
};

/* → 0, or -1 after reporting why not. */
int input_open(struct input *input);
/* The request has been sent: closes our copy of the command's input. */
void input_passed(struct input *input);
/* What to poll; ->fd is -1 for nothing. → the time-out of that poll in milliseconds; -1: none. */
int input_poll(const struct input *input, struct pollfd *ret);
/* Passes on some input, after poll() has reported an event. */
void input_move(struct input *input);
void input_reset(struct input *input);
