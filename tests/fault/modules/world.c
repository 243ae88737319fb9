/* Functions for tests that look at the process they run in, and that leave it in disorder as they are asked to. */
#include <errno.h>
#include <fcntl.h>
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
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpool/module.h>

static int word_arg(mpool_task *task, uint32_t index, char word[static 256])
{
    const char *text;
    size_t length;
    if (mpool_arg_str(task, index, &text, &length) < 0)
        return -1;
    if (length >= 256)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "argument %u is too long", index);
    memcpy(word, text, length);
    word[length] = 0;
    return 0;
}

static void put_text(mpool_task *task, const char *key, const char *text)
{
    mpool_reply_str(task, key, strlen(key));
    mpool_reply_bin(task, text, strlen(text));
}

static void put_number(mpool_task *task, const char *key, int64_t number)
{
    mpool_reply_str(task, key, strlen(key));
    mpool_reply_i64(task, number);
}

static int64_t ignored_signals(void)
{
    int64_t set = 0;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            set |= INT64_C(1) << (number - 1);
    }
    return set;
}

static int64_t blocked_signals(void)
{
    sigset_t now;
    int64_t set = 0;
    sigprocmask(SIG_BLOCK, NULL, &now);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&now, number) == 1)
            set |= INT64_C(1) << (number - 1);
    return set;
}

static int64_t seconds_left(void)
{
    int64_t left = 0;
    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
        struct itimerval now;
        if (getitimer((__itimer_which_t)which, &now) == 0)
            left += now.it_value.tv_sec + (now.it_value.tv_usec > 0) + now.it_interval.tv_sec;
    }
    return left;
}

/* → what a function finds */
static int look(mpool_task *task)
{
    char directory[PATH_MAX] = "";
    mode_t mask = umask(0);
    umask(mask);
    struct rlimit files = {0}, size = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_FSIZE, &size);
    if (!getcwd(directory, sizeof directory))
        snprintf(directory, sizeof directory, "%s", strerror(errno));
    const char *variable = getenv("WORLD");
    siginfo_t child;
    int death_signal = 0;
    prctl(PR_GET_PDEATHSIG, &death_signal);
    mpool_reply_map(task, 16);
    put_number(task, "death_signal", death_signal);
    put_text(task, "path", getenv("PATH") ? getenv("PATH") : "");
    put_number(task, "pid", getpid());
    put_number(task, "group", getpgrp());
    put_number(task, "session", getsid(0));
    put_number(task, "umask", mask);
    put_text(task, "cwd", directory);
    put_number(task, "ignored", ignored_signals());
    put_number(task, "blocked", blocked_signals());
    put_number(task, "timers", seconds_left());
    put_number(task, "nofile", (int64_t)files.rlim_cur);
    put_number(task, "fsize", size.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)size.rlim_cur);
    put_number(task, "nice", getpriority(PRIO_PROCESS, 0));
    put_text(task, "variable", variable ? variable : "");
    put_text(task, "locale", setlocale(LC_ALL, NULL));
    put_number(task, "children", waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0);
    return 0;
}

static int signal_group(mpool_task *task)
{
    int64_t number;
    if (mpool_arg_i64(task, 0, &number) < 0)
        return -1;
    kill(0, (int)number);
    return mpool_reply_nil(task);
}

/* text → what system(3) makes of it */
static int shell(mpool_task *task)
{
    char text[256];
    if (word_arg(task, 0, text) < 0)
        return -1;
    return mpool_reply_i64(task, system(text));
}

/* n → n bytes */
static int bytes(mpool_task *task)
{
    uint64_t n;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    void *at = mpool_reply_bin_reserve(task, n);
    if (at)
        memset(at, 'x', n);
    return at ? 0 : -1;
}

/* ---- disorder ---------------------------------------------------------------------------------------------------
 */

static void block(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void limit_size(rlim_t soft, rlim_t hard)
{
    struct rlimit now;
    getrlimit(RLIMIT_FSIZE, &now);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){soft, hard == RLIM_INFINITY ? now.rlim_max : hard});
}

static void start_child(int lives)
{
    siginfo_t ended;
    pid_t pid = fork();
    if (pid > 0 && !lives)
        waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT); /* until it is a zombie, and one still */
    if (pid != 0)
        return;
    signal(SIGTERM, SIG_DFL);
    while (lives)
        pause();
    _exit(0);
}

static void leave_umask(void)
{
    umask(0777);
}
static void leave_directory(void)
{
    (void)!chdir("/tmp");
}
static void leave_alarm(void)
{
    alarm(1);
}
static void leave_interval(void)
{
    setitimer(ITIMER_REAL, &(struct itimerval){{1, 0}, {1, 0}}, NULL);
}
static void leave_timer(void)
{
    timer_t timer;
    timer_create(CLOCK_MONOTONIC, NULL, &timer);
    timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {1, 0}}, NULL);
}
static void leave_blocked(void)
{
    block(SIGTERM);
}
static void leave_pending(void)
{
    block(SIGALRM);
    raise(SIGALRM);
}
static void leave_ignored(void)
{
    signal(SIGCHLD, SIG_IGN);
}
static void leave_soft_limit(void)
{
    limit_size(4096, RLIM_INFINITY);
}
static void leave_hard_limit(void)
{
    limit_size(4096, 4096);
}
static void leave_nice(void)
{
    (void)!nice(3);
}
static void leave_variable(void)
{
    setenv("WORLD", "left", 1);
}
static void leave_no_path(void)
{
    clearenv();
}
static void leave_locale(void)
{
    setlocale(LC_ALL, "C.UTF-8");
}
static void leave_zombie(void)
{
    start_child(0);
}
static void leave_child(void)
{
    start_child(1);
}
static void leave_output(void)
{
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}
static void leave_raw_umask(void)
{
    syscall(SYS_umask, 0777);
    nanosleep(&(struct timespec){0, 20000000}, NULL); /* long enough to be looked at anyway */
}
static void leave_no_death_signal(void)
{
    prctl(PR_SET_PDEATHSIG, 0);
}

static void leave_descriptor(void)
{
    dup2(STDIN_FILENO, 77); /* not close-on-exec */
}

static const struct {
    const char *what;
    void (*leave)(void);
} disorders[] = {
    {"umask", leave_umask},
    {"descriptor", leave_descriptor},
    {"directory", leave_directory},
    {"alarm", leave_alarm},
    {"interval", leave_interval},
    {"timer", leave_timer},
    {"blocked", leave_blocked},
    {"pending", leave_pending},
    {"ignored", leave_ignored},
    {"soft limit", leave_soft_limit},
    {"hard limit", leave_hard_limit},
    {"nice", leave_nice},
    {"variable", leave_variable},
    {"no path", leave_no_path},
    {"locale", leave_locale},
    {"zombie", leave_zombie},
    {"child", leave_child},
    {"output", leave_output},
    {"raw umask", leave_raw_umask},
    {"no death signal", leave_no_death_signal},
};

/* what → nil, having left it behind */
static int leave(mpool_task *task)
{
    char what[256];
    if (word_arg(task, 0, what) < 0)
        return -1;
    for (size_t i = 0; i < sizeof disorders / sizeof disorders[0]; i++)
        if (strcmp(disorders[i].what, what) == 0) {
            disorders[i].leave();
            return mpool_reply_nil(task);
        }
    return mpool_fail(task, MPOOL_FAIL_FINAL, "there is no disorder %s", what);
}

/* text, stream → nil: writes the text to the pipe at once, without an end of a line; stream 0: to stdout by printf */
static int print(mpool_task *task)
{
    char text[256];
    int64_t stream;
    if (word_arg(task, 0, text) < 0 || mpool_arg_i64(task, 1, &stream) < 0)
        return -1;
    if (stream == 0 ? printf("%s", text) < 0 : write((int)stream, text, strlen(text)) < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "write: %s", strerror(errno));
    return mpool_reply_nil(task);
}

/* how → how many children have ended while it waited until there was none */
static int wait_for_children(mpool_task *task)
{
    char how[256];
    int64_t ended = 0;
    siginfo_t info;
    if (word_arg(task, 0, how) < 0)
        return -1;
    for (bool more = true; more; ended += more)
        if (strcmp(how, "wait") == 0)
            more = wait(NULL) > 0;
        else if (strcmp(how, "waitpid") == 0)
            more = waitpid(-1, NULL, 0) > 0;
        else if (strcmp(how, "waitid") == 0)
            more = waitid(P_ALL, 0, &info, WEXITED) == 0;
        else
            more = wait4(-1, NULL, 0, NULL) > 0;
    return mpool_reply_i64(task, ended);
}

MPOOL_MODULE("world", "1.0.0", MPOOL_FN("look", look), MPOOL_FN("signal_group", signal_group), MPOOL_FN("shell", shell),
    MPOOL_FN("bytes", bytes), MPOOL_FN("leave", leave), MPOOL_FN("print", print),
    MPOOL_FN("wait_for_children", wait_for_children))
