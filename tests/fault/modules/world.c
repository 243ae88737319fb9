/* Functions for tests that look at the process they run in, and that leave it in disorder as they are asked to. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
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
        if (getitimer((__typeof__(ITIMER_REAL))which, &now) == 0)
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
    mpool_reply_map(task, 14);
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

MPOOL_MODULE("world", "1.0.0", MPOOL_FN("look", look), MPOOL_FN("signal_group", signal_group), MPOOL_FN("shell", shell),
    MPOOL_FN("bytes", bytes))
