#include "ask.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t ask_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

_Noreturn void ask_fail(const char *what, int error)
{
    fprintf(
        stderr, "%s: %s%s%s\n", program_invocation_short_name, what, error ? ": " : "", error ? strerror(error) : "");
    exit(1);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

struct ask_answer ask_each(void *self, uint64_t count, void (*one)(void *self, uint64_t i))
{
    uint64_t *took = calloc(count, sizeof *took);
    if (!took)
        ask_fail("no memory", ENOMEM);
    uint64_t start = ask_now_ns(), last = start;
    for (uint64_t i = 0; i < count; i++) {
        one(self, i);
        uint64_t now = ask_now_ns();
        took[i] = now - last;
        last = now;
    }
    qsort(took, count, sizeof *took, compare);
    struct ask_answer answer = {
        .total_ns = last - start,
        .p50_ns = took[count / 2],
        .p99_ns = took[count - 1 - count / 100],
        .p999_ns = took[count - 1 - count / 1000],
    };
    free(took);
    return answer;
}

void ask_serve(void *self, const struct ask_verb *verbs)
{
    char line[64], name[16];
    uint64_t count, depth;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%15s %" SCNu64 " %" SCNu64, name, &count, &depth) != 3 || count == 0)
            ask_fail("a line is VERB COUNT DEPTH", 0);
        const struct ask_verb *verb = verbs;
        while (verb->name && strcmp(verb->name, name) != 0)
            verb++;
        if (!verb->name)
            ask_fail(name, ENOSYS);
        struct ask_answer a = verb->run(self, count, depth);
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a.total_ns, a.p50_ns, a.p99_ns, a.p999_ns);
        fflush(stdout);
    }
}

void ask_send(int fd, const void *bytes, size_t length)
{
    for (const char *at = bytes; length > 0;) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            ask_fail("send", errno);
        at += n;
        length -= (size_t)n;
    }
}

void ask_receive(int fd, void *bytes, size_t length)
{
    for (char *at = bytes; length > 0;) {
        ssize_t n = recv(fd, at, length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            ask_fail("receive", n < 0 ? errno : ECONNRESET);
        at += n;
        length -= (size_t)n;
    }
}

int ask_fork(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        ask_fail("fork", errno);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

void ask_pin(int nth)
{
    cpu_set_t allowed, one;
    if (nth < 0)
        return;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        ask_fail("sched_getaffinity", errno);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) < 0)
            ask_fail("sched_setaffinity", errno);
        return;
    }
    ask_fail("there are not so many CPUs", 0);
}
