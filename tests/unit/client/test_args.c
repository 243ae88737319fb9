/* Formats: what each letter packs, and that a wrong format packs nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/lib/args.h"

static int pack(struct wire_buf *b, const char *format, ...)
{
    struct args_list list;
    va_start(list.ap, format);
    int r = args_pack(b, format, &list);
    va_end(list.ap);
    return r;
}

#define assert_packs(bytes, ...)                                                                                       \
    do {                                                                                                               \
        struct wire_buf b = {0};                                                                                       \
        assert_int_equal(pack(&b, __VA_ARGS__), 0);                                                                    \
        assert_int_equal(wire_buf_length(&b), sizeof(bytes) - 1);                                                      \
        assert_memory_equal(wire_buf_at(&b), bytes, sizeof(bytes) - 1);                                                \
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
    assert_packs("\x91\x07", "i", (int64_t)7);
    assert_packs("\x92\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "iu", (int64_t)-1, UINT64_MAX);
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
    assert_packs("\x92\x92\x01\x02\x03", "[ii]i", (int64_t)1, (int64_t)2, (int64_t)3);
    assert_packs("\x91\x82\xa1k\x91\x01\xa1m\x80", "{s[i] s{}}", "k", (int64_t)1, "m");
    assert_packs("\x91\x90", "[]");
    assert_packs("\x91\x91\x91\x91\x05", "[[[i]]]", (int64_t)5);
}

static void raw_values_go_in_whole(void **state)
{
    (void)state;
    assert_packs("\x92\x93\x01\x02\x03\x04", "ri", "\x93\x01\x02\x03", (size_t)4, (int64_t)4);
    assert_refuses("r", "\x93\x01\x02", (size_t)3);
    assert_refuses("r", "\x01\x02", (size_t)2);
    assert_refuses("r", "", (size_t)0);
    assert_refuses("r", "\xc1", (size_t)1);
    assert_refuses("r", (const void *)NULL, (size_t)0);
}

static void wrong_formats_are_refused(void **state)
{
    (void)state;
    assert_refuses("x");
    assert_refuses("[");
    assert_refuses("]");
    assert_refuses("[i}", (int64_t)1);
    assert_refuses("{s}", "odd");
    assert_refuses("[{]}");
    assert_refuses("i]", (int64_t)1);
    assert_refuses("B", (const void *)NULL, (size_t)3);
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
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
