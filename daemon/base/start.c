#include "daemon/base/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"

/* Log lines must not end up in a socket that was given the free number 2. */
static int open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return errno ? -errno : -EBADF;
    return 0;
}

int start_clean(void)
{
    int r = open_standard();
    if (r < 0)
        return r;
    if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return -errno;

    /* execve() resets handlers, so any signal that is not at its default is ignored. */
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            signal(number, SIG_DFL);
    }
    static const int timers[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
    for (size_t i = 0; i < ELEMENTS(timers); i++)
        setitimer((__itimer_which_t)timers[i], &(struct itimerval){0}, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    mode_t mask = umask(S_IWGRP | S_IWOTH);
    umask((mask & (S_IRWXG | S_IRWXO)) | S_IWGRP | S_IWOTH);
    return 0;
}

/* ---- limits ----------------------------------------------------------------------------------------------------- */

static struct {
    __rlimit_resource_t resource;
    struct rlimit before;
    bool raised;
} limits[] = {
    {.resource = RLIMIT_NOFILE},
    {.resource = RLIMIT_FSIZE},
    {.resource = RLIMIT_AS},
    {.resource = RLIMIT_DATA},
    {.resource = RLIMIT_CPU},
};

void start_raise_limits(void)
{
    for (size_t i = 0; i < ELEMENTS(limits); i++) {
        struct rlimit now, max;
        if (limits[i].raised || getrlimit(limits[i].resource, &now) < 0)
            continue;
        limits[i].before = now;
        /* The kernel has its own cap for the number of descriptors and refuses more. */
        max.rlim_cur = max.rlim_max = limits[i].resource == RLIMIT_NOFILE ? now.rlim_max : RLIM_INFINITY;
        limits[i].raised = setrlimit(limits[i].resource, &max) == 0;
        if (limits[i].raised)
            continue;
        now.rlim_cur = now.rlim_max;
        limits[i].raised = setrlimit(limits[i].resource, &now) == 0;
    }
}

int start_restore_limits(pid_t child)
{
    for (size_t i = 0; i < ELEMENTS(limits); i++)
        if (limits[i].raised && prlimit(child, limits[i].resource, &limits[i].before, NULL) < 0)
            return -errno;
    return 0;
}
