/* How does a command run under mpool? See child.h. */
#include "client/cli/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/signals.h"

static int asked_to_end;

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

/* Never returns. */
static void become(const struct child *child, const sigset_t *mask, pid_t parent)
{
    char **words = child->words;
    if (child->input >= 0)
        dup2(child->input, STDIN_FILENO);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    /* If the parent died before the prctl(), the signal will never be sent. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
        _exit(EXIT_OWN);
    execvp(words[0], words);
    int error = errno;
    say_error("%s: %s", words[0], strerror(error));
    _exit(error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static int status_of(int status)
{
    return WIFSIGNALED(status) ? ENDED_BY + WTERMSIG(status) : WEXITSTATUS(status);
}

/* → the signal received; 0: a spurious wake-up. */
static int wait_for_news(int signals, struct pollfd *watched, struct signalfd_siginfo *ret_info)
{
    struct pollfd news[2] = {{.fd = signals, .events = POLLIN}, *watched};
    if (poll(news, 2, -1) < 0)
        return 0;
    watched->revents = news[1].revents;
    return read(signals, ret_info, sizeof *ret_info) == (ssize_t)sizeof *ret_info ? (int)ret_info->ssi_signo : 0;
}

static int follow(pid_t pid, int signals, const struct child_watch *watch)
{
    struct pollfd watched = {.fd = watch->fd, .events = POLLIN | POLLRDHUP};
    for (;;) {
        int status;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended > 0 && ended != pid)
            continue;
        if (ended == pid)
            return status_of(status);
        if (ended < 0 && errno != EINTR) {
            say_error("the command cannot be waited for: %s", strerror(errno));
            return EXIT_OWN;
        }
        struct signalfd_siginfo info;
        int number = wait_for_news(signals, &watched, &info);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT)
            asked_to_end = number;
        if (number != 0 && number != SIGCHLD && info.ssi_code <= 0) /* sent by a process, not by the terminal */
            kill(pid, number);
        if (watched.revents && watch->lost(watch->userdata)) {
            kill(pid, SIGTERM);
            watched.fd = -1;
        }
        watched.revents = 0;
    }
}

int child_asked_to_end(void)
{
    return asked_to_end;
}

void child_signals(sigset_t *ret)
{
    sigemptyset(ret);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaddset(ret, passed_on[i]);
}

int child_run(const struct child *child)
{
    sigset_t set, before;
    child_signals(&set);
    sigaddset(&set, SIGCHLD);
    signal(SIGCHLD, SIG_DFL); /* if it were ignored, the exit status would be lost */
    sigprocmask(SIG_BLOCK, &set, &before);
    out_flush();
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), status = EXIT_OWN;
    pid_t parent = getpid(), pid = signals < 0 ? -1 : fork();
    if (pid < 0)
        say_error("no process can be made: %s", strerror(errno));
    else if (pid == 0)
        become(child, &before, parent);
    else
        status = follow(pid, signals, &child->watch);
    if (child->ended)
        status = child->ended(status, child->watch.userdata);
    if (signals >= 0)
        close(signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
