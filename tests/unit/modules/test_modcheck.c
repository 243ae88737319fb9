/* The module check, and the module to begin with. */
#include "support.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/modcheck.h"

static char *checked(const char *file, bool json, int expected)
{
    char path[4096];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    snprintf(path, sizeof path, "%s/%s", fixtures(), file);
    assert_int_equal(modcheck_file(path, NULL, json, out), expected);
    fclose(out);
    return text;
}

static void assert_says(const char *file, int expected, const char *says)
{
    _cleanup_(cleanup_free) char *text = checked(file, false, expected);
    if (!strstr(text, says))
        fail_msg("\"%s\" does not say \"%s\"", text, says);
}

static void a_good_module_is_described(void **state)
{
    (void)state;
    assert_says("good.so", 0, "good 1.2.3, ABI 1.0, ");
    assert_says("good.so", 0, "good.seen                what the hooks have seen (cancellable) (time-out 9 s)");
    _cleanup_(cleanup_free) char *text = checked("good.so", true, 0);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_true(json_is_true(json_object_get(json, "ok")));
    assert_string_equal(json_string_value(json_object_get(json, "version")), "1.2.3");
    assert_int_equal(json_array_size(json_object_get(json, "functions")), 2);
    json_decref(json);
}

static void a_module_is_found_in_the_given_directories(void **state)
{
    (void)state;
    const char *directories[] = {fixtures(), NULL};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(modcheck_file("good", directories, false, out), 0);
    fclose(out);
    assert_non_null(strstr(text, "good 1.2.3"));
    free(text);
}

static void what_is_wrong_is_said_as_text_and_as_json(void **state)
{
    (void)state;
    assert_says("table_twice.so", 1, "declares function table.answer twice");
    assert_says("nosuch.so", 1, "No such file or directory");
    assert_says("table_init_fails.so", 1, "its init failed: no model file");
    _cleanup_(cleanup_free) char *text = checked("table_twice.so", true, 1);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_true(json_is_false(json_object_get(json, "ok")));
    assert_non_null(strstr(json_string_value(json_object_get(json, "error")), "twice"));
    json_decref(json);
}

static void a_crash_is_a_sentence(void **state)
{
    (void)state;
    assert_says("table_crash.so", 1, "crashed while being loaded: SIGSEGV (Segmentation fault)");
    assert_says("table_crash_in_init.so", 1, "crashed when its init ran: SIGSEGV");
    assert_says("table_exits.so", 1, "ended the process while being loaded, with status 3");
}

static void the_template_builds_without_warnings_loads_and_runs(void **state)
{
    (void)state;
    char directory[] = "/tmp/mpool-test-XXXXXX", path[128], command[1024];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/fresh.c", directory);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(modcheck_template("fresh", out), 0);
    fclose(out);
    const char *cc = getenv("CC");
    snprintf(command, sizeof command,
        "%s -shared -fPIC -O2 -Wall -Wextra -Werror -I'%s' -o %s/fresh.so %s/fresh.c && chmod 755 %s/fresh.so",
        cc ? cc : "cc", getenv("MPOOL_TEST_INCLUDE"), directory, directory, directory);
    assert_int_equal(system(command), 0);

    struct world *w;
    assert_int_equal(world_setup((void **)&w), 0);
    char why[MODULES_WHY_MAX] = "";
    size_t count;
    snprintf(path, sizeof path, "%s/fresh.so", directory);
    assert_int_equal(modules_new(&w->modules, geteuid()), 0);
    if (modules_load(w->modules, path, why) < 0)
        fail_msg("%s", why);
    w->own[0] = modules_functions(w->modules, &count)[0];
    world_run(w, 0, "[\"world\"]");
    assert_result(w, "\"hello, world\"");
    world_run(w, 0, "[\"\"]");
    assert_failed(w, "E_FAILED: whom shall I greet?");
    world_teardown((void **)&w);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

static void a_template_needs_a_valid_name(void **state)
{
    (void)state;
    assert_int_equal(modcheck_template("no-good", stdout), -EINVAL);
    assert_int_equal(modcheck_template("", stdout), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_module_is_described),
        cmocka_unit_test(a_module_is_found_in_the_given_directories),
        cmocka_unit_test(what_is_wrong_is_said_as_text_and_as_json),
        cmocka_unit_test(a_crash_is_a_sentence),
        cmocka_unit_test(the_template_builds_without_warnings_loads_and_runs),
        cmocka_unit_test(a_template_needs_a_valid_name),
    };
    return cmocka_run_group_tests_name("modcheck", tests, NULL, NULL);
}
