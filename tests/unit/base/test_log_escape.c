/* What of foreign text may stand in the log as it is? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/log.h"

static void assert_escaped(const char *text, const char *expected)
{
    char out[256];
    assert_int_equal(log_escape(out, sizeof out, text, strlen(text)), strlen(text));
    assert_string_equal(out, expected);
}

static void text_stands_as_it_is(void **state)
{
    (void)state;
    assert_escaped("plain text, 'quoted' <5>", "plain text, 'quoted' <5>");
    assert_escaped("größer → 10 € 𝄞", "größer → 10 € 𝄞");
}

static void what_could_forge_a_line_is_escaped(void **state)
{
    (void)state;
    assert_escaped("a\nb\r\x1b[2J", "a\\x0ab\\x0d\\x1b[2J");
    assert_escaped("x\" task=1 \\", "x\\x22 task=1 \\x5c");
    assert_escaped("\x7f", "\\x7f");
    assert_escaped("\xc2\x9b"
                   "31m",
        "\\xc2\\x9b31m"); /* CSI in one character */
    assert_escaped("a\xe2\x80\xae"
                   "b",
        "a\\xe2\\x80\\xae"
        "b"); /* the rest from right to left */
    assert_escaped("a\xe2\x80\xa8"
                   "b",
        "a\\xe2\\x80\\xa8"
        "b"); /* a separator of lines */
}

static void what_is_not_utf8_is_escaped(void **state)
{
    (void)state;
    assert_escaped("\xff\xfe", "\\xff\\xfe");
    assert_escaped("\xc0\xaf", "\\xc0\\xaf"); /* overlong */
    assert_escaped("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
    assert_escaped("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
    assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* half of a pair */
    assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond the last */
    assert_escaped("\xe2\x82", "\\xe2\\x82");                   /* cut */
    assert_escaped("\xe2\x82z", "\\xe2\\x82z");
}

/* Whatever the room is, what it could not take comes with the next call. */
static void the_rest_is_taken_by_the_next_call(void **state)
{
    static const char text[] = "aé\x1b€\"𝄞z", expected[] = "aé\\x1b€\\x22𝄞z";
    (void)state;
    for (unsigned long room = sizeof "…" + 4; room < 64; room++) {
        char all[256] = "", out[64];
        for (unsigned long at = 0, taken; at < strlen(text); at += taken) {
            taken = log_escape(out, room, text + at, strlen(text) - at);
            assert_in_range(taken, 1, strlen(text) - at);
            assert_true(strlen(out) < room);
            if (at + taken < strlen(text)) {
                assert_string_equal(out + strlen(out) - strlen("…"), "…");
                out[strlen(out) - strlen("…")] = 0;
            }
            strcat(all, out);
        }
        assert_string_equal(all, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stands_as_it_is),
        cmocka_unit_test(what_could_forge_a_line_is_escaped),
        cmocka_unit_test(what_is_not_utf8_is_escaped),
        cmocka_unit_test(the_rest_is_taken_by_the_next_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
