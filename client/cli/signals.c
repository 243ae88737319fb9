/* Has a signal asked mpool to end? See signals.h. */
#include "client/cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/options.h"
#include "proto/signal_number.h"

static int signal_fd = -1;
static int taken;

int signals_open(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct sigaction now;
        /* blocking an ignored signal would make it pending, and the signalfd report it */
        if (sigaction(wanted[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&set, wanted[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signal_fd < 0 ? -errno : 0;
}

int signals_fd(void)
{
    return signal_fd;
}

int signals_take(void)
{
    struct signalfd_siginfo info;
    ssize_t n = read(signal_fd, &info, sizeof info);
    int number = n == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
    if (number)
        taken = number;
    return number;
}

int signals_taken(void)
{
    return taken;
}

int signals_number(const char *word)
{
    uint64_t number;
    if (options_number(word, 1, NSIG - 1, &number) == 0)
        return (int)number;
    return signal_number(word, strlen(word));
}

int signals_end_by(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    prctl(PR_SET_DUMPABLE, 0); /* our own core dump would not explain the command's end */
    signal(number, SIG_DFL);
    raise(number); /* if blocked, it is delivered by the next line */
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return EXIT_SIGNALLED + number;
}
