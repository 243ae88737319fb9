/* Names of signals, as on the wire and on the command line. */
#pragma once

#include <signal.h>
#include <string.h>
#include <strings.h>

/* name: "TERM", "SIGTERM" or "sigterm"; need not end with NUL. → its number, or 0. */
static inline int signal_number(const char *name, size_t length)
{
    if (length > 3 && strncasecmp(name, "SIG", 3) == 0) {
        name += 3;
        length -= 3;
    }
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);
        if (known && strlen(known) == length && strncasecmp(known, name, length) == 0)
            return i;
    }
    return 0;
}
