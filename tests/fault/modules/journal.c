/* The independent witness of the kill storm: each run of a function writes its key to a file before it does anything.
 *
 * One line is one O_APPEND write, so lines of many workers do not mix, and a SIGKILL falls before it or after it. The
 * judge counts lines and believes nobody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mpool/module.h>

/* path, key, microseconds, ballast (bin), size → [key, length of the ballast, bin of `size` bytes] */
static int run(mpool_task *task)
{
    const char *path_text, *ballast;
    size_t path_length, ballast_length;
    int64_t key, pause_us;
    uint64_t size;
    if (mpool_arg_str(task, 0, &path_text, &path_length) < 0 || mpool_arg_i64(task, 1, &key) < 0 ||
        mpool_arg_i64(task, 2, &pause_us) < 0 || mpool_arg_bin(task, 3, (const void **)&ballast, &ballast_length) < 0 ||
        mpool_arg_u64(task, 4, &size) < 0)
        return -1;
    char path[256];
    if (path_length >= sizeof path)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "the path is too long");
    memcpy(path, path_text, path_length);
    path[path_length] = 0;

    char line[64];
    int n = snprintf(line, sizeof line, "%lld %u %d\n", (long long)key, mpool_attempt(task), (int)getpid());
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", path, strerror(errno));
    ssize_t written = write(fd, line, (size_t)n);
    close(fd);
    if (written != n)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: could not append", path);

    struct timespec left = {pause_us / 1000000, pause_us % 1000000 * 1000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    mpool_reply_array(task, 3);
    mpool_reply_i64(task, key);
    mpool_reply_u64(task, ballast_length);
    void *bytes = mpool_reply_bin_reserve(task, size);
    if (!bytes)
        return -1;
    memset(bytes, (int)('a' + key % 26), size);
    return 0;
}

/* bool: stops the supervisor, which finds the rest of the lane as it is then. */
static int stop(mpool_task *task)
{
    int on;
    if (mpool_arg_bool(task, 0, &on) < 0)
        return -1;
    if (on)
        kill(getppid(), SIGSTOP);
    return 0;
}

MPOOL_MODULE("journal", "1.0.0", MPOOL_FN("stop", stop), MPOOL_FN("once", run),
    MPOOL_FN("again", run, .flags = MPOOL_IDEMPOTENT))
