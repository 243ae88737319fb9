/* See command_end.h. */
#include "client/cli/command_end.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/exit_codes.h"

bool command_end_is_of(const char *function)
{
    return strcmp(function, "exec.run") == 0;
}

int command_end_signal(struct view end)
{
    return (int)(view_u64(end, "signal", 0) & 0x7f);
}

int command_end_status(struct view end)
{
    if (view_is_true(end, "timed_out"))
        return EXIT_TIMED_OUT;
    uint64_t number = view_u64(end, "signal", 0), status = view_u64(end, "status", EXIT_OWN);
    return (int)((number ? EXIT_SIGNALLED + number : status) & 0xff);
}

const char *command_end_trouble(struct view end, char to[COMMAND_END_SIZE])
{
    uint64_t number = view_u64(end, "signal", 0), status = view_u64(end, "status", 0);
    int n = 0;
    if (view_is_true(end, "timed_out"))
        n = snprintf(to, COMMAND_END_SIZE, "it ran for too long and was stopped");
    else if (number)
        n = snprintf(
            to, COMMAND_END_SIZE, "killed by signal %" PRIu64 " (%s)", number, strsignal((int)(number & 0x7f)));
    else if (status)
        n = snprintf(to, COMMAND_END_SIZE, "exit status %" PRIu64, status);
    if (view_is_true(end, "truncated"))
        snprintf(to + n, COMMAND_END_SIZE - (size_t)n,
            "%sit wrote more than is kept of each output (--max-output): the rest is lost", n ? "; " : "");
    else if (n == 0)
        return "";
    return to;
}
