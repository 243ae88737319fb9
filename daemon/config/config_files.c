/* The list of configuration files: config_files.h. */
#include "daemon/config/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config_parse.h"
#include "daemon/config/config_report.h"

struct dropin {
    char *name; /* owned; "10-site.conf" */
    char *path; /* owned */
};

struct dropins {
    struct dropin *items;
    size_t count;
};

static void dropins_reset(struct dropins *dropins)
{
    for (size_t i = 0; i < dropins->count; i++) {
        free(dropins->items[i].name);
        free(dropins->items[i].path);
    }
    free(dropins->items);
    *dropins = (struct dropins){0};
}

static void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Later directories replace what earlier ones hold under the same name. */
static int dropins_add(struct dropins *dropins, const char *directory, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < dropins->count; i++)
        if (strcmp(dropins->items[i].name, name) == 0) {
            free(dropins->items[i].path);
            dropins->items[i].path = path;
            return 0;
        }
    struct dropin *items = realloc(dropins->items, (dropins->count + 1) * sizeof *items);
    if (items)
        dropins->items = items;
    char *copy = items ? strdup(name) : NULL;
    if (!copy) {
        free(path);
        return -ENOMEM;
    }
    items[dropins->count++] = (struct dropin){copy, path};
    return 0;
}

static bool is_dropin_name(const char *name)
{
    size_t length = strlen(name), suffix = strlen(".conf");
    return name[0] != '.' && length > suffix && strcmp(name + length - suffix, ".conf") == 0;
}

static int read_directory(struct dropins *dropins, const char *main_file, struct config_report *report)
{
    _cleanup_(cleanup_free) char *directory = NULL;
    if (asprintf(&directory, "%s.d", main_file) < 0) {
        directory = NULL;
        return -ENOMEM;
    }
    struct config_place place = {.file = directory};
    _cleanup_(cleanup_closedir) DIR *dir = opendir(directory);
    if (!dir) {
        /* ENOTDIR: a part of the path above is a file, as with --config /dev/null. */
        if (errno != ENOENT && errno != ENOTDIR)
            config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
        return 0;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
            return 0;
        }
        if (!is_dropin_name(entry->d_name))
            continue;
        if (dropins->count == CONFIG_DROPINS_MAX) {
            config_report_mistake(report, &place, "more than %d drop-ins", CONFIG_DROPINS_MAX);
            return 0;
        }
        int r = dropins_add(dropins, directory, entry->d_name);
        if (r < 0)
            return r;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct dropin *)a)->name, ((const struct dropin *)b)->name);
}

/* Takes path, also on failure. */
static int append(struct config_strings *list, char *path)
{
    char **items = path ? realloc(list->items, (list->count + 2) * sizeof *items) : NULL;
    if (!items) {
        free(path);
        return -ENOMEM;
    }
    items[list->count++] = path;
    items[list->count] = NULL;
    list->items = items;
    return 0;
}

/* A file is absent only if lstat reports so; anything else is listed, so that reading it reports the error. */
static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int config_files_list(const char *root, const char *file, struct config_strings *ret, struct config_report *report)
{
    _cleanup_(config_strings_reset) struct config_strings list = {0};
    _cleanup_(dropins_reset) struct dropins dropins = {0};
    int r = 0;
    if (file) {
        r = append(&list, strdup(file));
        if (r == 0)
            r = read_directory(&dropins, file, report);
    } else {
        _cleanup_(cleanup_free) char *etc = NULL, *vendor = NULL;
        if (asprintf(&etc, "%s%s", root, CONFIG_ETC) < 0) {
            etc = NULL;
            return -ENOMEM;
        }
        if (asprintf(&vendor, "%s%s", root, CONFIG_VENDOR) < 0) {
            vendor = NULL;
            return -ENOMEM;
        }
        if (is_there(etc))
            r = append(&list, strdup(etc));
        else if (is_there(vendor))
            r = append(&list, strdup(vendor));
        if (r == 0)
            r = read_directory(&dropins, vendor, report);
        if (r == 0)
            r = read_directory(&dropins, etc, report);
    }
    if (r < 0)
        return r;

    if (dropins.count > 0)
        qsort(dropins.items, dropins.count, sizeof *dropins.items, by_name);
    for (size_t i = 0; i < dropins.count; i++) {
        r = append(&list, TAKE(dropins.items[i].path));
        if (r < 0)
            return r;
    }
    *ret = list;
    list = (struct config_strings){0};
    return 0;
}
