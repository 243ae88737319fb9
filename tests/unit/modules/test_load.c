/* Which shared objects become modules, and what is said of the others. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct shelf {
    struct modules *modules;
    char why[MODULES_WHY_MAX];
    char directory[64]; /* private, removed at the end */
};

static int setup(void **state)
{
    struct shelf *s = calloc(1, sizeof *s);
    assert_non_null(s);
    snprintf(s->directory, sizeof s->directory, "/tmp/mpool-test-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    assert_int_equal(modules_new(&s->modules, geteuid()), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct shelf *s = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", s->directory);
    assert_int_equal(system(command), 0);
    modules_free(s->modules);
    free(s);
    return 0;
}

static int load(struct shelf *s, const char *file)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fixtures(), file);
    s->why[0] = 0;
    return modules_load(s->modules, path, s->why);
}

static void assert_refused(struct shelf *s, const char *file, int error, const char *says)
{
    size_t count;
    assert_int_equal(load(s, file), -error);
    if (!strstr(s->why, says) || !strstr(s->why, file))
        fail_msg("\"%s\" does not name %s and say \"%s\"", s->why, file, says);
    assert_int_equal(modules_count(s->modules), 0);
    modules_functions(s->modules, &count);
    assert_int_equal(count, 0);
}

static void a_module_in_cxx_declares_what_one_in_c_does(void **state)
{
    struct shelf *s = *state;
    size_t count;
    if (load(s, "plusplus.so") == -ENOENT)
        skip(); /* no C++ compiler */
    assert_string_equal(s->why, "");
    const struct module_function *f = modules_functions(s->modules, &count);
    assert_int_equal(count, 4);
    assert_string_equal(f[3].name, "plusplus.all");
    assert_string_equal(f[3].summary, "n → n·n");
    assert_int_equal(f[3].timeout_s, 7);
    assert_int_equal(f[3].flags, MPOOL_IDEMPOTENT);
    assert_int_equal(f[1].flags, MPOOL_IDEMPOTENT | MPOOL_CANCELLABLE);
    const struct modules_hooks hooks = {.pool = "p"};
    assert_int_equal(modules_init(s->modules, &hooks, s->why), 0);
    assert_int_equal(modules_worker_init(s->modules, &hooks, s->why), 0);
    modules_worker_fini(s->modules);
}

static void a_module_is_found_by_name_along_the_search_path(void **state)
{
    struct shelf *s = *state;
    assert_int_equal(modules_add_directory(s->modules, "/nonexistent"), 0);
    assert_int_equal(modules_add_directory(s->modules, fixtures()), 0);
    assert_int_equal(modules_load(s->modules, "good", s->why), 0);
    const struct module *m = modules_at(s->modules, 0);
    assert_string_equal(m->name, "good");
    assert_string_equal(m->version, "1.2.3");
    assert_int_equal(m->count, 2);
    size_t count;
    const struct module_function *f = modules_functions(s->modules, &count);
    assert_int_equal(count, 2);
    assert_string_equal(f[0].name, "good.seen");
    assert_string_equal(f[0].summary, "what the hooks have seen");
    assert_int_equal(f[0].timeout_s, 9);
    assert_int_equal(f[0].flags, MPOOL_CANCELLABLE);
    assert_string_equal(f[1].summary, "");
    assert_int_equal(modules_find(s->modules, "good.again", 10), 1);
    assert_int_equal(modules_find(s->modules, "good.agai", 9), -1);
}

static void an_unknown_name_says_where_it_was_looked_for(void **state)
{
    struct shelf *s = *state;
    modules_add_directory(s->modules, "/nonexistent");
    modules_add_directory(s->modules, fixtures());
    assert_int_equal(modules_load(s->modules, "nosuch", s->why), -ENOENT);
    assert_non_null(strstr(s->why, "no nosuch.so in /nonexistent, "));
    assert_int_equal(modules_load(s->modules, "img.so", s->why), -ENOENT);
    assert_non_null(strstr(s->why, "./img.so"));
}

static void an_older_layout_loads_unchanged_and_runs(void **state)
{
    struct shelf *s = *state;
    assert_int_equal(load(s, "table_old_layout.so"), 0);
    size_t count;
    const struct module_function *f = modules_functions(s->modules, &count);
    assert_int_equal(count, 2);
    assert_string_equal(f[0].name, "table.answer");
    assert_int_equal(f[0].flags, MPOOL_IDEMPOTENT);
    assert_int_equal(f[0].timeout_s, 0);
    assert_string_equal(f[0].summary, "");
    assert_string_equal(f[1].name, "table.other");
    assert_string_equal(modules_at(s->modules, 0)->version, "");
}

static void a_broken_table_is_refused_with_what_to_do(void **state)
{
    static const struct {
        const char *file, *says;
    } bad[] = {
        {"table_newer_minor.so", "newer than this daemon's"},
        {"table_other_major.so", "build it again"},
        {"table_twice.so", "declares function table.answer twice"},
        {"table_unknown_kind.so", "row 1 is of kind 9"},
        {"table_null_function.so", "function table.x is NULL"},
        {"table_bad_name.so", "no valid module name"},
        {"table_long_name.so", "no valid module name"},
        {"table_bad_fn_name.so", "row 1 has no valid function name"},
        {"table_null_name.so", "row 1 has no valid function name"},
        {"table_small_rows.so", "broken module table"},
        {"table_big_rows.so", "broken module table"},
        {"table_small_info.so", "broken module table"},
        {"table_no_rows.so", "declares 0 rows"},
        {"table_null_info.so", "returned NULL"},
        {"table_null_hook.so", "hook in row 1 is NULL"},
        {"table_unknown_flags.so", "flags 0x80"},
        {"stranger.so", "lacks MPOOL_MODULE()"},
    };
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        assert_refused(*state, bad[i].file, ELIBBAD, bad[i].says);
}

static void the_same_module_twice_is_refused(void **state)
{
    struct shelf *s = *state;
    assert_int_equal(load(s, "good.so"), 0);
    assert_int_equal(load(s, "good.so"), -EEXIST);
    assert_non_null(strstr(s->why, "already loaded, from"));
    assert_int_equal(modules_count(s->modules), 1);
}

/* ---- trust ------------------------------------------------------------------------------------------------------ */

/* A copy of good.so in the private directory, as `name`. */
static void copy_good(struct shelf *s, const char *name, char *path, size_t size)
{
    char command[8192];
    snprintf(path, size, "%s/%s", s->directory, name);
    snprintf(command, sizeof command, "cp '%s/good.so' '%s' && chmod 0644 '%s'", fixtures(), path, path);
    assert_int_equal(system(command), 0);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    struct shelf *s = *state;
    char path[256];
    copy_good(s, "good.so", path, sizeof path);
    assert_int_equal(chmod(path, 0646), 0);
    assert_int_equal(modules_load(s->modules, path, s->why), -EPERM);
    assert_non_null(strstr(s->why, "may be written by everybody: chmod o-w it"));
    if (geteuid() == 0) {
        /* A group that is nobody's private one. */
        assert_int_equal(chown(path, 0, 12), 0);
        assert_int_equal(chmod(path, 0664), 0);
        assert_int_equal(modules_load(s->modules, path, s->why), -EPERM);
        assert_non_null(strstr(s->why, "may be written by its group: chmod g-w it"));
    }
}

/* What `setfacl -m user:1234:PERMISSIONS` makes of a file. → false: not on this file system. */
static bool give_to_user(const char *path, uint16_t permissions)
{
    struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[5];
    } list = {.version = 2,
        .entries = {{0x01, 6, UINT32_MAX}, {0x02, permissions, 1234}, {0x04, 4, UINT32_MAX}, {0x10, 6, UINT32_MAX},
            {0x20, 4, UINT32_MAX}}}; /* the owner, that user, the group, the mask, the others */
    return setxattr(path, "system.posix_acl_access", &list, sizeof list, 0) == 0;
}

static void a_file_that_others_may_write_by_its_access_control_list_is_refused(void **state)
{
    struct shelf *s = *state;
    char path[256];
    copy_good(s, "good.so", path, sizeof path);
    if (geteuid() != 0 || !give_to_user(path, 6)) { /* root's group is trusted, so that the mode alone says nothing */
        print_message("# not tried: it takes root, and a file system with access control lists\n");
        return;
    }
    assert_int_equal(modules_load(s->modules, path, s->why), -EPERM);
    assert_non_null(strstr(s->why, "access control list says: setfacl -b it"));
    assert_true(give_to_user(path, 4));
    assert_int_equal(modules_load(s->modules, path, s->why), 0);
}

static void a_file_of_another_user_is_refused(void **state)
{
    struct shelf *s = *state;
    char path[256];
    /* cmocka's skip() says "not ok" in TAP. */
    if (geteuid() != 0) {
        print_message("# not tried: only root can give a file away\n");
        return;
    }
    copy_good(s, "good.so", path, sizeof path);
    assert_int_equal(chown(path, 1234, 0), 0);
    assert_int_equal(modules_load(s->modules, path, s->why), -EPERM);
    assert_non_null(strstr(s->why, "belongs to another user"));
    modules_free(s->modules);
    s->modules = NULL;
    assert_int_equal(modules_new(&s->modules, 1234), 0);
    assert_int_equal(modules_load(s->modules, path, s->why), 0);
}

static void a_directory_that_others_may_write_is_refused(void **state)
{
    struct shelf *s = *state;
    char path[256];
    copy_good(s, "good.so", path, sizeof path);
    assert_int_equal(chmod(s->directory, 0777), 0);
    assert_int_equal(modules_load(s->modules, path, s->why), -EPERM);
    assert_non_null(strstr(s->why, s->directory));
    assert_int_equal(chmod(s->directory, 01777), 0); /* sticky: others cannot replace what is ours */
    assert_int_equal(modules_load(s->modules, path, s->why), 0);
}

static void a_link_is_judged_by_what_it_leads_to(void **state)
{
    struct shelf *s = *state;
    char path[256], link[256], open_directory[256];
    copy_good(s, "real.so", path, sizeof path);
    snprintf(open_directory, sizeof open_directory, "%s/open", s->directory);
    snprintf(link, sizeof link, "%s/open/good.so", s->directory);
    assert_int_equal(mkdir(open_directory, 0700), 0);
    assert_int_equal(chmod(open_directory, 0777), 0);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(modules_load(s->modules, link, s->why), 0);
    assert_string_equal(modules_at(s->modules, 0)->path, path);
}

static void what_is_no_file_is_refused_without_waiting(void **state)
{
    struct shelf *s = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/fifo.so", s->directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(modules_load(s->modules, path, s->why), -EPERM);
    assert_non_null(strstr(s->why, "not a regular file"));
    assert_int_equal(modules_load(s->modules, s->directory, s->why), -EPERM);
    assert_int_equal(modules_load(s->modules, "./no/such.so", s->why), -ENOENT);
}

static void a_file_that_is_not_an_object_is_refused(void **state)
{
    struct shelf *s = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/text.so", s->directory);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    assert_int_equal(modules_load(s->modules, path, s->why), -ELIBBAD);
    assert_non_null(strstr(s->why, "cannot be loaded"));
}

static void a_name_that_the_module_does_not_have_is_refused(void **state)
{
    struct shelf *s = *state;
    char path[256];
    copy_good(s, "fine.so", path, sizeof path);
    modules_add_directory(s->modules, s->directory);
    assert_int_equal(modules_load(s->modules, "fine", s->why), -ELIBBAD);
    assert_non_null(strstr(s->why, "rename the file to good.so"));
}

/* ---- hooks ------------------------------------------------------------------------------------------------------ */

static char heard[64];

static void hear(void *user, const char *module, int level, const char *text)
{
    assert_null(user);
    snprintf(heard, sizeof heard, "%s %d %s", module, level, text);
}

static void hooks_run_in_their_places(void **state)
{
    struct shelf *s = *state;
    struct modules_hooks hooks = {.pool = "default", .log = hear};
    assert_int_equal(load(s, "good.so"), 0);
    assert_int_equal(modules_init(s->modules, &hooks, s->why), 0);
    assert_string_equal(heard, "good 2 init");
    hooks.worker = 666;
    assert_int_equal(modules_worker_init(s->modules, &hooks, s->why), -ECANCELED);
    assert_string_equal(s->why, "module good: its worker_init failed: worker 666 is not welcome");
    hooks.worker = 5;
    assert_int_equal(modules_worker_init(s->modules, &hooks, s->why), 0);
    modules_worker_fini(s->modules);
}

static void a_failing_hook_is_a_sentence(void **state)
{
    struct shelf *s = *state;
    struct modules_hooks hooks = {.pool = "default"};
    assert_int_equal(load(s, "table_init_fails.so"), 0);
    assert_int_equal(modules_init(s->modules, &hooks, s->why), -ECANCELED);
    assert_string_equal(s->why, "module table: its init failed: no model file");
}

static void a_mute_failing_hook_is_a_sentence(void **state)
{
    struct shelf *s = *state;
    struct modules_hooks hooks = {.pool = "default"};
    assert_int_equal(load(s, "table_init_mute.so"), 0);
    assert_int_equal(modules_init(s->modules, &hooks, s->why), -ECANCELED);
    assert_string_equal(s->why, "module table: its init returned -5 without saying why");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_module_is_found_by_name_along_the_search_path),
        T(a_module_in_cxx_declares_what_one_in_c_does),
        T(an_unknown_name_says_where_it_was_looked_for),
        T(an_older_layout_loads_unchanged_and_runs),
        T(a_broken_table_is_refused_with_what_to_do),
        T(the_same_module_twice_is_refused),
        T(a_file_that_others_may_write_is_refused),
        T(a_file_that_others_may_write_by_its_access_control_list_is_refused),
        T(a_file_of_another_user_is_refused),
        T(a_directory_that_others_may_write_is_refused),
        T(a_link_is_judged_by_what_it_leads_to),
        T(what_is_no_file_is_refused_without_waiting),
        T(a_file_that_is_not_an_object_is_refused),
        T(a_name_that_the_module_does_not_have_is_refused),
        T(hooks_run_in_their_places),
        T(a_failing_hook_is_a_sentence),
        T(a_mute_failing_hook_is_a_sentence),
    };
    return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
