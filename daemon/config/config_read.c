/* Reads one configuration file into entries: config_read.h. */
#include "daemon/config/config_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#ifdef HAVE_ECONF
#include <libeconf.h>
#endif

#include "daemon/base/acl.h"
#include "daemon/base/cleanup.h"
#include "daemon/config/config_report.h"
#include "proto/io.h"

#ifndef HAVE_ECONF

int config_read_file(const char *path, struct config_entries *ret, struct config_report *report)
{
    struct config_place place = {.file = path};
    struct stat st;
    if (stat(path, &st) < 0)
        config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
    else if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        config_report_mistake(report, &place,
            "this mpoold was built without libeconf and reads no configuration; remove the file or rebuild");
    *ret = (struct config_entries){0};
    return 0;
}

#else

/* → 0 with the file's bytes and a NUL; -ENOMEM; 1: a mistake was reported. */
static int slurp(const char *path, char **ret, size_t *ret_length, struct config_report *report)
{
    struct config_place place = {.file = path};
    struct stat st;
    /* O_NONBLOCK: a FIFO in its place must not block the daemon. */
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
        return 1;
    }
    bool empty = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    if (!empty && !S_ISREG(st.st_mode)) {
        config_report_mistake(report, &place, "is not a file");
        return 1;
    }
    if (!empty && (st.st_mode & S_IWOTH)) {
        config_report_mistake(report, &place, "may be written by everybody; chmod o-w it");
        return 1;
    }
    if (!empty && acl_lets_others_write(NULL, fd, &st)) {
        config_report_mistake(
            report, &place, "may be written by others, as its access control list says; setfacl -b it");
        return 1;
    }
    if (st.st_size > CONFIG_FILE_MAX) {
        config_report_mistake(report, &place, "is too large; %u bytes are allowed", CONFIG_FILE_MAX);
        return 1;
    }
    size_t room = empty ? 0 : (size_t)st.st_size, length = 0;
    _cleanup_(cleanup_free) char *text = malloc(room + 1);
    if (!text)
        return -ENOMEM;
    while (length < room) {
        ssize_t n = read(fd, text + length, room - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
            return 1;
        }
        if (n == 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    *ret = TAKE(text);
    *ret_length = length;
    return 0;
}

static void cleanup_econf(econf_file **file)
{
    if (*file)
        econf_freeFile(*file);
}

/* Asks libeconf for the values of all entries. copy: `length` bytes. → 0, -ENOMEM; mistakes are reported. */
static int read_values(const char *file_path, struct config_entries *entries, const char *copy, size_t length,
    struct config_report *report)
{
    struct config_place place = {.file = file_path};
    _cleanup_(fd_close) int fd = memfd_create("mpoold.conf", MFD_CLOEXEC);
    if (fd < 0) {
        config_report_mistake(report, &place, "cannot be copied: %s", strerror(errno));
        return 0;
    }
    int r = io_write_all(fd, copy, length);
    if (r < 0) {
        config_report_mistake(report, &place, "cannot be copied: %s", strerror(-r));
        return 0;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    _cleanup_(cleanup_econf) econf_file *file = NULL;
    econf_err error = econf_readFile(&file, path, "=", CONFIG_NO_COMMENT);
    if (error == ECONF_NOMEM)
        return -ENOMEM;
    if (error != ECONF_SUCCESS) {
        _cleanup_(cleanup_free) char *name = NULL;
        uint64_t line = 0;
        file = NULL;
        econf_errLocation(&name, &line);
        place.line = (unsigned)line;
        config_report_mistake(report, &place, "%s", econf_errString(error));
        return 0;
    }
    for (size_t i = 0; i < entries->count; i++) {
        struct config_entry *entry = &entries->items[i];
        if (!entry->key)
            continue;
        error = econf_getStringValue(file, entry->section, entry->key, &entry->value);
        if (error == ECONF_SUCCESS && !entry->value) /* `key=` */
            entry->value = strdup("");
        if (error == ECONF_NOMEM || (error == ECONF_SUCCESS && !entry->value))
            return -ENOMEM;
        if (error != ECONF_SUCCESS) {
            place = (struct config_place){file_path, entry->line, entry->section, entry->key, NULL};
            config_report_mistake(report, &place, "%s", econf_errString(error));
        }
    }
    return 0;
}

/* Removes entries for which libeconf had no value; they have been reported. */
static void drop_valueless(struct config_entries *entries)
{
    size_t kept = 0;
    for (size_t i = 0; i < entries->count; i++) {
        struct config_entry *entry = &entries->items[i];
        if (!entry->key || entry->value) {
            entries->items[kept++] = *entry;
            continue;
        }
        free(entry->section);
        free(entry->key);
    }
    entries->count = kept;
}

int config_read_file(const char *path, struct config_entries *ret, struct config_report *report)
{
    _cleanup_(config_entries_reset) struct config_entries entries = {0};
    _cleanup_(cleanup_free) char *text = NULL, *copy = NULL;
    size_t length = 0, copy_length = 0;
    int r = slurp(path, &text, &length, report);
    if (r == 0) {
        FILE *out = open_memstream(&copy, &copy_length);
        if (!out)
            return -ENOMEM;
        r = config_lines_look(path, text, length, &entries, out, report);
        if (fclose(out) != 0)
            r = -ENOMEM;
        if (r == 0 && entries.count > 0)
            r = read_values(path, &entries, copy, copy_length, report);
    }
    if (r < 0)
        return r;
    drop_valueless(&entries);
    *ret = entries;
    entries = (struct config_entries){0};
    return 0;
}

#endif
