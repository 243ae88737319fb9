/* Is every good envelope read, every bad one refused with a reason, and every written one good? */
#include "tests/unit/proto/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "proto/reader.h"
#include "proto/scan.h"
#include "proto/tables.h"

static int parse(const char *bytes, size_t length, struct wire_message *ret, const char **ret_why)
{
    *ret_why = NULL;
    return wire_message_parse((const uint8_t *)bytes, length, ret, ret_why);
}

/* → whether the quick way took it; then it said what scan and parse say. */
static bool assert_quick_agrees(const uint8_t *bytes, size_t size)
{
    struct wire_message quick, parsed;
    struct wire_limits limits = {1 << 16, WIRE_QUICK_DEPTH};
    const char *why;
    size_t length;
    uint64_t whole;
    if (!wire_message_quick(bytes, size, &quick, &length))
        return false;
    assert_int_equal(wire_scan_value(&limits, bytes, size, &whole), WIRE_SCAN_WHOLE);
    assert_int_equal(whole, length);
    assert_int_equal(wire_message_parse(bytes, length, &parsed, &why), 0);
    assert_int_equal(quick.kind, parsed.kind);
    assert_int_equal(quick.msgid, parsed.msgid);
    assert_int_equal(quick.has_msgid, parsed.has_msgid);
    if (quick.kind == WIRE_RESPONSE) {
        assert_ptr_equal(quick.error, parsed.error);
        assert_int_equal(quick.error_length, parsed.error_length);
        assert_ptr_equal(quick.result, parsed.result);
        assert_int_equal(quick.result_length, parsed.result_length);
    } else {
        assert_ptr_equal(quick.method, parsed.method);
        assert_int_equal(quick.method_length, parsed.method_length);
        assert_ptr_equal(quick.params, parsed.params);
        assert_int_equal(quick.params_count, parsed.params_count);
        assert_int_equal(quick.params_length, parsed.params_length);
    }
    return true;
}

static void common_messages_are_read_the_quick_way_and_alike(void **state)
{
    (void)state;
#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }
    static const struct {
        const char *bytes;
        size_t length;
    } common[] = {
        BYTES("\x94\x00\x05\xa4"
              "call"
              "\x92\xa8"
              "sys.noop"
              "\x90"),
        BYTES("\x94\x00\xcc\xc8\xa4"
              "call"
              "\x92\xab"
              "math.square"
              "\x91\x07"),
        BYTES("\x94\x00\xcd\x03\xe8\xa4"
              "call"
              "\x91\xa8"
              "sys.noop"),
        BYTES("\x94\x00\xce\x7f\xff\xff\xff\xa4"
              "ping"
              "\x90"),
        BYTES("\x94\x01\x05\xc0\xc0"),
        BYTES("\x94\x01\xcd\x03\xe8\xc0\xa5"
              "hello"),
    };
#undef BYTES
    uint64_t random = test_seed();
    for (size_t i = 0; i < COUNT(common); i++) {
        size_t length = common[i].length;
        uint8_t *copy = exact_copy(common[i].bytes, length);
        assert_true(assert_quick_agrees(copy, length));
        free(copy);
        for (size_t cut = 0; cut < length; cut++) {
            copy = exact_copy(common[i].bytes, cut);
            assert_false(assert_quick_agrees(copy, cut));
            free(copy);
        }
        for (int round = 0; round < 20000; round++) {
            copy = exact_copy(common[i].bytes, length);
            for (uint64_t changes = 1 + random_below(&random, 3); changes > 0; changes--)
                copy[random_below(&random, length)] = (uint8_t)random_next(&random);
            (void)assert_quick_agrees(copy, length);
            free(copy);
        }
    }
}

static void a_request_is_read(void **state)
{
    (void)state;
    struct wire_message m;
    const char *why;
    static const char bytes[] = "\x94\x00\x05\xa4"
                                "call\x92\xa1x\x91\x07";
    assert_int_equal(parse(bytes, sizeof(bytes) - 1, &m, &why), 0);
    assert_int_equal(m.kind, WIRE_REQUEST);
    assert_true(m.has_msgid);
    assert_int_equal(m.msgid, 5);
    assert_int_equal(m.method_length, 4);
    assert_memory_equal(m.method, "call", 4);
    assert_int_equal(m.params_count, 2);
    assert_int_equal(m.params_length, 4);
    assert_memory_equal(m.params, "\xa1x\x91\x07", 4);
}

static void a_notification_is_read(void **state)
{
    (void)state;
    struct wire_message m;
    const char *why;
    assert_int_equal(parse("\x93\x02\xa1x\x90", 5, &m, &why), 0);
    assert_int_equal(m.kind, WIRE_NOTIFICATION);
    assert_false(m.has_msgid);
    assert_memory_equal(m.method, "x", 1);
    assert_int_equal(m.params_count, 0);
    assert_int_equal(m.params_length, 0);
}

static void a_response_is_read(void **state)
{
    (void)state;
    struct wire_message m;
    const char *why;
    assert_int_equal(parse("\x94\x01\xce\xff\xff\xff\xff\xc0\x92\x01\x02", 11, &m, &why), 0);
    assert_int_equal(m.kind, WIRE_RESPONSE);
    assert_int_equal(m.msgid, UINT32_MAX);
    assert_false(m.has_msgid); /* nobody answers an answer */
    assert_int_equal(m.error_length, 1);
    assert_int_equal(*m.error, 0xc0);
    assert_int_equal(m.result_length, 3);
    assert_memory_equal(m.result, "\x92\x01\x02", 3);
}

static void long_forms_and_bin_names_are_read_alike(void **state)
{
    (void)state;
    struct wire_message m;
    const char *why;
    static const char bytes[] =
        "\xdd\x00\x00\x00\x04\xcf\x00\x00\x00\x00\x00\x00\x00\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x09"
        "\xc4\x04ping\xdc\x00\x00";
    assert_int_equal(parse(bytes, sizeof(bytes) - 1, &m, &why), 0);
    assert_int_equal(m.kind, WIRE_REQUEST);
    assert_int_equal(m.msgid, 9);
    assert_memory_equal(m.method, "ping", 4);
    assert_int_equal(m.params_count, 0);
}

/* Where a language has no other numbers, kind and msgid are floats. */
static void an_envelope_of_floats_is_read_as_one_of_integers(void **state)
{
    (void)state;
    static const char request[] = "\x94\xca\x00\x00\x00\x00\xcb\x41\xef\xff\xff\xff\xe0\x00\x00\xa1x\x90";
    struct wire_message m;
    const char *why;
    size_t length;
    assert_int_equal(parse(request, sizeof request - 1, &m, &why), 0);
    assert_int_equal(m.kind, WIRE_REQUEST);
    assert_true(m.has_msgid);
    assert_int_equal(m.msgid, UINT32_MAX);
    assert_false(wire_message_quick((const uint8_t *)request, sizeof request - 1, &m, &length));
}

static void every_malformed_envelope_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        bool has_msgid;
        const char *why; /* a part of the sentence */
    } bad[] = {
        {"", 0, false, "must be an array"},
        {"\xc0", 1, false, "must be an array"},
        {"\x84\x00\x01\x02\x03\x04\x05\x06\x07", 9, false, "must be an array"},
        {"\xa4ping", 5, false, "must be an array"},
        {"\x90", 1, false, "must begin with"},
        {"\x94\xa1x\x01\xa1x\x90", 7, false, "must begin with"},
        {"\x94\xff\x01\xa1x\x90", 6, false, "must begin with"},
        {"\x94\x03\x01\xa1x\x90", 6, false, "must begin with"},
        {"\x91\x00", 2, false, "msgid"},
        {"\x91\x01", 2, false, "msgid"},
        {"\x94\x00\xff\xa1x\x90", 6, false, "msgid"},
        {"\x94\x00\xc0\xa1x\x90", 6, false, "msgid"},
        {"\x94\x00\xa1"
         "1\xa1x\x90",
            7, false, "msgid"},
        {"\x94\x00\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\xa1x\x90", 14, false, "msgid"}, /* 0.5 */
        {"\x94\x00\xcb\x41\xf0\x00\x00\x00\x00\x00\x00\xa1x\x90", 14, false, "msgid"}, /* 2^32 */
        {"\x94\xca\x40\x40\x00\x00\x01\xa1x\x90", 10, false, "must begin with"},       /* 3.0 */
        {"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1x\x90", 14, false, "msgid"},
        {"\x92\x00\x07", 3, true, "request must be"},
        {"\x93\x00\x07\xa1x", 5, true, "request must be"},
        {"\x95\x00\x07\xa1x\x90\xc0", 7, true, "request must be"},
        {"\x94\x00\x07\x05\x90", 5, true, "method"},
        {"\x94\x00\x07\xc0\x90", 5, true, "method"},
        {"\x94\x00\x07\x91\x01\x90", 6, true, "method"},
        {"\x94\x00\x07\xa1x\xc0", 6, true, "params must"},
        {"\x94\x00\x07\xa1x\x80", 6, true, "params must"},
        {"\x94\x00\x07\xa1x\xa1y", 7, true, "params must"},
        {"\x94\x00\x07\xa1x\xc4\x00", 7, true, "params must"},
        {"\x94\x00\x07\xa1x\x90\x01", 7, true, "behind"},
        {"\x91\x02", 2, false, "notification must be"},
        {"\x92\x02\xa1x", 4, false, "notification must be"},
        {"\x94\x02\xa1x\x90\xc0", 6, false, "notification must be"},
        {"\x93\x02\x05\x90", 4, false, "method"},
        {"\x93\x02\xa1x\x80", 5, false, "params must"},
        {"\x93\x01\x07\xc0", 4, false, "response must be"},
        {"\x95\x01\x07\xc0\xc0\xc0", 6, false, "response must be"},
        {"\x94\x01\xff\xc0\xc0", 5, false, "msgid"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct wire_message m;
        const char *why;
        assert_int_equal(parse(bad[i].bytes, bad[i].length, &m, &why), -EBADMSG);
        assert_non_null(why);
        if (!strstr(why, bad[i].why))
            fail_msg("case %zu says: %s", i, why);
        assert_int_equal(m.has_msgid, bad[i].has_msgid);
        if (m.has_msgid)
            assert_int_equal(m.msgid, 7);
    }
}

static void a_message_cut_at_any_byte_is_refused_unscanned_too(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } messages[] = {
        {"\x94\x00\xcd\x01\x00\xa4"
         "call\x92\xa1x\x91\x07",
            14},
        {"\x93\x02\xc4\x01x\x90", 6},
        {"\x94\x01\x05\x92\x00\xa1x\xa3"
         "abc",
            11},
    };
    for (size_t i = 0; i < COUNT(messages); i++)
        for (size_t cut = 0; cut < messages[i].length; cut++) {
            uint8_t *copy = exact_copy(messages[i].bytes, cut);
            struct wire_message m;
            const char *why = NULL;
            /* What lies inside params or result is the scan's business: there a cut may go unseen, yet never reads on.
             */
            int error = wire_message_parse(copy, cut, &m, &why);
            if (error) {
                assert_int_equal(error, -EBADMSG);
                assert_non_null(why);
            } else {
                const uint8_t *last = m.kind == WIRE_RESPONSE ? m.result + m.result_length : m.params + m.params_length;
                assert_ptr_equal(last, copy + cut);
            }
            free(copy);
        }
}

/* Scans and parses what was written; it must be one whole message. */
static struct wire_message reread(const struct wire_buf *b)
{
    struct wire_limits limits = {WIRE_MAX_BYTES_DEFAULT, WIRE_MAX_DEPTH_DEFAULT};
    uint64_t length = 0;
    assert_false(b->failed);
    assert_int_equal(wire_scan_value(&limits, wire_buf_at(b), wire_buf_length(b), &length), WIRE_SCAN_WHOLE);
    assert_int_equal(length, wire_buf_length(b));
    struct wire_message m;
    const char *why = "";
    if (wire_message_parse(wire_buf_at(b), length, &m, &why))
        fail_msg("%s", why);
    return m;
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const uint32_t msgids[] = {0, 127, 128, 65536, UINT32_MAX};
    for (size_t i = 0; i < COUNT(msgids); i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        wire_put_request(&b, msgids[i], "submit");
        msgpack_pack_array(&pk, 2);
        wire_pack_text(&pk, "a");
        msgpack_pack_nil(&pk);
        struct wire_message m = reread(&b);
        assert_int_equal(m.kind, WIRE_REQUEST);
        assert_int_equal(m.msgid, msgids[i]);
        assert_memory_equal(m.method, "submit", m.method_length);
        assert_int_equal(m.params_count, 2);

        wire_buf_rewind(&b, 0);
        wire_put_result(&b, msgids[i]);
        msgpack_pack_int(&pk, 42);
        m = reread(&b);
        assert_int_equal(m.kind, WIRE_RESPONSE);
        assert_int_equal(m.msgid, msgids[i]);
        assert_memory_equal(m.error, "\xc0", m.error_length);
        assert_memory_equal(m.result, "\x2a", m.result_length);

        wire_buf_rewind(&b, 0);
        wire_put_notification(&b, "progress");
        msgpack_pack_array(&pk, 0);
        m = reread(&b);
        assert_int_equal(m.kind, WIRE_NOTIFICATION);
        assert_memory_equal(m.method, "progress", m.method_length);
        wire_buf_reset(&b);
    }
}

/* The error of a written reply, which must have a nil result. */
static void assert_error(const struct wire_buf *b, uint32_t msgid, int class, const char *text, size_t length)
{
    struct wire_message m = reread(b);
    assert_int_equal(m.kind, WIRE_RESPONSE);
    assert_int_equal(m.msgid, msgid);
    assert_int_equal(m.result_length, 1);
    assert_int_equal(*m.result, 0xc0);
    int got_class = -1;
    const char *got;
    size_t got_length;
    assert_int_equal(wire_read_error(m.error, m.error_length, &got_class, &got, &got_length), 0);
    assert_int_equal(got_class, class);
    assert_int_equal(got_length, length);
    assert_memory_equal(got, text, length);
}

static void an_error_has_class_name_and_text(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    wire_put_error(&b, 3, MPOOL_E_NO_METHOD, "no method %s", "pong");
    assert_error(&b, 3, 1, "E_NO_METHOD: no method pong", 27);
    wire_buf_rewind(&b, 0);
    wire_put_error(&b, 3, MPOOL_E_LOST, "worker %d", 7);
    assert_error(&b, 3, 0, "E_LOST: worker 7", 16);
    wire_buf_rewind(&b, 0);
    wire_put_error_text(&b, UINT32_MAX, 0, "E_FAILED: x", 11);
    assert_error(&b, UINT32_MAX, 0, "E_FAILED: x", 11);
    wire_buf_reset(&b);
}

static void an_error_with_nothing_to_say_says_what_its_name_means(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    for (int e = 1; e < MPOOL_ERROR_COUNT; e++) {
        const struct wire_error_info *info = wire_error_info((enum mpool_error)e);
        char expected[200];
        int length = snprintf(expected, sizeof(expected), "%s: %s", info->name, info->sentence);
        wire_buf_rewind(&b, 0);
        wire_put_error(&b, 1, (enum mpool_error)e, "%s", "");
        assert_error(&b, 1, info->class, expected, (size_t)length);
    }
    wire_buf_reset(&b);
}

static void an_error_text_is_cut_on_a_character_border(void **state)
{
    (void)state;
    /* "E_FAILED: " and then `pad` letters, so that the cut at 4,000 falls on every place in a row of characters. */
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < COUNT(characters); c++)
        for (size_t pad = 0; pad < 4; pad++) {
            size_t width = strlen(characters[c]);
            char text[6000] = "pppp";
            size_t length = pad;
            while (length + width < sizeof(text) - 1) {
                memcpy(text + length, characters[c], width);
                length += width;
            }
            text[length] = 0;

            char expected[6100] = "E_FAILED: ";
            memcpy(expected + 10, text, length);
            size_t kept = 10 + pad + (4000 - 10 - pad) / width * width;
            assert_true(kept > 3996 && kept <= 4000);

            struct wire_buf b = {0};
            wire_put_error(&b, 1, MPOOL_E_FAILED, "%s", text);
            assert_error(&b, 1, 0, expected, kept);
            wire_buf_rewind(&b, 0);
            wire_put_error_text(&b, 1, 0, expected, length + 10);
            assert_error(&b, 1, 0, expected, kept);
            wire_buf_reset(&b);
        }
}

static void an_error_text_of_exactly_the_limit_is_kept_whole(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    char text[4001];
    memset(text, 'x', sizeof(text));
    wire_put_error_text(&b, 1, 0, text, 4000);
    assert_error(&b, 1, 0, text, 4000);
    wire_buf_rewind(&b, 0);
    wire_put_error_text(&b, 1, 0, text, 4001);
    assert_error(&b, 1, 0, text, 4000);
    wire_buf_rewind(&b, 0);
    wire_put_error_text(&b, 1, 0, NULL, 0);
    assert_error(&b, 1, 0, "", 0);
    wire_buf_reset(&b);
}

static void bytes_that_are_not_text_leave_as_text(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    wire_put_error(&b, 1, MPOOL_E_NO_METHOD, "no method %s", "\xff\xc0\xaf!\xed\xa0\x80\xc3\xa9\xc3");
    assert_error(&b, 1, 1, "E_NO_METHOD: no method \?\?\?!\?\?\?\xc3\xa9?", 33);
    wire_buf_reset(&b);
}

static void an_error_value_stands_alone_in_lists(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    wire_put_error_value(&b, 0, "E_FAILED: no", 12);
    assert_int_equal(wire_buf_length(&b), 15);
    assert_memory_equal(wire_buf_at(&b),
        "\x92\x00\xac"
        "E_FAILED: no",
        15);
    wire_buf_reset(&b);
}

static void a_reply_that_finds_no_room_shows_it(void **state)
{
    (void)state;
    for (size_t cap = 1; cap < 35; cap++) {
        struct wire_buf b = {.cap = cap};
        wire_put_error(&b, 1, MPOOL_E_BUSY, "try again later, please");
        assert_true(b.failed);
        wire_buf_reset(&b);
    }
}

static void nil_is_no_error(void **state)
{
    (void)state;
    int class = 55;
    const char *text;
    size_t length;
    assert_int_equal(wire_read_error((const uint8_t *)"\xc0", 1, &class, &text, &length), -ENODATA);
    assert_int_equal(class, 55);
}

static void an_error_of_another_shape_is_foreign(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } foreign[] = {{"", 0}, {"\xc0\xc0", 2}, {"\xa4oops", 5}, {"\x01", 1}, {"\x90", 1}, {"\x91\x00", 2},
        {"\x93\x00\xa1x\xc0", 5}, {"\x92\xff\xa1x", 4}, {"\x92\xa1x\x00", 4}, {"\x92\x00\xc0", 3},
        {"\x92\x00\xa1x\xc0", 5}, {"\x92\x00\xa2x", 4}, {"\x92\xce\x80\x00\x00\x00\xa1x", 8},
        {"\x82\x00\xa1x\x01\xa1y", 7}};
    for (size_t i = 0; i < COUNT(foreign); i++) {
        uint8_t *copy = exact_copy(foreign[i].bytes, foreign[i].length);
        int class;
        const char *text;
        size_t length;
        assert_int_equal(wire_read_error(copy, foreign[i].length, &class, &text, &length), -EBADMSG);
        free(copy);
    }
    int class;
    const char *text;
    size_t length;
    assert_int_equal(wire_read_error((const uint8_t *)"\x92\x01\xc4\x01x", 5, &class, &text, &length), 0);
    assert_int_equal(class, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(common_messages_are_read_the_quick_way_and_alike),
        cmocka_unit_test(a_request_is_read),
        cmocka_unit_test(a_notification_is_read),
        cmocka_unit_test(a_response_is_read),
        cmocka_unit_test(long_forms_and_bin_names_are_read_alike),
        cmocka_unit_test(an_envelope_of_floats_is_read_as_one_of_integers),
        cmocka_unit_test(every_malformed_envelope_is_refused_with_a_reason),
        cmocka_unit_test(a_message_cut_at_any_byte_is_refused_unscanned_too),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(an_error_has_class_name_and_text),
        cmocka_unit_test(an_error_with_nothing_to_say_says_what_its_name_means),
        cmocka_unit_test(an_error_text_is_cut_on_a_character_border),
        cmocka_unit_test(an_error_text_of_exactly_the_limit_is_kept_whole),
        cmocka_unit_test(bytes_that_are_not_text_leave_as_text),
        cmocka_unit_test(an_error_value_stands_alone_in_lists),
        cmocka_unit_test(a_reply_that_finds_no_room_shows_it),
        cmocka_unit_test(nil_is_no_error),
        cmocka_unit_test(an_error_of_another_shape_is_foreign),
    };
    return cmocka_run_group_tests_name("proto/message", tests, NULL, NULL);
}
