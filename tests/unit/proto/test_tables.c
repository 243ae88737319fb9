/* Are the three lists whole, findable by name, and kind to typing mistakes? */
#include "tests/unit/proto/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tables.h"

static void assert_sentence(const char *text)
{
    size_t length = strlen(text);
    assert_true(length > 10);
    assert_non_null(strchr(".?", text[length - 1]));
}

static void every_method_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < MPOOL_METHOD_COUNT; i++) {
        const struct wire_method_info *info = wire_method_info((enum mpool_method)i);
        assert_int_equal(wire_method_find(info->name, strlen(info->name)), i);
        assert_true(info->min_params <= info->max_params);
        assert_sentence(info->sentence);

        /* "a, b?" names as many parameters as the most, and the least are those without a question mark. */
        unsigned named = info->params[0] ? 1 : 0, optional = 0;
        for (const char *c = info->params; *c; c++) {
            named += *c == ',';
            optional += *c == '?';
        }
        assert_int_equal(named, info->max_params);
        assert_int_equal(named - optional, info->min_params);
    }
    assert_int_equal(wire_method_info(MPOOL_METHOD_CANCEL)->who, WIRE_WHO_OWNER);
    assert_int_equal(wire_method_info(MPOOL_METHOD_CALL)->who, WIRE_WHO_ANY);
}

static void a_name_that_only_resembles_a_method_is_not_found(void **state)
{
    (void)state;
    static const char *const names[] = {"", "cal", "calls", "Call", "call ", " call", "nvim_get_api_info", "PING"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(wire_method_find(names[i], strlen(names[i])), -1);
    assert_int_equal(wire_method_find("call\0", 5), -1);
    assert_int_equal(wire_method_find(NULL, 0), -1);
    assert_int_equal(wire_method_find("pingpong", 4), MPOOL_METHOD_PING);
}

static void every_error_is_found_by_its_text(void **state)
{
    (void)state;
    for (int i = MPOOL_ERROR_NONE + 1; i < MPOOL_ERROR_COUNT; i++) {
        const struct wire_error_info *info = wire_error_info((enum mpool_error)i);
        char text[200];
        int length = snprintf(text, sizeof(text), "%s: %s", info->name, info->sentence);
        assert_memory_equal(info->name, "E_", 2);
        assert_int_equal(wire_error_find(text, (size_t)length), i);
        assert_int_equal(wire_error_find(info->name, strlen(info->name)), i);
        assert_true(info->class == 0 || info->class == 1);
        assert_sentence(info->sentence);
    }
    assert_true(wire_error_info(MPOOL_E_LOST)->retryable);
    assert_false(wire_error_info(MPOOL_E_DENIED)->retryable);
}

static void a_text_that_starts_with_no_known_error_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "E_", "E_LOS: x", "E_LOSTT: x", "E_LOST x", "LOST: x", "e_lost: x", ": x", " E_LOST: x"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(wire_error_find(texts[i], strlen(texts[i])), MPOOL_ERROR_NONE);
    assert_int_equal(wire_error_find(NULL, 0), MPOOL_ERROR_NONE);
}

static void every_state_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < MPOOL_STATE_COUNT; i++) {
        const struct wire_state_info *info = wire_state_info((enum mpool_state)i);
        assert_int_equal(wire_state_find(info->name, strlen(info->name)), i);
        assert_sentence(info->sentence);
    }
    assert_false(wire_state_info(MPOOL_STATE_RUNNING)->final);
    assert_true(wire_state_info(MPOOL_STATE_DONE)->final);
    assert_int_equal(wire_state_find("don", 3), -1);
    assert_int_equal(wire_state_find("", 0), -1);
}

static void the_nearest_name_is_what_was_meant(void **state)
{
    (void)state;
    static const char *const names[] = {
        "hello", "ping", "call", "map", "submit", "wait", "result", "status", "cancel", "workers", "text.wordcount"};
    static const struct {
        const char *typed, *meant;
    } cases[] = {{"call", "call"}, {"cal", "call"}, {"acll", "call"}, {"CALL", "call"}, {"calll", "call"},
        {"worker", "workers"}, {"wrokers", "workers"}, {"stauts", "status"}, {"reslut", "result"}, {"submti", "submit"},
        {"pnig", "ping"}, {"mpa", "map"}, {"text.wordcuont", "text.wordcount"}, {"txt.wrdcont", "text.wordcount"},
        {"Text.WordCount", "text.wordcount"}, {"text_wordcount", "text.wordcount"}, {"", NULL}, {"q", NULL},
        {"zzzz", NULL}, {"shutdown", NULL}, {"nvim_get_api_info", NULL}, {"frobnicate", NULL}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *got = wire_nearest(cases[i].typed, strlen(cases[i].typed), names, COUNT(names));
        if (!cases[i].meant ? got != NULL : !got || strcmp(got, cases[i].meant) != 0)
            fail_msg("'%s' gives '%s'", cases[i].typed, got ? got : "nothing");
    }
}

static void the_first_of_equally_near_names_wins(void **state)
{
    (void)state;
    static const char *const names[] = {"bats", "cats", "rats"};
    assert_string_equal(wire_nearest("hats", 4, names, COUNT(names)), "bats");
    assert_string_equal(wire_nearest("rats", 4, names, COUNT(names)), "rats");
}

static void long_names_are_near_to_nothing(void **state)
{
    (void)state;
    char name[66];
    memset(name, 'x', sizeof(name));
    name[65] = 0;
    const char *const same[] = {name};
    assert_null(wire_nearest(name, 65, same, 1));
    name[64] = 0;
    assert_ptr_equal(wire_nearest(name, 64, same, 1), name);
    assert_null(wire_nearest("x", 1, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_found_by_its_name),
        cmocka_unit_test(a_name_that_only_resembles_a_method_is_not_found),
        cmocka_unit_test(every_error_is_found_by_its_text),
        cmocka_unit_test(a_text_that_starts_with_no_known_error_is_none),
        cmocka_unit_test(every_state_is_found_by_its_name),
        cmocka_unit_test(the_nearest_name_is_what_was_meant),
        cmocka_unit_test(the_first_of_equally_near_names_wins),
        cmocka_unit_test(long_names_are_near_to_nothing),
    };
    return cmocka_run_group_tests_name("proto/tables", tests, NULL, NULL);
}
