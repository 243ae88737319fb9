#include "daemon/pool/guardian.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/title.h"
#include "daemon/pool/orphans.h"

static bool under_systemd(void)
{
    const char *pid = getenv("SYSTEMD_EXEC_PID");
    return (pid && atol(pid) == getpid()) || getenv("LISTEN_PID");
}

/* → the supervisor's wait status once it has exited. */
static int watch(pid_t supervisor, const sigset_t *set)
{
    for (;;) {
        siginfo_t info;
        int number = sigwaitinfo(set, &info);
        if (number < 0)
            continue;
        if (number != SIGCHLD) {
            /* The terminal sends its signals to the supervisor as well. */
            if (info.si_code <= 0)
                kill(supervisor, number == SIGTERM || number == SIGINT ? GUARDIAN_STOP : number);
            continue;
        }
        for (;;) {
            int status;
            pid_t pid = waitpid(-1, &status, WNOHANG);
            if (pid == supervisor)
                return status;
            if (pid <= 0)
                break;
        }
    }
}

void guardian_fork(void)
{
    sigset_t set, old;
    if (under_systemd())
        return;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigemptyset(&set);
    static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD};
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaddset(&set, passed_on[i]);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid_t self = getpid(), pid = fork();
    if (pid < 0) {
        log_warning("no guardian: %s", strerror(errno));
        sigprocmask(SIG_SETMASK, &old, NULL);
        return;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, GUARDIAN_GONE);
        if (getppid() != self)
            _exit(1);
        sigprocmask(SIG_SETMASK, &old, NULL);
        return;
    }
    title_set("mpoold-guardian", "mpoold: guardian of %d", (int)pid);
    int status = watch(pid, &set);
    orphans_end();
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    log_error(
        "the supervisor was killed by SIG%s", sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    _exit(128 + WTERMSIG(status));
}
