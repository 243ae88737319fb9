#include "daemon/worker/process_state.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/worker/helper.h"

#define CHILDREN_MAX 4096

struct file {
    dev_t device;
    ino_t number;
};

struct process_state {
    mode_t umask;
    char directory[PATH_MAX];
    struct file root, standard[STDERR_FILENO + 1];
    sigset_t mask;
    bool ignored[NSIG];
    struct rlimit limits[RLIMIT_NLIMITS];
    int nice, scheduler, death_signal, dumpable;
    cpu_set_t cpus;
    char name[16];
    uid_t uids[3];
    gid_t gids[3];
    int group_count;
    gid_t groups[NGROUPS_MAX];
    char **environment; /* the strings are copies */
    char *locale;
    locale_t thread_locale;
    char children[CHILDREN_MAX]; /* as the kernel lists them: "17 23 " */
};

/* ---- the picture ---- */

static struct file file_of(int r, const struct stat *st)
{
    return r < 0 ? (struct file){0} : (struct file){st->st_dev, st->st_ino};
}

static struct file file_at(const char *path)
{
    struct stat st;
    return file_of(stat(path, &st), &st);
}

static struct file file_open(int fd)
{
    struct stat st;
    return file_of(fstat(fd, &st), &st);
}

static bool file_is(struct file a, struct file b)
{
    return a.device == b.device && a.number == b.number;
}

/* Of the main thread, as every function runs there. If there are too many, the list is cut after a whole number. */
static void list_children(char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = 0;
    char *last = strrchr(ret, ' ');
    if (last)
        last[1] = 0;
}

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static char **copy_environment(void)
{
    size_t n = 0;
    while (environ && environ[n])
        n++;
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(environ[i])))
            return NULL; /* out of memory: the worker ends */
    return copy;
}

static void look_at_rights(struct process_state *w)
{
    getresuid(&w->uids[0], &w->uids[1], &w->uids[2]);
    getresgid(&w->gids[0], &w->gids[1], &w->gids[2]);
    w->group_count = getgroups(NGROUPS_MAX, w->groups);
}

int process_state_new(struct process_state **ret)
{
    struct process_state *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->umask = umask(S_IRWXO);
    umask(w->umask);
    if (!getcwd(w->directory, sizeof w->directory))
        w->directory[0] = 0;
    w->root = file_at("/");
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        w->standard[fd] = file_open(fd);
    sigprocmask(SIG_BLOCK, NULL, &w->mask);
    for (int number = 1; number < NSIG; number++)
        w->ignored[number] = is_ignored(number);
    for (int i = 0; i < RLIMIT_NLIMITS; i++)
        getrlimit((__rlimit_resource_t)i, &w->limits[i]);
    w->nice = getpriority(PRIO_PROCESS, 0);
    w->scheduler = sched_getscheduler(0);
    sched_getaffinity(0, sizeof w->cpus, &w->cpus);
    prctl(PR_GET_PDEATHSIG, &w->death_signal);
    w->dumpable = prctl(PR_GET_DUMPABLE);
    prctl(PR_GET_NAME, w->name);
    look_at_rights(w);
    w->environment = copy_environment();
    w->locale = strdup(setlocale(LC_ALL, NULL));
    w->thread_locale = uselocale((locale_t)0);
    list_children(w->children, sizeof w->children);
    if (!w->environment || !w->locale) {
        free(w);
        return -ENOMEM;
    }
    *ret = w;
    return 0;
}

/* ---- putting it back ---- */

static const char *restore_directory(const struct process_state *w)
{
    char now[PATH_MAX];
    if (!file_is(file_at("/"), w->root))
        return "another root directory";
    if (w->directory[0] && (!getcwd(now, sizeof now) || strcmp(now, w->directory) != 0) && chdir(w->directory) < 0)
        return "another directory";
    return NULL;
}

static const char *restore_signals(const struct process_state *w)
{
    sigset_t pending;
    sigpending(&pending);
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&pending, number) == 1 && sigismember(&w->mask, number) == 0)
            return "a signal that it had blocked";
        if (number != SIGPIPE && number != SIGKILL && number != SIGSTOP && !w->ignored[number] && is_ignored(number))
            signal(number, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &w->mask, NULL);
    return NULL;
}

/* Timers of timer_create() can be found only through this list. */
static bool has_timers(void)
{
    char byte;
    _cleanup_(fd_close) int fd = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &byte, 1) == 1;
}

static const char *restore_timers(void)
{
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){0}, NULL);
    setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
    return has_timers() ? "a timer" : NULL;
}

static const char *restore_limits(const struct process_state *w)
{
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)i, &now) == 0 && memcmp(&now, &w->limits[i], sizeof now) != 0 &&
            setrlimit((__rlimit_resource_t)i, &w->limits[i]) < 0)
            return "a lower limit";
    }
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus);
    if (!CPU_EQUAL(&cpus, &w->cpus) && sched_setaffinity(0, sizeof w->cpus, &w->cpus) < 0)
        return "other processors";
    if (sched_getscheduler(0) != w->scheduler)
        return "another scheduling policy";
    if (getpriority(PRIO_PROCESS, 0) != w->nice && setpriority(PRIO_PROCESS, 0, w->nice) < 0)
        return "another priority";
    return NULL;
}

static const char *restore_rights(const struct process_state *w)
{
    static struct process_state now;
    look_at_rights(&now);
    if (memcmp(now.uids, w->uids, sizeof w->uids) != 0 || memcmp(now.gids, w->gids, sizeof w->gids) != 0 ||
        now.group_count != w->group_count || memcmp(now.groups, w->groups, sizeof now.groups) != 0)
        return "another user or group";
    prctl(PR_SET_PDEATHSIG, w->death_signal);
    prctl(PR_SET_DUMPABLE, w->dumpable);
    prctl(PR_SET_NAME, w->name);
    return NULL;
}

static const char *restore_environment(const struct process_state *w)
{
    size_t n = 0;
    while (w->environment[n] && environ && environ[n] && strcmp(environ[n], w->environment[n]) == 0)
        n++;
    if (w->environment[n] || (environ && environ[n])) {
        clearenv();
        /* putenv() inserts the copies themselves; a task that overwrites one in place is not noticed. */
        for (size_t i = 0; w->environment[i]; i++)
            if (putenv(w->environment[i]) != 0)
                return "another environment";
    }
    if (uselocale((locale_t)0) != w->thread_locale)
        uselocale(w->thread_locale);
    return strcmp(setlocale(LC_ALL, NULL), w->locale) == 0 || setlocale(LC_ALL, w->locale) ? NULL : "another locale";
}

/* Is the number in the earlier list? */
static bool was_there(const struct process_state *w, const char *word, size_t length)
{
    for (const char *at = w->children; (at = strstr(at, word)); at += length)
        if (at == w->children || at[-1] == ' ')
            return true;
    return false;
}

static const char *collect_children(const struct process_state *w)
{
    char list[CHILDREN_MAX], word[16];
    list_children(list, sizeof list);
    for (const char *at = list, *space; (space = strchr(at, ' ')); at = space + 1) {
        size_t length = (size_t)(space - at) + 1;
        if (length >= sizeof word)
            continue;
        memcpy(word, at, length);
        word[length] = 0;
        pid_t pid = (pid_t)atoi(word);
        if (pid != helper_pid() && !was_there(w, word, length) && waitpid(pid, NULL, WNOHANG | __WALL) == 0)
            return "a child process";
    }
    return NULL;
}

static const char *check_standard(const struct process_state *w)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (!file_is(file_open(fd), w->standard[fd]))
            return "another standard input or output";
    return NULL;
}

const char *process_state_restore(struct process_state *w)
{
    umask(w->umask);
    const char *left = restore_timers(); /* before any signal is delivered */
    left = left ? left : restore_signals(w);
    left = left ? left : restore_directory(w);
    left = left ? left : restore_limits(w);
    left = left ? left : restore_rights(w);
    left = left ? left : restore_environment(w);
    left = left ? left : check_standard(w);
    return left ? left : collect_children(w);
}
