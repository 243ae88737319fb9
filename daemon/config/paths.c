#include "daemon/config/paths.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char modules[PATH_MAX + 16];

void paths_init(void)
{
    char self[PATH_MAX];
    struct stat st;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    snprintf(modules, sizeof modules, "%s", MPOOL_MODULE_DIR);
    if (n <= 0)
        return;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    *slash = 0;
    /* When run from the build tree, use the modules that were built with it. */
    if (strcmp(self, MPOOL_BIN_DIR) == 0)
        return;
    char beside[PATH_MAX + 16];
    snprintf(beside, sizeof beside, "%s/modules", self);
    if (stat(beside, &st) == 0 && S_ISDIR(st.st_mode))
        memcpy(modules, beside, sizeof modules);
}

const char *paths_modules(void)
{
    return modules;
}

static int is_module(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && dot != entry->d_name && strcmp(dot, ".so") == 0;
}

int paths_shipped(struct config_strings *ret)
{
    struct dirent **list;
    *ret = (struct config_strings){0};
    int n = scandir(modules, &list, is_module, alphasort);
    if (n < 0)
        return -errno;
    ret->items = calloc((size_t)n + 1, sizeof *ret->items);
    for (int i = 0; i < n; i++) {
        if (ret->items && (ret->items[ret->count] = strndup(list[i]->d_name, strlen(list[i]->d_name) - 3)))
            ret->count++;
        free(list[i]);
    }
    free(list);
    return ret->items && ret->count == (size_t)n ? 0 : -ENOMEM;
}

void paths_free(struct config_strings *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct config_strings){0};
}
