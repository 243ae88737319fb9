/* How mistakes are told: file, line, section, key, value and what is allowed, all of them at once. */
#include "config_files_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_report.h"

static void all_mistakes_are_reported_at_once(void **state)
{
    files_write(state, "/x.conf.d/a.conf", "[daemon]\nlog_level = loud\n");
    struct config_report report = load_mistaken(state, "[daemon]\n"
                                                       "max_depth = 3\n"
                                                       "max_mesage = 1M\n"
                                                       "workers = 3\n"
                                                       "[pools]\n"
                                                       "ignored = 1\n"
                                                       "[pool a]\n"
                                                       "workers = many\n"
                                                       "idle_timeout = 5 minutes\n"
                                                       "max_message = 1M\n"
                                                       "flavour = mint\n"
                                                       "[pool:b]\n"
                                                       "[broken\n"
                                                       "[pool B]\n"
                                                       "[unrelated]\n");
    assert_int_equal(report.count, 13);
    assert_reported(&report, "/x.conf:2: [daemon] max_depth = 3: expected a number from 4 to 128");
    assert_reported(&report, "/x.conf:3: [daemon] max_mesage: unknown key; did you mean max_message?");
    assert_reported(&report, "/x.conf:4: [daemon] workers: this key belongs to [pool NAME]");
    assert_reported(&report, "/x.conf:5: [pools] unknown section; did you mean [pool NAME]?");
    assert_reported(&report, "/x.conf:8: [pool a] workers = many: expected a number from 1 to 4096, auto, or a range "
                             "of them such as 2..16 or "
                             "1..auto");
    assert_reported(&report,
        "/x.conf:9: [pool a] idle_timeout = 5 minutes: expected a duration from 10ms to 30d, such as 500ms, 30s, 5m or "
        "1h, or 0: no limit");
    assert_reported(&report, "/x.conf:10: [pool a] max_message: this key belongs to [daemon]");
    assert_reported(&report, "/x.conf:11: [pool a] flavour: unknown key; mpoold --help lists those of [pool NAME]");
    assert_reported(&report, "/x.conf:12: [pool:b] expected [pool NAME] with a name of up to 63 of a-z, 0-9, _ and -");
    assert_reported(&report, "/x.conf:13: [broken: expected [section] and nothing else in the line");
    assert_reported(&report, "/x.conf:14: [pool B] expected [pool NAME] with a name of up to 63 of a-z, 0-9, _ and -");
    assert_reported(&report, "/x.conf:15: [unrelated] unknown section; expected [daemon] or [pool NAME]");
    assert_reported(&report, "/x.conf.d/a.conf:2: [daemon] log_level = loud: expected error, warning, info or debug");
    config_report_reset(&report);
}

/* One key with one refused value; the report must hold one mistake. section: "daemon" or "pool a". */
static void assert_refused(void **state, const char *section, const char *setting, const char *message)
{
    char text[512], line[768];
    snprintf(text, sizeof text, "[%s]\n%s\n", section, setting);
    snprintf(line, sizeof line, "/x.conf:2: [%s] %s: %s", section, setting, message);
    struct config_report report = load_mistaken(state, text);
    assert_int_equal(report.count, 1);
    assert_reported(&report, line);
    config_report_reset(&report);
}

static void numbers_have_ranges(void **state)
{
    static const char *const settings[] = {"max_message = 4095", "max_message = 3G", "max_depth = 129",
        "max_payload = 1", "max_payload = 2T", "max_connections = 0", "max_connections = 1000001", "max_in_flight = 0",
        "max_output_bytes = 1K", "max_user_share = 101", "max_unread_bytes = 1K", "max_args_bytes = 1K",
        "max_result_ttl = 0", "max_kept = 0", "max_kept_bytes = 1K", "result_ttl = 0", "result_ttl = 366d",
        "cancel_grace = 25h", "stop_grace = 25h", "stall_timeout = 999ms", "max_depth = 99999999999999999999",
        "max_message = 99999999999999999999", "max_objects = 1000001", "max_user_objects = -1",
        "max_user_object_bytes = 65T", "max_open_objects = many"};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "[daemon]\n%s\n", settings[i]);
        struct config_report report = load_mistaken(state, text);
        assert_int_equal(report.count, 1);
        assert_non_null(strstr(report.text, ": expected a "));
        config_report_reset(&report);
    }
    static const char *const pool_settings[] = {"workers = 0", "workers = 4097", "workers = 5..4", "idle_timeout = 9ms",
        "max_tasks = -1", "max_memory = 1M", "timeout = 31d", "attempts = 0", "attempts = 101", "max_queue = 0",
        "nice = 20", "nice = -21"};
    for (size_t i = 0; i < sizeof pool_settings / sizeof pool_settings[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "[pool a]\n%s\n", pool_settings[i]);
        struct config_report report = load_mistaken(state, text);
        assert_int_equal(report.count, 1);
        assert_non_null(strstr(report.text, ": expected a "));
        config_report_reset(&report);
    }
}

static void texts_have_a_form(void **state)
{
    assert_refused(state, "daemon", "socket = relative", "expected an absolute path of at most 107 bytes");
    assert_refused(
        state, "daemon", "socket_mode = 0999", "expected auto, or an octal number from 0 to 0777 such as 0660");
    assert_refused(state, "daemon", "socket_group = no-such-group", "there is no group no-such-group");
    assert_refused(state, "daemon", "module_path = /a b", "expected absolute paths, separated by blanks or commas");
    assert_refused(state, "daemon", "max_depth = 5 6", "expected a number from 4 to 128");
    assert_refused(state, "pool a", "modules = Img",
        "expected names such as text, or absolute paths, separated by blanks or commas");
    assert_refused(state, "pool a", "functions = text.word-count",
        "expected names such as text.wordcount, or patterns such as text.*, separated by blanks or commas");
    static const char *const variables[] = {"environment = A", "environment = =x", "environment = 1A=x",
        "environment = A-B=x", "environment = A=1 B=2 A=3"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        assert_refused(state, "pool a", variables[i],
            "expected NAME=value or \"NAME=value with blanks\", each name once, separated by blanks");
    assert_refused(state, "pool a", "environment = A=\"x", "a double quote is not closed");
    assert_refused(state, "pool a", "user = no-such-user", "there is no user no-such-user");
    assert_refused(state, "pool a", "user = 4111222333", "there is no user 4111222333");
    assert_refused(state, "pool a", "allow_users = root no-such-user", "there is no user no-such-user");
    assert_refused(state, "pool a", "allow_groups = no-such-group", "there is no group no-such-group");
}

static void an_empty_list_of_users_is_not_taken_for_everybody(void **state)
{
    struct config_report report = load_mistaken(state, "[pool a]\nallow_users =\nallow_groups = \n");
    assert_int_equal(report.count, 2);
    assert_reported(&report, "/x.conf:2: [pool a] allow_users = : expected names or numbers of users, separated by "
                             "blanks or commas, or * for "
                             "everybody");
    assert_reported(&report,
        "/x.conf:3: [pool a] allow_groups = : expected names or numbers of groups, separated by blanks or commas");
    config_report_reset(&report);
}

static void a_file_that_was_named_must_be_there(void **state)
{
    struct config *config = NULL;
    struct config_report report = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/absent.conf", (const char *)*state);
    assert_int_equal(config_load(&config, &(struct config_arguments){.file = path}, &report), -EINVAL);
    assert_int_equal(report.count, 1);
    assert_non_null(strstr(report.text, "/absent.conf: cannot be read: No such file or directory\n"));
    config_report_reset(&report);
}

static void the_command_lines_mistakes_are_reported_too(void **state)
{
    (void)state;
    static const char *const modules[] = {"no-name"};
    struct config *config = NULL;
    struct config_report report = {0};
    char socket_path[200];
    memset(socket_path, 'x', sizeof socket_path - 1);
    socket_path[sizeof socket_path - 1] = '\0';
    struct config_arguments arguments = {.file = "/dev/null",
        .socket_path = socket_path,
        .workers = "0",
        .log_level = "loud",
        .modules = modules,
        .module_count = 1};
    assert_int_equal(config_load(&config, &arguments, &report), -EINVAL);
    assert_int_equal(report.count, 4);
    assert_non_null(strstr(report.text, "xxx…: expected a path of 1 to 107 bytes\n"));
    assert_reported(
        &report, "--workers 0: expected a number from 1 to 4096, auto, or a range of them such as 2..16 or 1..auto");
    assert_reported(&report, "--log-level loud: expected error, warning, info or debug");
    assert_reported(&report, "--module no-name: expected the name of a module, such as text, or the path of one");
    config_report_reset(&report);
}

static void too_many_pools_are_refused(void **state)
{
    char *text = malloc(300 * 16);
    assert_non_null(text);
    size_t used = 0;
    for (int i = 0; i < 257; i++)
        used += (size_t)sprintf(text + used, "[pool p%d]\n", i);
    struct config_report report = load_mistaken(state, text);
    assert_int_equal(report.count, 1);
    assert_reported(&report, "/x.conf:257: [pool p256] more than 256 pools");
    config_report_reset(&report);
    free(text);
}

static void a_flood_of_mistakes_is_cut_and_still_counted(void **state)
{
    char *text = malloc(3000 * 16);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, "[daemon]\n");
    for (int i = 0; i < 2000; i++)
        used += (size_t)sprintf(text + used, "zzzz%d = 1\n", i);
    struct config_report report = load_mistaken(state, text);
    assert_int_equal(report.count, 2000);
    assert_reported(&report, "more mistakes are not shown");
    size_t lines = 0;
    for (const char *at = strchr(report.text, '\n'); at; at = strchr(at + 1, '\n'))
        lines++;
    assert_int_equal(lines, CONFIG_REPORT_LINES + 1);
    assert_int_equal(strlen(report.text), report.length);
    config_report_reset(&report);
    free(text);
}

static void a_mistake_stays_one_short_line(void **state)
{
    char text[4096];
    size_t used = (size_t)sprintf(text, "[daemon]\nsocket = \x1b[31mred\t");
    memset(text + used, 'y', 3000);
    strcpy(text + used + 3000, "\n");
    struct config_report report = load_mistaken(state, text);
    assert_int_equal(report.count, 1);
    assert_true(report.length < 300);
    assert_null(strchr(report.text, '\x1b'));
    assert_null(strchr(report.text, '\t'));
    config_report_reset(&report);
}

#define IN_FILES(f) cmocka_unit_test_setup_teardown(f, files_setup, files_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILES(all_mistakes_are_reported_at_once),
        IN_FILES(numbers_have_ranges),
        IN_FILES(texts_have_a_form),
        IN_FILES(an_empty_list_of_users_is_not_taken_for_everybody),
        IN_FILES(a_file_that_was_named_must_be_there),
        IN_FILES(the_command_lines_mistakes_are_reported_too),
        IN_FILES(too_many_pools_are_refused),
        IN_FILES(a_flood_of_mistakes_is_cut_and_still_counted),
        IN_FILES(a_mistake_stays_one_short_line),
    };
    return cmocka_run_group_tests_name("config mistakes", tests, NULL, NULL);
}
