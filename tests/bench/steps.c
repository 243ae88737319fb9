/* How many instructions does a process execute? Counts them one by one, with ptrace.
 *
 *     steps PID
 *
 * Answers each SIGUSR1 with one line, the instructions in user mode since it was attached, and says 0 when it is
 * ready. For machines without counters and for processes that valgrind cannot run: a virtual machine often has no
 * performance counters, valgrind 3.19 knows no pidfd_open(), and workers come by a raw clone(). A system call counts as
 * one instruction. Slow, fifty to two hundred thousand a second, and exact. The process should have one thread; it goes
 * on when this program ends. Both run on one CPU meanwhile, as a wake-up of another one would take most of the time.
 */
#include "ask.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint64_t count;
static volatile sig_atomic_t ending;
static pid_t pid;

static void share_cpu(void)
{
    cpu_set_t one;
    ask_pin(0);
    if (sched_getaffinity(0, sizeof one, &one) < 0 || sched_setaffinity(pid, sizeof one, &one) < 0)
        ask_fail("sched_setaffinity", errno);
}

static void step(int signal)
{
    /* The number of the signal travels in the pointer. */
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)signal) < 0 && errno != ESRCH)
        ask_fail("PTRACE_SINGLESTEP", errno);
}

/* Answers from the handler, so that one who waits for a process that sleeps is answered too. */
static void tell(int signal)
{
    char line[24];
    size_t at = sizeof line;
    (void)signal;
    line[--at] = '\n';
    uint64_t n = count;
    do
        line[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    if (write(STDOUT_FILENO, line + at, sizeof line - at) < 0)
        _exit(1);
}

/* Who is left in the middle of a step dies of SIGTRAP: it is stopped, if it sleeps, and let go where it stops. */
static void let_go(int signal)
{
    (void)signal;
    ending = 1;
    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
}

int main(int argc, char **argv)
{
    struct sigaction asked = {.sa_handler = tell, .sa_flags = SA_RESTART};
    struct sigaction ended = {.sa_handler = let_go, .sa_flags = SA_RESTART};
    int status;
    pid = argc == 2 ? (pid_t)atoi(argv[1]) : 0;
    if (pid <= 0)
        ask_fail("steps PID", 0);
    sigaction(SIGUSR1, &asked, NULL);
    sigaction(SIGTERM, &ended, NULL);
    share_cpu();
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
        ask_fail("ptrace", errno);
    if (waitpid(pid, &status, __WALL) != pid)
        ask_fail("waitpid", errno);
    step(0);
    tell(SIGUSR1);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        int number = WSTOPSIG(status);
        bool event = status >> 16 == PTRACE_EVENT_STOP, stepped = number == SIGTRAP && !event;
        if (stepped)
            count = count + 1;
        /* Only here nothing is pending: behind a system call that was interrupted comes the trap of its step. */
        if (stepped && ending)
            return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0;
        if (stepped || event)
            number = 0;
        step(number);
    }
    return 0; /* it has ended */
}
