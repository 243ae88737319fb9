#include "daemon/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"

/* The whole of a file that has no size. → its length with *ret (owned, terminated), or -errno. */
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
    pid_t *pids = malloc(((size_t)(length > 0 ? length : 0) / 2 + 1) * sizeof *pids); /* a digit and a space at least */
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
