/* Configuration files for a test: config_files_support.h. */
#include "config_files_support.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config_load.h"

int files_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *directory;
    if (asprintf(&directory, "%s/mpool-config-XXXXXX", base ? base : "/tmp") < 0 || !mkdtemp(directory))
        return -1;
    *state = directory;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int files_teardown(void **state)
{
    int r = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return r;
}

const char *files_write(void **state, const char *name, const char *text)
{
    static char path[4096];
    int length = snprintf(path, sizeof path, "%s%s", (const char *)*state, name);
    assert_true(length > 0 && (size_t)length < sizeof path);
    for (char *at = strchr(path + strlen(*state) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *at = '/';
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
    return path;
}

struct config *load_sound(void **state, const char *text)
{
    struct config *config = NULL;
    struct config_report report = {0};
    struct config_arguments arguments = {.file = files_write(state, "/x.conf", text)};
    int r = config_load(&config, &arguments, &report);
    if (report.text)
        fail_msg("unexpected mistakes:\n%s", report.text);
    assert_int_equal(r, 0);
    assert_int_equal(report.count, 0);
    return config;
}

struct config_report load_mistaken(void **state, const char *text)
{
    struct config *config = NULL;
    struct config_report report = {0};
    struct config_arguments arguments = {.file = files_write(state, "/x.conf", text)};
    assert_int_equal(config_load(&config, &arguments, &report), -EINVAL);
    assert_null(config);
    assert_non_null(report.text);
    size_t cut = strlen(*state);
    for (char *at = strstr(report.text, *state); at; at = strstr(at, *state)) {
        memmove(at, at + cut, strlen(at + cut) + 1);
        report.length -= cut;
    }
    return report;
}

void assert_reported(const struct config_report *report, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = report->text; at && *at;) {
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        if ((size_t)(end - at) == length && memcmp(at, line, length) == 0)
            return;
        at = end + 1;
    }
    fail_msg("not reported:\n%s\nbut:\n%s", line, report->text ? report->text : "nothing");
}
