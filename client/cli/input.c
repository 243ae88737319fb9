/* See input.h. */
#include "client/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/say.h"

enum { LOOK_AGAIN_MS = 500 }; /* polls for being in the foreground: there is no event for it */

static void stop(struct input *input)
{
    if (input->passing && input->pipe >= 0)
        close(input->pipe);
    input->pipe = -1;
    input->passing = false;
}

int input_open(struct input *input)
{
    struct stat st;
    input->theirs = STDIN_FILENO;
    input->pipe = -1;
    input->terminal = isatty(STDIN_FILENO);
    if (fstat(STDIN_FILENO, &st) < 0) {
        say_error("standard input: %s", strerror(errno));
        return -1;
    }
    if (!input->terminal && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
        return 0;
    int ends[2];
    if (S_ISDIR(st.st_mode))
        errno = EISDIR;
    else if (pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0) {
        input->theirs = ends[0];
        input->pipe = ends[1];
        input->passing = true;
        return 0;
    }
    say_error("standard input cannot be handed over: %s (-n leaves it alone)", strerror(errno));
    return -1;
}

void input_passed(struct input *input)
{
    if (input->passing) {
        close(input->theirs);
        input->theirs = -1;
        return;
    }
    /* Drop our copy of the pipe, so that its writer notices when the command closes it. */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
}

/* A read from the terminal in the background would stop us, even if the command wants no input. */
static bool may_read(const struct input *input)
{
    return !input->terminal || tcgetpgrp(STDIN_FILENO) == getpgrp();
}

int input_poll(const struct input *input, struct pollfd *ret)
{
    *ret = (struct pollfd){.fd = -1};
    if (!input->passing)
        return -1;
    if (input->length > 0)
        *ret = (struct pollfd){.fd = input->pipe, .events = POLLOUT};
    else if (may_read(input))
        *ret = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    else
        return LOOK_AGAIN_MS;
    return -1;
}

void input_move(struct input *input)
{
    if (input->length == 0) {
        ssize_t n = may_read(input) ? read(STDIN_FILENO, input->piece, sizeof input->piece) : -1;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            say_error("cannot read standard input: %s", strerror(errno));
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            stop(input);
        input->length = n > 0 ? (size_t)n : 0;
        return;
    }
    ssize_t n = write(input->pipe, input->piece, input->length);
    if (n < 0 && errno != EAGAIN && errno != EINTR) { /* the command no longer reads */
        stop(input);
        return;
    }
    input->length -= n > 0 ? (size_t)n : 0;
    memmove(input->piece, input->piece + (n > 0 ? n : 0), input->length);
}

void input_reset(struct input *input)
{
    if (input->passing && input->theirs > STDIN_FILENO)
        close(input->theirs);
    stop(input);
}
