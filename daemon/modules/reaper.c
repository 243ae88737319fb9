/* mpool-reaper: ensures that nothing of a command outlives it.
 *
 * A small process between a worker and the commands that exec.run starts, one for the worker's whole life. It is the
 * subreaper of all that a command leaves behind: double forks and new sessions end up as its children, and are killed
 * when the command has ended, when the task is stopped, or when the worker has died for whatever reason. It is a
 * program of its own because a clean small process forks cheaply, inherits nothing, and does not add its size to the
 * command's peak memory. It blocks all signals; only SIGKILL ends it early: then the command is killed with it
 * (PDEATHSIG), and the worker kills the command's group. Arguments: the socket, a pidfd of the worker, and the page of
 * reaper.h. It reports to the worker only.
 */
#include "daemon/modules/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    int socket, worker, signals, children; /* descriptors; children: our own /proc list of them */
    pid_t command;                         /* 0: none has been started, or it has been reaped */
    bool running;                          /* the worker waits for an answer */
    int64_t kill_at_ms;                    /* 0: no stop was requested */
    struct reaper_answer answer;
    struct reaper_page *page;
} reaper;

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void answer(void)
{
    /* A worker that does not read is dying, and its pidfd shows that. */
    send(reaper.socket, &reaper.answer, sizeof reaper.answer, MSG_NOSIGNAL);
    reaper.running = false;
    reaper.kill_at_ms = 0;
}

static void unfit(int error)
{
    reaper.answer = (struct reaper_answer){.stage = REAPER_UNFIT, .error = error};
    answer();
    exit(EXIT_FAILURE);
}

/* ---- the end of processes ---- */

static uint64_t microseconds(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* Reaps one child that has ended. → false when there is none, with *ret_left whether any is still alive. */
static bool reap(int options, bool *ret_left)
{
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, options | __WALL, &usage);
    *ret_left = pid >= 0 || errno != ECHILD;
    if (pid <= 0)
        return false;
    reaper.answer.cpu_us += microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
    if ((uint64_t)usage.ru_maxrss > reaper.answer.peak_kib)
        reaper.answer.peak_kib = (uint64_t)usage.ru_maxrss;
    if (pid == reaper.command) {
        reaper.answer.status = status;
        /* Read now, not after vfork(): sanitizers turn that into fork(), which returns before the child has tried. */
        reaper.answer.stage = reaper.page->stage;
        reaper.answer.error = reaper.page->error;
        reaper.command = 0;
        reaper.page->group = 0;
    }
    return true;
}

/* → how many children were there to kill. The kernel may leave some out of a list that changes under the reader. */
static unsigned kill_children(void)
{
    char list[4096];
    unsigned killed = 0;
    size_t kept = 0;
    off_t at = 0;
    for (ssize_t n; (n = pread(reaper.children, list + kept, sizeof list - 1 - kept, at)) > 0;) {
        at += n;
        list[kept + (size_t)n] = 0;
        char *word = list;
        for (char *space; (space = strchr(word, ' ')); word = space + 1) {
            *space = 0;
            pid_t pid = (pid_t)strtol(word, NULL, 10);
            if (pid > 0 && kill(pid, SIGKILL) == 0)
                killed++;
        }
        kept = strlen(word); /* a number cut in two by the end of the block */
        memmove(list, word, kept);
    }
    return killed;
}

/* Kills the command and all its descendants. The children of a killed process become ours before it can be reaped, so
 * this repeats until there is no child: then there is no descendant. */
static void kill_all(void)
{
    if (reaper.command > 0)
        kill(-reaper.command, SIGKILL); /* all at once, so that a fork bomb that stays in its group cannot outrun us */
    for (bool left = true; left;) {
        unsigned killed = kill_children();
        if (killed > 0) {
            reap(0, &left);
            while (reap(WNOHANG, &left))
                ;
        } else if (!reap(WNOHANG, &left) && left) {
            poll(NULL, 0, 1); /* children that the list left out, or that we may not kill yet (an exec of theirs) */
        }
    }
}

/* ---- the start of a command ---- */

static bool read_all(void *to, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = recv(reaper.socket, (char *)to + at, size - at, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Does any directory of PATH hold this name? execvp() returns EACCES also for a directory that may not be searched,
 * where a shell reports that there is no such command. */
static bool is_on_path(const char *name)
{
    const char *at = getenv("PATH");
    char candidate[PATH_MAX];
    while (at) {
        const char *end = strchrnul(at, ':');
        int n = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)(end - at), at, name);
        if (n > 0 && (size_t)n < sizeof candidate && access(candidate, F_OK) == 0)
            return true;
        at = *end ? end + 1 : NULL;
    }
    return false;
}

static _Noreturn void become(const char *directory, char **argv, mode_t mask, const int *fds)
{
    reaper.page->group = setsid(); /* before exec, so that there is no command without it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    umask(mask);
    enum reaper_stage stage = REAPER_NO_DIRECTORY;
    int error = 0;
    if (*directory && chdir(directory) < 0) {
        error = errno;
    } else {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        stage = REAPER_NO_EXEC;
        execvp(argv[0], argv);
        error = errno;
        if (error == EACCES && !strchr(argv[0], '/') && !is_on_path(argv[0]))
            error = ENOENT;
    }
    reaper.page->error = error;
    reaper.page->stage = (int32_t)stage;
    _exit(127);
}

static void start(const char *directory, char **argv, char **envp, mode_t mask, const int *fds)
{
    reaper.page->stage = REAPER_ENDED;
    reaper.page->error = 0;
    /* execvp() searches the PATH of `environ`, which must be the command's. */
    char **own = environ;
    environ = envp;
    pid_t pid = vfork();
    if (pid == 0)
        become(directory, argv, mask, fds);
    int error = errno;
    environ = own;
    reaper.command = pid > 0 ? pid : 0;
    if (pid < 0) {
        reaper.answer.stage = REAPER_NO_FORK;
        reaper.answer.error = error;
    }
}

static _Noreturn void desert(void)
{
    kill_all();
    _exit(EXIT_SUCCESS);
}

/* Strings that `count` zero bytes end. → behind them, or NULL. */
static char *split(char *at, const char *end, char **ret, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char *zero = memchr(at, 0, (size_t)(end - at));
        if (!zero)
            return NULL;
        ret[i] = at;
        at = zero + 1;
    }
    ret[count] = NULL;
    return at;
}

static void run(const struct reaper_request *request, const int *fds)
{
    char *strings = malloc(request->size ? request->size : 1);
    char **argv = calloc(request->argc + 1u, sizeof *argv), **envp = calloc(request->envc + 1u, sizeof *envp);
    if (!strings || !argv || !envp)
        unfit(ENOMEM);
    if (!read_all(strings, request->size))
        desert();
    char *directory[2], *end = strings + request->size;
    char *at = split(strings, end, directory, 1);
    at = at ? split(at, end, argv, request->argc) : NULL;
    at = at ? split(at, end, envp, request->envc) : NULL;
    if (!at || request->argc == 0)
        unfit(EPROTO);

    reaper.answer = (struct reaper_answer){.stage = REAPER_ENDED};
    reaper.running = true;
    reaper.kill_at_ms = 0;
    start(directory[0], argv, envp, (mode_t)request->umask, fds);
    free(strings);
    free(argv);
    free(envp);
    if (reaper.command == 0)
        answer();
}

/* ---- the worker's wishes ---- */

static void receive(void)
{
    struct reaper_request request;
    int fds[3] = {-1, -1, -1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fds)];
    } control;
    struct iovec piece = {.iov_base = &request, .iov_len = sizeof request};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(reaper.socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0 || (size_t)n > sizeof request || !read_all((char *)&request + n, sizeof request - (size_t)n))
        desert();
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights && rights->cmsg_type == SCM_RIGHTS && rights->cmsg_len == CMSG_LEN(sizeof fds))
        memcpy(fds, CMSG_DATA(rights), sizeof fds);

    if (request.ask == REAPER_RUN && !reaper.running) {
        if (fds[2] < 0 || request.size > REAPER_STRINGS_MAX || request.argc > request.size ||
            request.envc > request.size)
            unfit(EPROTO);
        run(&request, fds);
    } else if (request.ask == REAPER_STOP && reaper.command > 0 && reaper.kill_at_ms == 0) {
        kill(-reaper.command, (int)request.signal);
        kill(-reaper.command, SIGCONT); /* one that is stopped would not hear it */
        reaper.kill_at_ms = now_ms() + REAPER_GRACE_MS;
    }
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void serve(void)
{
    struct pollfd fds[] = {
        {.fd = reaper.socket, .events = POLLIN},
        {.fd = reaper.worker, .events = POLLIN},
        {.fd = reaper.signals, .events = POLLIN},
    };
    int timeout = -1;
    if (reaper.kill_at_ms) {
        int64_t left = reaper.kill_at_ms - now_ms();
        timeout = left > 0 ? (int)left : 0;
    }
    if (poll(fds, 3, timeout) < 0 && errno != EINTR)
        desert();
    if (fds[1].revents)
        desert();
    if (fds[2].revents) {
        struct signalfd_siginfo info[8];
        while (read(reaper.signals, info, sizeof info) > 0)
            ;
        for (bool left; reap(WNOHANG, &left);)
            ;
    }
    if (reaper.running && reaper.kill_at_ms && now_ms() >= reaper.kill_at_ms)
        kill_all();
    if (reaper.running && reaper.command == 0) {
        kill_all();
        answer();
    }
    if (fds[0].revents)
        receive();
}

/* Descriptors that functions of our worker have open belong to them: if we held the end of a pipe, its reader would
 * never see the end of file. */
static void close_others(int page)
{
    close(page);
    for (unsigned fd = 3; fd != ~0u;) {
        unsigned next = ~0u;
        const int own[] = {reaper.socket, reaper.worker};
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
            if ((unsigned)own[i] >= fd && (unsigned)own[i] < next)
                next = (unsigned)own[i];
        if (next > fd)
            close_range(fd, next - 1, 0);
        fd = next == ~0u ? next : next + 1;
    }
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* The worker's standard descriptors are not ours either. */
static void set_standard(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (null < 0)
        unfit(errno);
    close(null);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "%s is started by mpoold's exec module; it is of no use by itself\n", REAPER_PROGRAM);
        return EXIT_FAILURE;
    }
    reaper.socket = atoi(argv[1]);
    reaper.worker = atoi(argv[2]);
    int page = atoi(argv[3]);
    reaper.page = mmap(NULL, sizeof *reaper.page, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    if (reaper.page == MAP_FAILED)
        unfit(errno);
    close_others(page);
    set_standard();

    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    reaper.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    reaper.children = open(path, O_RDONLY | O_CLOEXEC);
    /* Without new privileges, we may kill all our descendants. */
    if (reaper.signals < 0 || reaper.children < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        unfit(errno);
    for (;;)
        serve();
}
