#include "daemon/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

/* Reads a whole file that reports no size. → its length with *ret (owned, terminated), or -errno. */
static ssize_t read_all(int fd, char **ret)
{
    size_t length = 0, size = 4096;
    char *text = malloc(size);
    while (text) {
        ssize_t n = read(fd, text + length, size - length - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;
            free(text);
            return -error;
        }
        length += (size_t)n;
        text[length] = 0;
        if (n == 0) {
            *ret = text;
            return (ssize_t)length;
        }
        if (size - length < 1024) {
            size *= 2;
            char *grown = realloc(text, size);
            if (!grown)
                free(text);
            text = grown;
        }
    }
    return -ENOMEM;
}

int procfs_children(pid_t **ret, size_t *ret_count)
{
    char path[64];
    _cleanup_(cleanup_free) char *text = NULL;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read_all(fd, &text);
    if (length == -ENOMEM)
        return -ENOMEM;
    pid_t *pids = malloc(((size_t)(length > 0 ? length : 0) / 2 + 1) * sizeof *pids); /* at least a digit and a space */
    if (!pids)
        return -ENOMEM;
    size_t n = 0;
    for (char *at = text, *end; at && length > 0; at = end) {
        pid_t pid = (pid_t)strtol(at, &end, 10);
        if (end == at)
            break;
        pids[n++] = pid;
    }
    *ret = pids;
    *ret_count = n;
    return 0;
}

int procfs_stat(pid_t pid, struct procfs_stat *ret)
{
    char path[64], text[1024];
    unsigned long long start = 0, ticks = (unsigned long long)sysconf(_SC_CLK_TCK);
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n <= 0)
        return n < 0 && errno != ESRCH ? -errno : -ENOENT; /* it exited between open and read */
    text[n] = 0;
    const char *at = strrchr(text, ')'); /* the name before it may contain anything; the start time is field 22 */
    if (!at || sscanf(at, ") %*c %d", &parent) != 1)
        return -EBADMSG;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, " %llu", &start) != 1)
        return -EBADMSG;
    ret->parent = parent;
    ret->start_ns = start / ticks * NS_PER_S + start % ticks * (NS_PER_S / ticks);
    return 0;
}
