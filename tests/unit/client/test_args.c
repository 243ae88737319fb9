/* Formats: what each letter packs, and that a wrong format packs nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mpool/client.h>

#include "client/lib/args.h"

static struct args_list last;

static int pack(struct wire_buf *b, const char *format, ...)
{
    va_start(last.ap, format);
    int r = args_pack(b, format, &last);
    va_end(last.ap);
    return r;
}

/* A format that the compiler cannot see through, so that it is checked when the call is made. */
static const char *hidden(const char *format)
{
    static const char *volatile text;
    text = format;
    return text;
}

#define pack_checked(b, ...) pack(b, MPOOL_FORMAT_(__VA_ARGS__))

#define assert_packs(bytes, ...)                                                                                       \
    do {                                                                                                               \
        struct wire_buf b = {0};                                                                                       \
        assert_int_equal(pack(&b, __VA_ARGS__), 0);                                                                    \
        assert_int_equal(wire_buf_length(&b), sizeof(bytes) - 1);                                                      \
        assert_memory_equal(wire_buf_at(&b), bytes, sizeof(bytes) - 1);                                                \
        wire_buf_reset(&b);                                                                                            \
    } while (0)

/* The types of the arguments do not fit. */
#define assert_misfit(sentence, ...)                                                                                   \
    do {                                                                                                               \
        struct wire_buf b = {0};                                                                                       \
        assert_int_equal(pack_checked(&b, __VA_ARGS__), -EINVAL);                                                      \
        assert_int_equal(wire_buf_length(&b), 0);                                                                      \
        assert_string_equal(last.why, sentence);                                                                       \
        wire_buf_reset(&b);                                                                                            \
    } while (0)

#define assert_refuses(...)                                                                                            \
    do {                                                                                                               \
        struct wire_buf b = {0};                                                                                       \
        wire_buf_append(&b, "x", 1);                                                                                   \
        assert_int_equal(pack(&b, __VA_ARGS__), -EINVAL);                                                              \
        assert_int_equal(wire_buf_length(&b), 1);                                                                      \
        wire_buf_reset(&b);                                                                                            \
    } while (0)

static void no_format_is_an_empty_array(void **state)
{
    (void)state;
    assert_packs("\x90", NULL);
    assert_packs("\x90", "");
    assert_packs("\x90", "  ");
}

static void scalars_pack_in_order(void **state)
{
    (void)state;
    int k = -3;
    assert_packs("\x92\xfd\x05", "ii", k, 5);
    assert_packs("\x92\xd2\x80\x00\x00\x00\xce\xff\xff\xff\xff", "iu", INT32_MIN, UINT32_MAX);
    assert_packs("\x92\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "xt", (int64_t)-1, UINT64_MAX);
    assert_packs("\x93\xc2\xc3\xc0", "bbn", 0, 5);
    assert_packs("\x91\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "d", 1.5);
}

static void texts_and_bytes_keep_their_kind(void **state)
{
    (void)state;
    assert_packs("\x92\xa2hi\xc0", "ss", "hi", (const char *)NULL);
    assert_packs("\x92\xa1h\xc4\x02hi", "SB", "hi", (size_t)1, "hi", (size_t)2);
    assert_packs("\x91\xa0", "S", (const char *)NULL, (size_t)0);
}

static void containers_count_their_elements(void **state)
{
    (void)state;
    assert_packs("\x92\x92\x01\x02\x03", "[ii]i", 1, 2, 3);
    assert_packs("\x91\x82\xa1k\x91\x01\xa1m\x80", "{s[i] s{}}", "k", 1, "m");
    assert_packs("\x91\x90", "[]");
    assert_packs("\x91\x91\x91\x91\x05", "[[[i]]]", 5);
}

static void raw_values_go_in_whole(void **state)
{
    (void)state;
    assert_packs("\x92\x93\x01\x02\x03\x04", "ri", "\x93\x01\x02\x03", (size_t)4, 4);
    assert_refuses("r", "\x93\x01\x02", (size_t)3);
    assert_refuses("r", "\x01\x02", (size_t)2);
    assert_refuses("r", "", (size_t)0);
    assert_refuses("r", "\xc1", (size_t)1);
    assert_refuses("r", (const void *)NULL, (size_t)0);
}

static void wrong_formats_are_refused(void **state)
{
    (void)state;
    assert_refuses("z");
    assert_string_equal(last.why,
        "format \"z\": 'z' at position 1 is not a letter of formats: those are i u x t d b n s S B r [ ] { }");
    assert_refuses("i[", 1);
    assert_string_equal(last.why, "format \"i[\": '[' at position 2 is not closed");
    assert_refuses("]");
    assert_refuses("[i}", 1);
    assert_refuses("i{s}", 1, "odd");
    assert_string_equal(last.why, "format \"i{s}\": '{' at position 2 opens a map whose last key has no value");
    assert_refuses("[{]}");
    assert_refuses("i]", 1);
    assert_string_equal(last.why, "format \"i]\": ']' at position 2 closes nothing");
    assert_refuses("B", (const void *)NULL, (size_t)3);
    assert_string_equal(last.why, "format \"B\": 'B' at position 1 was given NULL with a length");
    assert_refuses("[r]", "\x93", (size_t)1);
    assert_string_equal(
        last.why, "format \"[r]\": 'r' at position 2 was given bytes that are not one MessagePack value");
}

static void arguments_that_fit_are_passed_on(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    enum { FIVE = 5 };
    static const unsigned char bytes[] = {0xc3};
    const char text[] = "t";
    unsigned short small = 6;
    const int r[] = {
        pack_checked(&b, NULL),
        pack_checked(&b, ""),
        pack_checked(&b, hidden("n")),
        pack_checked(&b, "iub", -1, 2u, true),
        pack_checked(&b, "iii", FIVE, small, 'c'),
        pack_checked(&b, "xt dd", (int64_t)1, (uint64_t)2, 1.0f, 2.0),
        pack_checked(&b, "sss", "x", text, NULL),
        pack_checked(&b, "[{sb}SB]r", text, 1 == 1, text, sizeof(text) - 1, bytes, sizeof(bytes), bytes, sizeof(bytes)),
        pack_checked(&b, "iiiiiiiiiiiiiiiiiiii", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20),
    };
    for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
        assert_int_equal(r[i], 0);
    wire_buf_reset(&b);
}

static void arguments_that_do_not_fit_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_misfit("format \"ii\": letter 'i' at position 2 takes an int, but argument 2 is an integer of 64 bits",
        hidden("ii"), 1, (int64_t)2);
    assert_misfit("format \"x\": letter 'x' at position 1 takes an int64_t, but argument 1 is an integer of 32 bits or "
                  "less",
        hidden("x"), 1);
    assert_misfit("format \"[si]\": letter 'i' at position 3 takes an int, but argument 2 is missing", "[si]", "a");
    assert_misfit("format \"{su}\": letter 's' at position 2 takes a const char *, but argument 1 is an integer of 32 "
                  "bits or less",
        "{su}", 1, 2u);
    assert_misfit(
        "format \"B\": letter 'B' at position 1 takes a pointer and a size_t, but argument 2 is an integer of "
        "32 bits or less",
        "B", "xyz", 3);
    assert_misfit("format \"nd\": letter 'd' at position 2 takes a double, but argument 1 is a pointer", "nd", "1.5");
    assert_misfit("format \"n\": no letter takes argument 1", "n", 3);
    assert_misfit("format \"i\": no letter takes argument 2", hidden("i"), 3, 4);
    assert_misfit("format \"\": no letter takes argument 1", hidden(NULL), 3);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char format[2 * (ARGS_DEPTH_MAX + 1) + 1] = {0};
    struct wire_buf b = {0};
    memset(format, '[', ARGS_DEPTH_MAX);
    memset(format + ARGS_DEPTH_MAX, ']', ARGS_DEPTH_MAX);
    assert_int_equal(pack(&b, format), 0);
    memset(format, '[', ARGS_DEPTH_MAX + 1);
    memset(format + ARGS_DEPTH_MAX + 1, ']', ARGS_DEPTH_MAX + 1);
    assert_int_equal(pack(&b, format), -EINVAL);
    wire_buf_reset(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_format_is_an_empty_array),
        cmocka_unit_test(scalars_pack_in_order),
        cmocka_unit_test(texts_and_bytes_keep_their_kind),
        cmocka_unit_test(containers_count_their_elements),
        cmocka_unit_test(raw_values_go_in_whole),
        cmocka_unit_test(wrong_formats_are_refused),
        cmocka_unit_test(arguments_that_fit_are_passed_on),
        cmocka_unit_test(arguments_that_do_not_fit_are_refused_with_their_place),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
