/* A daemon that was built without libeconf must not pass over a configuration in silence. */
#include "config_files_support.h"

#include <errno.h>
#include <string.h>

#include "daemon/config/config_load.h"

static void defaults_need_no_libeconf(void **state)
{
    struct config *config = NULL;
    struct config_report report = {0};
    assert_int_equal(config_load_from(*state, &config, &(struct config_arguments){.workers = "3"}, &report), 0);
    assert_int_equal(config->pool_count, 1);
    assert_string_equal(config->pools[0].name, "default");
    assert_int_equal(config->pools[0].max, 3);
    config_free(config);
}

static void a_present_file_is_a_mistake_that_says_so(void **state)
{
    struct config *config = NULL;
    struct config_report report = {0};
    files_write(state, "/etc/mpoold/mpoold.conf", "[daemon]\n");
    assert_int_equal(config_load_from(*state, &config, &(struct config_arguments){0}, &report), -EINVAL);
    assert_null(config);
    assert_int_equal(report.count, 1);
    assert_non_null(strstr(report.text, "/etc/mpoold/mpoold.conf: this mpoold was built without libeconf"));
    config_report_reset(&report);
    assert_int_equal(config_load_from("", &config, &(struct config_arguments){.file = "/dev/null"}, &report), 0);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_need_no_libeconf, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_present_file_is_a_mistake_that_says_so, files_setup, files_teardown),
    };
    return cmocka_run_group_tests_name("config without libeconf", tests, NULL, NULL);
}
