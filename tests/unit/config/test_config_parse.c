/* What the text of one value means: daemon/config/config_parse.h. */
#include "config_files_support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config_parse.h"

static void sizes_count_in_powers_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } rows[] = {{"0", 0}, {"17", 17}, {"1K", 1024}, {"64M", 64LL << 20}, {"64m", 64LL << 20}, {"2GiB", 2LL << 30},
        {"3tib", 3LL << 40}, {"9223372036854775807", INT64_MAX}};
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        int64_t bytes = -1;
        assert_int_equal(config_parse_size(rows[i].text, &bytes), 0);
        assert_true(bytes == rows[i].bytes);
    }
}

static void sizes_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "M", "-1", "+1", "1.5M", "1 M", "1MB", "1X", "1Mi", "64Mx", " 1", "0x10"};
    int64_t bytes = 42;
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        assert_int_equal(config_parse_size(rows[i], &bytes), -EINVAL);
    assert_int_equal(config_parse_size("9223372036854775808", &bytes), -ERANGE);
    assert_int_equal(config_parse_size("8388608T", &bytes), -ERANGE);
    assert_int_equal(bytes, 42);
}

static void durations_are_sums_of_units_and_seconds_without_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"0", 0}, {"30", 30000}, {"500ms", 500}, {"30s", 30000}, {"5m", 300000}, {"5min", 300000},
        {"1h", 3600000}, {"2d", 172800000}, {"1h30m", 5400000}, {"1m500ms", 60500}};
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        int64_t ms = -1;
        assert_int_equal(config_parse_duration(rows[i].text, &ms), 0);
        assert_true(ms == rows[i].ms);
    }
}

static void durations_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "s", "-1s", "1.5s", "1 s", "1w", "1h30", "1sm", "s1", "infinity"};
    int64_t ms = 42;
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        assert_int_equal(config_parse_duration(rows[i], &ms), -EINVAL);
    assert_int_equal(config_parse_duration("9223372036854775807d", &ms), -ERANGE);
    assert_int_equal(config_parse_duration("9223372036854775807ms1ms", &ms), -ERANGE);
    assert_int_equal(ms, 42);
}

static void workers_are_a_number_auto_or_a_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned cpus;
        uint32_t min, max;
    } rows[] = {
        {"4", 2, 4, 4},
        {"auto", 6, 6, 6},
        {"2..16", 6, 2, 16},
        {"1..auto", 6, 1, 6},
        {"auto..32", 6, 6, 32},
        {"8..auto", 6, 8, 8}, /* fewer CPUs than asked for at least: never empty */
        {"auto..4", 6, 4, 4},
        {"auto..auto", 6, 6, 6},
        {"auto", 0, 1, 1},
        {"auto", 9999, 4096, 4096},
    };
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        uint32_t min = 0, max = 0;
        assert_int_equal(config_parse_workers(rows[i].text, rows[i].cpus, 4096, &min, &max), 0);
        assert_int_equal(min, rows[i].min);
        assert_int_equal(max, rows[i].max);
    }
}

static void workers_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "many", "..", "1..", "..4", "1...4", "1..4..8", "1-4", "0", "0..4", "5..4",
        "-1..4", "4097", "1..4097", "99999999999999999999", "1..99999999999999999999",
        "1111111111111111111111111111111111111"};
    uint32_t min = 42, max = 42;
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        assert_true(config_parse_workers(rows[i], 6, 4096, &min, &max) < 0);
    assert_int_equal(min, 42);
    assert_int_equal(max, 42);
}

static void modes_are_octal(void **state)
{
    (void)state;
    mode_t mode = 0;
    assert_int_equal(config_parse_mode("0660", &mode), 0);
    assert_int_equal(mode, 0660);
    assert_int_equal(config_parse_mode("600", &mode), 0);
    assert_int_equal(mode, 0600);
    assert_int_equal(config_parse_mode("0689", &mode), -EINVAL);
    assert_int_equal(config_parse_mode("", &mode), -EINVAL);
    assert_int_equal(config_parse_mode("rw", &mode), -EINVAL);
    assert_int_equal(config_parse_mode("04777", &mode), -ERANGE);
    assert_int_equal(config_parse_mode("77777777777777777777777", &mode), -ERANGE);
}

static void assert_words(const char *text, bool commas, const char *joined)
{
    struct config_strings words = {0};
    assert_int_equal(config_parse_words(text, commas, &words), 0);
    char all[256] = "";
    for (size_t i = 0; i < words.count; i++) {
        assert_true(strlen(all) + strlen(words.items[i]) + 2 < sizeof all);
        strcat(strcat(all, i > 0 ? "|" : ""), words.items[i]);
    }
    assert_string_equal(all, joined);
    if (words.count > 0)
        assert_null(words.items[words.count]);
    config_strings_reset(&words);
}

static void words_are_split_at_blanks_and_commas_but_not_in_quotes(void **state)
{
    (void)state;
    assert_words("", true, "");
    assert_words(" ,\t, ", true, "");
    assert_words("a b,c , d", true, "a|b|c|d");
    assert_words("A=1,2 B=3", false, "A=1,2|B=3");
    assert_words("A=\"x y\" \"B=u v\" C=", false, "A=x y|B=u v|C=");
    assert_words("\"a\\\"b\\\\c\" d\\e", true, "a\"b\\c|d\\e");
    assert_words("\"\" a", true, "|a");
}

static void an_open_quote_and_too_many_words_are_refused(void **state)
{
    (void)state;
    struct config_strings words = {0};
    assert_int_equal(config_parse_words("a \"b", true, &words), -EINVAL);
    static char many[2 * (CONFIG_WORDS_MAX + 1) + 1];
    for (size_t i = 0; i < CONFIG_WORDS_MAX + 1; i++)
        memcpy(many + 2 * i, "a ", 2);
    assert_int_equal(config_parse_words(many, true, &words), -E2BIG);
    many[2 * CONFIG_WORDS_MAX] = '\0';
    assert_int_equal(config_parse_words(many, true, &words), 0);
    assert_int_equal(words.count, CONFIG_WORDS_MAX);
    config_strings_reset(&words);
}

static void users_and_groups_are_found_by_name_and_number(void **state)
{
    (void)state;
    uid_t uid = 42;
    gid_t gid = 42;
    assert_int_equal(config_parse_user("root", &uid, &gid), 0);
    assert_int_equal(uid, 0);
    assert_int_equal(gid, 0);
    assert_int_equal(config_parse_user("0", &uid, NULL), 0);
    assert_int_equal(uid, 0);
    assert_int_equal(config_parse_user("4000000000", &uid, &gid), 0);
    assert_true(uid == 4000000000u);
    assert_true(gid == (gid_t)-1);
    assert_int_equal(config_parse_group("root", &gid), 0);
    assert_int_equal(gid, 0);
    assert_int_equal(config_parse_group("12", &gid), 0);
    assert_int_equal(gid, 12);
}

static void unknown_users_and_groups_are_not_found(void **state)
{
    (void)state;
    uid_t uid = 42;
    gid_t gid = 42;
    assert_int_equal(config_parse_user("no-such-user-here", &uid, &gid), -ESRCH);
    assert_int_equal(config_parse_user("4294967295", &uid, &gid), -ESRCH); /* (uid_t)-1 is nobody's */
    assert_int_equal(config_parse_user("", &uid, &gid), -ESRCH);
    assert_int_equal(config_parse_group("no-such-group-here", &gid), -ESRCH);
    assert_int_equal(config_parse_group("-1", &gid), -ESRCH);
    assert_int_equal(uid, 42);
    assert_int_equal(gid, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_count_in_powers_of_1024),
        cmocka_unit_test(sizes_of_another_form_are_refused),
        cmocka_unit_test(durations_are_sums_of_units_and_seconds_without_one),
        cmocka_unit_test(durations_of_another_form_are_refused),
        cmocka_unit_test(workers_are_a_number_auto_or_a_range),
        cmocka_unit_test(workers_of_another_form_are_refused),
        cmocka_unit_test(modes_are_octal),
        cmocka_unit_test(words_are_split_at_blanks_and_commas_but_not_in_quotes),
        cmocka_unit_test(an_open_quote_and_too_many_words_are_refused),
        cmocka_unit_test(users_and_groups_are_found_by_name_and_number),
        cmocka_unit_test(unknown_users_and_groups_are_not_found),
    };
    return cmocka_run_group_tests_name("config_parse", tests, NULL, NULL);
}
