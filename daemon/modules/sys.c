/* sys: tasks that do next to nothing, or something nasty, to test a pool and its monitoring. */
#include <errno.h>
#include <fcntl.h>
#include <mpool/module.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int noop(mpool_task *task)
{
    (void)task;
    return 0;
}

/* Returns one argument as it is, several as a list. */
static int echo(mpool_task *task)
{
    uint32_t count = mpool_arg_count(task);
    if (count > 1 && mpool_reply_array(task, count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        mpool_value v;
        const void *raw;
        size_t length;
        if (mpool_arg(task, i, &v) < 0 || mpool_read_raw(task, &v, &raw, &length) < 0 ||
            mpool_reply_raw(task, raw, length) < 0)
            return -1;
    }
    return 0;
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int read_seconds(mpool_task *task, int64_t *ret_ns)
{
    double seconds;
    if (mpool_arg_f64(task, 0, &seconds) < 0)
        return -1;
    if (!(seconds >= 0 && seconds <= 1e9))
        return mpool_fail(task, MPOOL_FAIL_FINAL, "seconds must be 0 to 1000000000");
    *ret_ns = (int64_t)(seconds * 1e9);
    return 0;
}

static int sleep_for(mpool_task *task)
{
    int64_t ns;
    if (read_seconds(task, &ns) < 0)
        return -1;
    int64_t end = now_ns(CLOCK_MONOTONIC) + ns;
    struct pollfd cancel = {.fd = mpool_cancel_fd(task), .events = POLLIN};
    if (cancel.fd < 0)
        return -1;
    for (;;) {
        if (mpool_cancelled(task))
            return mpool_fail(task, MPOOL_FAIL_FINAL, "cancelled");
        int64_t left = end - now_ns(CLOCK_MONOTONIC);
        if (left <= 0)
            return 0;
        struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        if (ppoll(&cancel, 1, &wait, NULL) < 0 && errno != EINTR)
            return mpool_fail(task, MPOOL_FAIL_RETRYABLE, "poll: %s", strerror(errno));
    }
}

/* Uses seconds of processor time, without checking for a cancel. */
static int burn(mpool_task *task)
{
    int64_t ns;
    if (read_seconds(task, &ns) < 0)
        return -1;
    int64_t end = now_ns(CLOCK_PROCESS_CPUTIME_ID) + ns;
    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
        ;
    return 0;
}

static int pid(mpool_task *task)
{
    return mpool_reply_i64(task, getpid());
}

static int fail(mpool_task *task)
{
    const char *message = "failed as asked";
    size_t length = strlen(message);
    int retryable = 0;
    if (mpool_arg_given(task, 0) && mpool_arg_str(task, 0, &message, &length) < 0)
        return -1;
    if (mpool_arg_given(task, 1) && mpool_arg_bool(task, 1, &retryable) < 0)
        return -1;
    return mpool_fail(task, retryable ? MPOOL_FAIL_RETRYABLE : MPOOL_FAIL_FINAL, "%.*s", (int)length, message);
}

/* Dies by a signal (SIGSEGV unless a number says otherwise), or with {"exit": status}. */
static int crash(mpool_task *task)
{
    int64_t number = SIGSEGV;
    if (mpool_arg_type(task, 0) == MPOOL_MAP) {
        mpool_value v;
        uint32_t pairs;
        const char *key;
        size_t length;
        if (mpool_arg(task, 0, &v) < 0 || mpool_read_map(task, &v, &pairs) < 0)
            return -1;
        if (pairs != 1 || mpool_read_str(task, &v, &key, &length) < 0 || length != 4 || memcmp(key, "exit", 4) != 0)
            return mpool_fail(task, MPOOL_FAIL_FINAL, "say a signal's number, or {\"exit\": status}");
        if (mpool_read_i64(task, &v, &number) < 0)
            return -1;
        _exit((int)(number & 0xff));
    }
    if (mpool_arg_given(task, 0) && mpool_arg_i64(task, 0, &number) < 0)
        return -1;
    if (number < 1 || number >= NSIG)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "there is no signal %lld", (long long)number);
    int signal_number = (int)number;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    /* A crash on purpose should leave no core file behind. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(signal_number, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(signal_number);
    return 0; /* a signal that is harmless by default */
}

/* Allocates that many bytes of memory, touches them all, and frees them. */
static int alloc(mpool_task *task)
{
    uint64_t size;
    if (mpool_arg_u64(task, 0, &size) < 0)
        return -1;
    if (size > SIZE_MAX / 2)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "no machine has that much memory");
    volatile char *memory = malloc(size ? (size_t)size : 1);
    if (!memory)
        return mpool_fail(task, MPOOL_FAIL_RETRYABLE, "no memory for %llu bytes", (unsigned long long)size);
    for (uint64_t i = 0; i < size; i += 4096)
        memory[i] = 1;
    free((void *)memory);
    return mpool_reply_u64(task, size);
}

/* A result of that many bytes. */
static int blob(mpool_task *task)
{
    uint64_t size;
    if (mpool_arg_u64(task, 0, &size) < 0)
        return -1;
    if (size > UINT32_MAX)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "a binary has at most 4294967295 bytes");
    void *bytes = mpool_reply_bin_reserve(task, (size_t)size);
    if (!bytes)
        return -1;
    memset(bytes, 'x', (size_t)size);
    return 0;
}

static int log_text(mpool_task *task)
{
    const char *text;
    size_t length;
    if (mpool_arg_str(task, 0, &text, &length) < 0)
        return -1;
    mpool_log(task, MPOOL_LOG_INFO, "%.*s", (int)length, text);
    return 0;
}

/* As a careless module would: with printf. */
static int print(mpool_task *task)
{
    const char *text;
    size_t length;
    if (mpool_arg_str(task, 0, &text, &length) < 0)
        return -1;
    printf("%.*s\n", (int)length, text);
    return 0;
}

/* To the caller, if it asked for output. */
static int output(mpool_task *task)
{
    const void *text;
    size_t length;
    uint64_t stream = STDOUT_FILENO;
    if (mpool_arg_bin(task, 0, &text, &length) < 0)
        return -1;
    if (mpool_arg_given(task, 1) && mpool_arg_u64(task, 1, &stream) < 0)
        return -1;
    return mpool_output(task, stream == STDERR_FILENO ? STDERR_FILENO : STDOUT_FILENO, text, length);
}

/* Counts to n, and reports its progress at each step. */
static int progress(mpool_task *task)
{
    uint64_t n;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    for (uint64_t i = 0; i <= n; i++) {
        if (mpool_cancelled(task))
            return mpool_fail(task, MPOOL_FAIL_FINAL, "cancelled");
        mpool_progress(task, i, n);
    }
    return mpool_reply_u64(task, n);
}

/* Appends one line to a file with one write: a witness of how often a task has run. */
static int append(mpool_task *task)
{
    const char *name, *text;
    size_t name_length, length;
    if (mpool_arg_str(task, 0, &name, &name_length) < 0 || mpool_arg_str(task, 1, &text, &length) < 0)
        return -1;
    char *path = mpool_alloc(task, name_length + 1), *line = mpool_alloc(task, length + 1);
    if (!path || !line)
        return -1;
    memcpy(path, name, name_length);
    path[name_length] = 0;
    memcpy(line, text, length);
    line[length] = '\n';
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    ssize_t n = fd < 0 ? -1 : write(fd, line, length + 1);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", path, strerror(error));
    if ((size_t)n != length + 1)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: only %zd of %zu bytes were written", path, n, length + 1);
    return 0;
}

/* clang-format off */
MPOOL_MODULE("sys", "1.0.0",
    MPOOL_FN("noop", noop, .flags = MPOOL_IDEMPOTENT, .summary = "→ nil"),
    MPOOL_FN("echo", echo, .flags = MPOOL_IDEMPOTENT, .summary = "value → the same"),
    MPOOL_FN("pid", pid, .flags = MPOOL_IDEMPOTENT, .summary = "→ the worker's process id"),
    MPOOL_FN("sleep", sleep_for, .flags = MPOOL_CANCELLABLE, .summary = "seconds: waits"),
    MPOOL_FN("burn", burn, .summary = "seconds: uses that much processor time"),
    MPOOL_FN("alloc", alloc, .summary = "bytes: takes and returns that much memory"),
    MPOOL_FN("blob", blob, .summary = "bytes → a binary of that size"),
    MPOOL_FN("fail", fail, .summary = "message?, retryable?: fails"),
    MPOOL_FN("crash", crash, .summary = "signal? or {\"exit\": status}: ends the worker"),
    MPOOL_FN("log", log_text, .summary = "text: a line in the daemon's log"),
    MPOOL_FN("print", print, .summary = "text: to the worker's standard output"),
    MPOOL_FN("output", output, .summary = "bytes, stream?: to the caller who asked for output"),
    MPOOL_FN("progress", progress, .flags = MPOOL_CANCELLABLE, .summary = "n: counts to it, reporting progress"),
    MPOOL_FN("append", append, .summary = "path, text: appends one line to a file"))
/* clang-format on */
