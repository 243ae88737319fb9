/* Where memory ends: loading says so, leaks nothing and crashes nowhere, whichever allocation it is that fails. */
#include "config_files_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_load.h"

/* Allocations until one fails; 0: none fails, those made are counted down below 0. */
static long countdown;

static bool fails(void)
{
    return --countdown == 0;
}

/* The linker sends the configuration's own calls here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
    if (fails())
        return -1;
    va_list ap;
    va_start(ap, format);
    int n = vasprintf(ret, format, ap);
    va_end(ap);
    return n;
}

static const char sound[] = "[daemon]\nsocket = /x\nsocket_group = root\nmodule_path = /a /b\n[pool a]\nmodules = a b\n"
                            "workers = 1..auto\nenvironment = A=1 \"B=2\"\nuser = root\nallow_users = root 17\n"
                            "allow_groups = root 17\n[pool default]\n";
static const char mistaken[] = "x\n[daemon\n[daemon]\nmax_depht = 1\nmax_depth = 1\n[pool a]\nworkers = x\n";

/* Loads text once with each allocation failing in turn. expected: what it gives when none fails. */
static void load_with_failures(void **state, const char *text, int expected)
{
    static const char *const modules[] = {"text", "/x.so"};
    files_write(state, "/etc/mpoold/mpoold.conf.d/a.conf", "[pool b]\n");
    files_write(state, "/etc/mpoold/mpoold.conf", text);
    for (long n = 1;; n++) {
        assert_true(n < 10000);
        struct config *config = NULL;
        struct config_report report = {0};
        struct config_arguments arguments = {
            .socket_path = "/y", .workers = "2", .modules = modules, .module_count = 2};
        countdown = n;
        int r = config_load_from(*state, &config, &arguments, &report);
        bool failed = countdown <= 0;
        countdown = 0;
        /* A failure that costs a mistake its text, or a hint about CPUs, does not stop the load. */
        assert_true(r == expected || (failed && r == -ENOMEM));
        assert_true((r == 0) == (config != NULL));
        config_free(config);
        config_report_reset(&report);
        if (!failed)
            return;
    }
}

static void a_sound_configuration_without_memory(void **state)
{
    load_with_failures(state, sound, 0);
}

static void a_mistaken_configuration_without_memory(void **state)
{
    load_with_failures(state, mistaken, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sound_configuration_without_memory, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_mistaken_configuration_without_memory, files_setup, files_teardown),
    };
    return cmocka_run_group_tests_name("config memory", tests, NULL, NULL);
}
