/* How does a command run under mpool? See child.h. */
#include "client/cli/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

/* Never returns. */
static void become(char **words, const sigset_t *mask, pid_t parent)
{
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    /* The parent may have died before this: then nobody would send the signal. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
        _exit(EXIT_OWN);
    execvp(words[0], words);
    int error = errno;
    say_error("%s: %s", words[0], strerror(error));
    _exit(error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static int status_of(int status)
{
    return WIFSIGNALED(status) ? EXIT_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int follow(pid_t pid, const sigset_t *set)
{
    int status;
    for (;;) {
        siginfo_t info;
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid)
            return status_of(status);
        if (ended < 0 && errno != EINTR) {
            say_error("the command cannot be waited for: %s", strerror(errno));
            return EXIT_OWN;
        }
        if (sigwaitinfo(set, &info) < 0)
            continue;
        if (info.si_signo != SIGCHLD && info.si_code <= 0) /* by a process, not by the terminal */
            kill(pid, info.si_signo);
    }
}

int child_run(char **words)
{
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaddset(&set, passed_on[i]);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the status away */
    sigprocmask(SIG_BLOCK, &set, &before);
    out_flush();
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        say_error("no process can be made: %s", strerror(errno));
        sigprocmask(SIG_SETMASK, &before, NULL);
        return EXIT_OWN;
    }
    if (pid == 0)
        become(words, &before, parent);
    int status = follow(pid, &set);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
