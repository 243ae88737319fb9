#include "daemon/worker/threads.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"

#define VANISH_MS 20

/* The directory has two links, as an empty one, and one more for each thread. */
static size_t how_many(void)
{
    struct stat st;
    return stat("/proc/self/task", &st) == 0 && st.st_nlink > 3 ? (size_t)st.st_nlink - 3 : 0;
}

static void put_name(const char *number, char *ret, size_t size)
{
    char path[sizeof "/proc/self/task//comm" + 256], name[32] = "?";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", number);
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    if (n > 0)
        name[n - (name[n - 1] == '\n')] = 0;
    size_t used = strlen(ret);
    snprintf(ret + used, size - used, "%s%s", used ? ", " : "", name);
}

size_t threads_others(char *ret, size_t size)
{
    size_t others = how_many();
    ret[0] = 0;
    /* The kernel wakes a joining thread before it removes the joined one from the list. */
    for (int i = 0; others > 0 && i < VANISH_MS; i++) {
        poll(NULL, 0, 1);
        others = how_many();
    }
    DIR *list = others > 0 ? opendir("/proc/self/task") : NULL;
    if (!list)
        return others;
    for (const struct dirent *entry; (entry = readdir(list));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != getpid())
            put_name(entry->d_name, ret, size);
    closedir(list);
    return others;
}
