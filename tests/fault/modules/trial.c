/* Functions for tests that behave: they crash, fail, wait and take notes exactly as they are asked to.
 *
 * Notes are single O_APPEND writes to a file that the test names, so that what ran can be counted without believing
 * the daemon. A note that cannot be written fails the task.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mpool/module.h>

static int path_arg(mpool_task *task, uint32_t index, char path[static 256])
{
    const char *text;
    size_t length;
    if (mpool_arg_str(task, index, &text, &length) < 0)
        return -1;
    if (length >= 256)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "the path is too long");
    memcpy(path, text, length);
    path[length] = 0;
    return 0;
}

/* Appends and tells how large the file is then. */
static int append(mpool_task *task, const char *path, const void *bytes, size_t length, int64_t *ret_size)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", path, strerror(errno));
    ssize_t n = write(fd, bytes, length);
    struct stat st;
    int r = fstat(fd, &st);
    close(fd);
    if (n != (ssize_t)length || r < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: could not append", path);
    if (ret_size)
        *ret_size = st.st_size;
    return 0;
}

static void rest(double seconds)
{
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static _Noreturn void die(void)
{
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    _exit(99);
}

/* seconds → pid of the worker, after that long */
static int pid_after(mpool_task *task)
{
    double seconds;
    if (mpool_arg_f64(task, 0, &seconds) < 0)
        return -1;
    rest(seconds);
    return mpool_reply_i64(task, getpid());
}

/* n → 0, or the worker's end when n is not 0 */
static int crash_if(mpool_task *task)
{
    int64_t n;
    if (mpool_arg_i64(task, 0, &n) < 0)
        return -1;
    if (n != 0)
        die();
    return mpool_reply_i64(task, 0);
}

/* path, text, crash → notes the text, then crashes if it is told to */
static int note(mpool_task *task)
{
    char path[256];
    const char *text;
    size_t length;
    int64_t crash;
    if (path_arg(task, 0, path) < 0 || mpool_arg_str(task, 1, &text, &length) < 0 || mpool_arg_i64(task, 2, &crash) < 0)
        return -1;
    char line[128];
    int n = snprintf(line, sizeof line, "%.*s\n", (int)(length < 100 ? length : 100), text);
    if (append(task, path, line, (size_t)n, NULL) < 0)
        return -1;
    if (crash)
        die();
    return mpool_reply_nil(task);
}

static int note_and_fail(mpool_task *task)
{
    char path[256];
    if (path_arg(task, 0, path) < 0 || append(task, path, ".", 1, NULL) < 0)
        return -1;
    return mpool_fail(task, MPOOL_FAIL_FINAL, "noted, and failed for good");
}

/* path, n → fails retryably until it has been run n times; then how often it has been run */
static int fail_until(mpool_task *task)
{
    char path[256];
    int64_t want, have;
    if (path_arg(task, 0, path) < 0 || mpool_arg_i64(task, 1, &want) < 0 || append(task, path, ".", 1, &have) < 0)
        return -1;
    if (have < want)
        return mpool_fail(task, MPOOL_FAIL_RETRYABLE, "run %d of %d", (int)have, (int)want);
    return mpool_reply_i64(task, have);
}

/* The same, crashing. */
static int crash_until(mpool_task *task)
{
    char path[256];
    int64_t want, have;
    if (path_arg(task, 0, path) < 0 || mpool_arg_i64(task, 1, &want) < 0 || append(task, path, ".", 1, &have) < 0)
        return -1;
    if (have < want)
        die();
    return mpool_reply_i64(task, have);
}

/* Runs for days and hears nothing. */
static int deaf(mpool_task *task)
{
    rest(1e6);
    return mpool_reply_nil(task);
}

/* Keeps a CPU busy for ever (centuries). */
static int spin(mpool_task *task)
{
    for (volatile unsigned long i = 1; i; i++)
        ;
    return mpool_reply_nil(task);
}

/* done, total → shows that progress until it is cancelled */
static int progress(mpool_task *task)
{
    uint64_t done, total;
    if (mpool_arg_u64(task, 0, &done) < 0 || mpool_arg_u64(task, 1, &total) < 0)
        return -1;
    mpool_progress(task, done, total);
    struct pollfd wait = {.fd = mpool_cancel_fd(task), .events = POLLIN};
    while (!mpool_cancelled(task))
        poll(&wait, 1, 1000);
    return mpool_fail(task, MPOOL_FAIL_FINAL, "cancelled");
}

/* bytes → touches and keeps that much memory for the worker's life; → pid */
static int hoard(mpool_task *task)
{
    uint64_t size;
    if (mpool_arg_u64(task, 0, &size) < 0)
        return -1;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "no memory");
    memset(memory, 1, size);
    return mpool_reply_i64(task, getpid());
}

/* n → a bin of n bytes, each 'x' */
static int big(mpool_task *task)
{
    uint64_t size;
    if (mpool_arg_u64(task, 0, &size) < 0)
        return -1;
    void *bytes = mpool_reply_bin_reserve(task, size);
    if (!bytes)
        return -1;
    memset(bytes, 'x', size);
    return 0;
}

/* size → fails, when it has made so many bytes of a result */
static int big_and_fail(mpool_task *task)
{
    return big(task) < 0 ? -1 : mpool_fail(task, MPOOL_FAIL_FINAL, "all for nothing");
}

/* path, n, size → waits until there is a file, logs n lines, then answers as big does */
static int talk(mpool_task *task)
{
    uint64_t n, size;
    const char *path;
    size_t length;
    if (mpool_arg_str(task, 0, &path, &length) < 0 || mpool_arg_u64(task, 1, &n) < 0 ||
        mpool_arg_u64(task, 2, &size) < 0)
        return -1;
    char file[4096];
    snprintf(file, sizeof file, "%.*s", (int)length, path);
    while (access(file, F_OK) < 0)
        usleep(1000);
    for (uint64_t i = 0; i < n; i++)
        mpool_log(task, MPOOL_LOG_DEBUG, "%llu", (unsigned long long)i);
    void *bytes = mpool_reply_bin_reserve(task, size);
    if (!bytes)
        return -1;
    memset(bytes, 'x', size);
    return 0;
}

/* bin → its length and the sum of its bytes */
static int weigh(mpool_task *task)
{
    const void *bytes;
    size_t length;
    if (mpool_arg_bin(task, 0, &bytes, &length) < 0)
        return -1;
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += ((const unsigned char *)bytes)[i];
    mpool_reply_array(task, 2);
    mpool_reply_u64(task, length);
    return mpool_reply_u64(task, sum);
}

/* n, line → prints it n times through stdio, and once on stderr */
static int say(mpool_task *task)
{
    int64_t n;
    const char *text;
    size_t length;
    if (mpool_arg_i64(task, 0, &n) < 0 || mpool_arg_str(task, 1, &text, &length) < 0)
        return -1;
    for (int64_t i = 0; i < n; i++)
        printf("%.*s\n", (int)length, text);
    fprintf(stderr, "%.*s\n", (int)length, text);
    return mpool_reply_i64(task, n);
}

/* → sleeps for ever; its time-out is its own, of one second */
static int doze(mpool_task *task)
{
    while (pause() < 0) /* it returns after signals only, and always so */
        ;
    return mpool_reply_nil(task);
}

MPOOL_MODULE("trial", "1.0.0", MPOOL_FN("pid_after", pid_after), MPOOL_FN("crash_if", crash_if), MPOOL_FN("note", note),
    MPOOL_FN("note_and_fail", note_and_fail), MPOOL_FN("fail_until", fail_until),
    MPOOL_FN("crash_until", crash_until, .flags = MPOOL_IDEMPOTENT), MPOOL_FN("deaf", deaf), MPOOL_FN("spin", spin),
    MPOOL_FN("progress", progress, .flags = MPOOL_CANCELLABLE), MPOOL_FN("hoard", hoard), MPOOL_FN("big", big),
    MPOOL_FN("big_and_fail", big_and_fail), MPOOL_FN("talk", talk), MPOOL_FN("weigh", weigh), MPOOL_FN("say", say),
    MPOOL_FN("doze", doze, .timeout_s = 1), MPOOL_FN("patient_pid", pid_after, .timeout_s = UINT32_MAX))
