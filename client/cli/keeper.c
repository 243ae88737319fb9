/* See keeper.h. */
#include "client/cli/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/child.h"
#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/signals.h"

static pid_t first; /* in the keeper: the process that started it */

int keeper_stay(struct keeper *keeper)
{
    keeper->stays = true;
    prctl(PR_SET_PDEATHSIG, 0);
    return getppid() == first ? 0 : -1;
}

static void tell(struct keeper *keeper, int status)
{
    if (keeper->tell < 0)
        return;
    (void)!write(keeper->tell, &status, sizeof status); /* the first process may be gone */
    close(keeper->tell);
    keeper->tell = -1;
}

/* Closes the outputs, so that a reader of the command's output does not wait for us. */
static void let_go_of_outputs(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && null >= 0; fd++)
        dup2(null, fd);
}

/* Reaps children that have ended. → true if others are left. */
static bool take_in(void)
{
    pid_t pid;
    do
        pid = waitpid(-1, NULL, WNOHANG);
    while (pid > 0);
    return pid == 0;
}

static void signal_children(int number)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "re");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1)
        kill(pid, number);
    if (children)
        fclose(children);
}

/* Sends SIGTERM to all remaining children and waits for them. Descendants become our children when their parents have
 * ended. */
static void end_rest(void)
{
    do
        signal_children(SIGTERM);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

void keeper_release(struct keeper *keeper, int status)
{
    if (!take_in())
        return;
    prctl(PR_SET_PDEATHSIG, 0);
    if (!keeper->stays && getppid() != first) {
        end_rest();
        return;
    }
    signal(SIGHUP, SIG_IGN); /* keep the lock when the terminal is closed */
    out_flush();
    tell(keeper, status);
    let_go_of_outputs();
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

static _Noreturn void keep(struct keeper *keeper, int (*run)(struct keeper *, void *), void *userdata)
{
    prctl(PR_SET_NAME, "mpool-keeper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != first)
        _exit(EXIT_OWN);
    int status = run(keeper, userdata);
    out_flush();
    tell(keeper, status);
    _exit(EXIT_OK);
}

/* → the exit status of a keeper that ended without reporting one. */
static int silent_end(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    if (WTERMSIG(status) == SIGKILL)
        say_error("the process that keeps what the command runs under was killed");
    return ENDED_BY + WTERMSIG(status);
}

/* Forwards signals until the keeper has reported a status. */
static int follow(pid_t pid, int said, int signals)
{
    for (;;) {
        struct pollfd p[] = {{.fd = said, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo info;
        int status;
        if (poll(p, 2, -1) < 0 && errno != EINTR) {
            say_error("poll: %s", strerror(errno));
            return EXIT_OWN;
        }
        if (p[0].revents)
            return read(said, &status, sizeof status) == (ssize_t)sizeof status ? status : silent_end(pid);
        if (p[1].revents && read(signals, &info, sizeof info) == (ssize_t)sizeof info && info.ssi_code <= 0)
            kill(pid, (int)info.ssi_signo); /* the terminal's signals reach every process anyway */
    }
}

int keeper_run(int (*run)(struct keeper *keeper, void *userdata), void *userdata)
{
    sigset_t set, before;
    child_signals(&set);
    int ends[2] = {-1, -1}, status = EXIT_OWN, signals = -1;
    pid_t pid = -1;
    first = getpid();
    out_flush();
    sigprocmask(SIG_BLOCK, &set, &before);
    if (pipe2(ends, O_CLOEXEC) == 0 && (signals = signalfd(-1, &set, SFD_CLOEXEC)) >= 0)
        pid = fork();
    if (pid == 0) {
        close(ends[0]);
        close(signals);
        sigprocmask(SIG_SETMASK, &before, NULL);
        keep(&(struct keeper){.tell = ends[1]}, run, userdata);
    }
    if (ends[1] >= 0)
        close(ends[1]);
    if (pid < 0)
        say_error("no process can be made: %s", strerror(errno));
    else
        status = follow(pid, ends[0], signals);
    if (ends[0] >= 0)
        close(ends[0]);
    if (signals >= 0)
        close(signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
