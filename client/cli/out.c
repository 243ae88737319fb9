/* How does data reach stdout? See out.h. */
#include "client/cli/out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/say.h"
#include "client/cli/signals.h"

enum { PATIENCE_MS = 1000 }; /* wait for a reader that does not read once we should end */

static char buffer[64 * 1024];
static size_t buffered;
static struct wire_buf *diverted;

/* A signal asks mpool to end, and the reader of our output does not read: stop waiting. */
static _Noreturn void leave(int fd, int number)
{
    buffered = 0;
    if (fd == STDOUT_FILENO)
        say_before();
    exit(signals_end_by(number));
}

/* Waits until something can be written. Ends the program after a signal, at once or, if it came before, after a short
 * time. → 0, or -errno. */
static int wait_for_room(int fd)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLOUT}, {.fd = signals_fd(), .events = POLLIN}};
    int ready = poll(p, 2, signals_taken() ? PATIENCE_MS : -1);
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    if (ready == 0)
        leave(fd, signals_taken());
    int number = p[0].revents ? 0 : signals_take();
    if (number)
        leave(fd, number);
    return 0;
}

/* → 0, or -errno. */
static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        /* Blocked signals do not interrupt a write, so make none that could block: after poll() has reported it
         * writable, a pipe accepts PIPE_BUF bytes. */
        bool watched = signals_fd() >= 0;
        int r = watched ? wait_for_room(fd) : 0;
        if (r < 0)
            return r;
        ssize_t n = write(fd, bytes, watched && length > PIPE_BUF ? PIPE_BUF : length);
        if (n >= 0) {
            bytes += n;
            length -= (size_t)n;
        } else if (errno == EAGAIN) {
            r = wait_for_room(fd);
            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* The progress bar must be gone before the shell's prompt, hence say_before() on both ways out. */
static _Noreturn void die(int fd, int error)
{
    buffered = 0;
    if (error == EPIPE) {
        say_before();
        exit(signals_end_by(SIGPIPE));
    }
    say_error("cannot write to %s: %s", fd == STDOUT_FILENO ? "standard output" : "standard error", strerror(error));
    exit(EXIT_OWN);
}

/* Only on a terminal can the progress bar be in the way; checked once per descriptor. */
static bool on_terminal(int fd)
{
    static signed char known[STDERR_FILENO + 1]; /* 0 not asked, 1 yes, -1 no */
    if (!known[fd])
        known[fd] = isatty(fd) ? 1 : -1;
    return known[fd] > 0;
}

void out_flush(void)
{
    if (buffered == 0)
        return;
    size_t n = buffered;
    buffered = 0;
    if (on_terminal(STDOUT_FILENO))
        say_before();
    int r = write_all(STDOUT_FILENO, buffer, n);
    if (r < 0)
        die(STDOUT_FILENO, -r);
}

void out_direct(int fd, const void *bytes, size_t length)
{
    if (fd == STDOUT_FILENO)
        out_flush();
    if (on_terminal(fd))
        say_before();
    int r = write_all(fd, bytes, length);
    if (r < 0)
        die(fd, -r);
}

void out_divert(struct wire_buf *to)
{
    diverted = to;
}

void out_bytes(const void *bytes, size_t length)
{
    if (diverted) {
        (void)wire_buf_append(diverted, bytes, length);
        return;
    }
    if (length > sizeof buffer - buffered)
        out_flush();
    if (length > sizeof buffer) {
        out_direct(STDOUT_FILENO, bytes, length);
        return;
    }
    memcpy(buffer + buffered, bytes, length);
    buffered += length;
}

void out_text(const char *text)
{
    out_bytes(text, strlen(text));
}

void out_byte(char byte)
{
    out_bytes(&byte, 1);
}

void out_format(const char *format, ...)
{
    char small[256], *text = small;
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, format, ap);
    if (n >= (int)sizeof small)
        n = vasprintf(&text, format, again);
    va_end(again);
    va_end(ap);
    if (n < 0)
        die(STDOUT_FILENO, ENOMEM);
    out_bytes(text, (size_t)n);
    if (text != small)
        free(text);
}

void out_try(int fd, const void *bytes, size_t length)
{
    (void)!write_all(fd, bytes, length);
}
