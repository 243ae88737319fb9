/* Is well-formed UTF-8 left alone, all else replaced, and no character split? */
#include "tests/unit/proto/support.h"

#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

static void scrub_to(const char *from, const char *to)
{
    size_t length = strlen(from);
    char *copy = (char *)exact_copy(from, length);
    wire_utf8_scrub(copy, length);
    assert_int_equal(strlen(to), length);
    assert_memory_equal(copy, to, length);
    free(copy);
}

static void well_formed_text_is_left_alone(void **state)
{
    (void)state;
    static const char *const good[] = {"", "plain", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"};
    for (size_t i = 0; i < COUNT(good); i++)
        scrub_to(good[i], good[i]);
}

static void ill_formed_bytes_become_question_marks(void **state)
{
    (void)state;
    scrub_to("\x80", "?");
    scrub_to("a\xffz", "a?z");
    scrub_to("\xc3", "?");
    scrub_to("\xc3z", "?z");
    scrub_to("\xc0\x80", "??");           /* overlong */
    scrub_to("\xe0\x9f\xbf", "???");      /* overlong */
    scrub_to("\xf0\x8f\xbf\xbf", "????"); /* overlong */
    scrub_to("\xed\xa0\x80", "???");      /* a surrogate */
    scrub_to("\xf4\x90\x80\x80", "????"); /* beyond U+10FFFF */
    scrub_to("\xe2\x82", "??");           /* cut short */
    scrub_to("\xe2\x82z", "??z");
    scrub_to("\xf0\x9f\x98\xc3\xa9", "???\xc3\xa9");

    char nul[] = {'a', 0, 'z'};
    wire_utf8_scrub(nul, sizeof(nul));
    assert_memory_equal(nul, "a?z", 3);
}

static void scrubbed_text_is_well_formed_whatever_it_was(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (int round = 0; round < 20000; round++) {
        char text[12], again[12];
        size_t length = random_below(&random, sizeof(text) + 1);
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(0x80 + random_below(&random, 128));
        wire_utf8_scrub(text, length);
        memcpy(again, text, length);
        wire_utf8_scrub(again, length);
        assert_memory_equal(again, text, length);
    }
}

static void a_cut_splits_no_character(void **state)
{
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"; /* characters begin at 0, 1, 3, 6, 10 */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < COUNT(expected); max++)
        assert_int_equal(wire_utf8_cut(text, 11, max), expected[max]);
}

static void a_cut_through_bytes_that_are_no_text_falls_where_it_must(void **state)
{
    (void)state;
    assert_int_equal(wire_utf8_cut("\x80\x80\x80\x80\x80\x80", 6, 4), 4);
    assert_int_equal(wire_utf8_cut("\xff\xff\xff", 3, 2), 2);
    assert_int_equal(wire_utf8_cut("abc\xe2\x82", 5, 4), 4); /* was no character before the cut either */
    assert_int_equal(wire_utf8_cut(NULL, 0, 10), 0);
}

static void a_well_formed_beginning_is_measured(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    assert_int_equal(wire_utf8_prefix("", 0), 0);
    assert_int_equal(wire_utf8_prefix("a\0z", 3), 3);
    assert_int_equal(wire_utf8_prefix("12345678\xc3", 9), 8);
    assert_int_equal(wire_utf8_prefix("1234567\xc3\xa9z", 10), 10);
    for (int round = 0; round < 20000; round++) {
        char text[24], scrubbed[24];
        size_t length = random_below(&random, sizeof(text) + 1), same = 0;
        for (size_t i = 0; i < length; i++)
            text[i] =
                (char)(random_below(&random, 4) ? 1 + random_below(&random, 127) : 128 + random_below(&random, 128));
        memcpy(scrubbed, text, length);
        wire_utf8_scrub(scrubbed, length);
        while (same < length && scrubbed[same] == text[same])
            same++;
        char *exact = (char *)exact_copy(text, length);
        assert_int_equal(wire_utf8_prefix(exact, length), same);
        free(exact);
    }
}

static void a_text_that_does_not_fit_is_cut_between_characters(void **state)
{
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t size = 1; size <= COUNT(expected); size++) {
        char out[16];
        memset(out, 'x', sizeof(out));
        size_t length = wire_format(out, size, "%s", text);
        assert_int_equal(length, expected[size - 1]);
        assert_int_equal(strlen(out), length);
        assert_memory_equal(out, text, length);
        assert_int_equal(out[size], 'x');
    }
    char out[4];
    assert_int_equal(wire_format(out, sizeof(out), "%.*s|", WIRE_SHOWN("\xe2\x82\xac\xe2\x82\xac", 6, 5)), 3);
    assert_string_equal(out, "\xe2\x82\xac");
}

static void a_label_is_a_copy_that_others_may_see(void **state)
{
    (void)state;
    char *label = wire_label("n\0a\xff\xc3\xa9", 6);
    assert_string_equal(label, "n?a?\xc3\xa9");
    free(label);
    label = wire_label(NULL, 0);
    assert_string_equal(label, "");
    free(label);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_left_alone),
        cmocka_unit_test(ill_formed_bytes_become_question_marks),
        cmocka_unit_test(scrubbed_text_is_well_formed_whatever_it_was),
        cmocka_unit_test(a_cut_splits_no_character),
        cmocka_unit_test(a_well_formed_beginning_is_measured),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut_between_characters),
        cmocka_unit_test(a_label_is_a_copy_that_others_may_see),
        cmocka_unit_test(a_cut_through_bytes_that_are_no_text_falls_where_it_must),
    };
    return cmocka_run_group_tests_name("proto/text", tests, NULL, NULL);
}
