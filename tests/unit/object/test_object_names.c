/* Names, handles, rights and options of shared objects: what is taken, and what is refused? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/object/object_access.h"
#include "daemon/object/object_name.h"
#include "daemon/object/object_options.h"
#include "proto/buf.h"

static bool is_name(const char *text)
{
    return object_name_is_valid(text, strlen(text));
}

static void names_are_of_plain_characters_and_bounded(void **state)
{
    (void)state;
    char longest[OBJECT_NAME_MAX + 2];
    memset(longest, 'n', sizeof longest);
    assert_true(is_name("a"));
    assert_true(is_name("Jobs/2024.done:x_y@host-1"));
    assert_true(object_name_is_valid(longest, OBJECT_NAME_MAX));
    assert_false(object_name_is_valid(longest, OBJECT_NAME_MAX + 1));
    assert_false(is_name(""));
    assert_false(object_name_is_valid("a\0b", 3));
    for (int c = 1; c < 256; c++) {
        char text[2] = {(char)c, 0};
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
                     c == '_' || c == ':' || c == '/' || c == '@' || c == '-';
        assert_int_equal(is_name(text), plain);
    }
}

static bool parse(const char *text, struct object_handle *ret)
{
    size_t length = strlen(text);
    char *exact = malloc(length ? length : 1); /* so that a sanitizer sees a read beyond its end */
    assert_non_null(exact);
    memcpy(exact, text, length);
    bool is = object_handle_parse(exact, length, ret);
    free(exact);
    return is;
}

static void a_handle_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {1, 9, 10, 4711, OBJECT_NUMBER_MAX},
                          keys[] = {0, 1, UINT64_MAX, 0x0123456789abcdef};
    for (int kind = 0; kind < MPOOL_KIND_COUNT; kind++)
        for (size_t n = 0; n < 5; n++)
            for (size_t k = 0; k < 4; k++) {
                struct object_handle in = {(enum mpool_kind)kind, numbers[n], keys[k]}, out = {0};
                char text[OBJECT_HANDLE_MAX];
                object_handle_format(&in, text);
                assert_true(parse(text, &out));
                assert_true(out.kind == in.kind && out.number == in.number && out.key == in.key);
                assert_true(is_name(text)); /* it travels wherever a name does */
            }
}

static void what_is_nearly_a_handle_is_none(void **state)
{
    (void)state;
    static const char *const others[] = {"", ":", "::", "lock", "lock:", "lock:1", "lock:1:", "lock::0123456789abcdef",
        "lok:1:0123456789abcdef", "lock:0:0123456789abcdef", "lock:01:0123456789abcdef", "lock:-1:0123456789abcdef",
        "lock:1:0123456789abcde", "lock:1:0123456789abcdef0", "lock:1:0123456789ABCDEF", "lock:1:0123456789abcdeg",
        "lock:9007199254740992:0123456789abcdef", "lock:99999999999999999999:0123456789abcdef",
        "Lock:1:0123456789abcdef", " lock:1:0123456789abcdef", "lock:1:0123456789abcdef ", "lock:1 :0123456789abcdef",
        "lock:1:2:0123456789abcdef"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct object_handle out;
        assert_false(parse(others[i], &out));
    }
}

static void rights_are_those_of_the_first_class_that_fits(void **state)
{
    (void)state;
    const gid_t groups[] = {7, 8};
    struct object_owner owner = {.uid = 10, .gid = 8, .mode = 0640};
    struct object_peer peer = {.uid = 10, .gid = 1, .groups = groups, .group_count = 2};
    assert_int_equal(object_access(&owner, &peer), OBJECT_MAY_READ | OBJECT_MAY_WRITE);
    peer.uid = 11;
    assert_int_equal(object_access(&owner, &peer), OBJECT_MAY_READ);
    peer.group_count = 1;
    assert_int_equal(object_access(&owner, &peer), 0);
    peer.gid = 8;
    assert_int_equal(object_access(&owner, &peer), OBJECT_MAY_READ);
    owner.mode = 0006;
    assert_int_equal(object_access(&owner, &peer), 0);
    peer.gid = 1;
    assert_int_equal(object_access(&owner, &peer), OBJECT_MAY_READ | OBJECT_MAY_WRITE);
    peer.uid = 10;
    assert_int_equal(object_access(&owner, &peer), 0);
    peer.admin = true;
    assert_int_equal(object_access(&owner, &peer), OBJECT_MAY_READ | OBJECT_MAY_WRITE);
}

static char why[320];

static int read_options(struct wire_buf *b, int kind, struct object_options *ret)
{
    struct wire_reader in = wire_reader(wire_buf_at(b), wire_buf_length(b));
    assert_false(b->failed);
    why[0] = 0;
    int r = object_options_read(&in, kind, ret, why, sizeof why);
    wire_buf_reset(b);
    assert_true(r == 0 || why[0]);
    return r;
}

static int read_u64(const char *key, uint64_t value, int kind, struct object_options *ret)
{
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, 1);
    wire_pack_key_u64(&pk, key, value);
    return read_options(&b, kind, ret);
}

static void numbers_are_taken_at_their_bounds_and_refused_beyond(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int kind;
        uint64_t min, max;
    } rows[] = {
        {"mode", MPOOL_KIND_LOCK, 0, 0666},
        {"ttl_s", MPOOL_KIND_LOCK, 0, OBJECT_TTL_MAX_S},
        {"group", MPOOL_KIND_LOCK, 0, UINT32_MAX - 1},
        {"count", MPOOL_KIND_ARRAY, 0, 1ull << 48},
        {"parties", MPOOL_KIND_BARRIER, 1, 256},
        {"capacity", MPOOL_KIND_QUEUE, 0, UINT32_MAX},
        {"end", MPOOL_KIND_PIPE, 0, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct object_options o;
        assert_int_equal(read_u64(rows[i].key, rows[i].min, rows[i].kind, &o), 0);
        assert_int_equal(read_u64(rows[i].key, rows[i].max, rows[i].kind, &o), 0);
        assert_int_equal(read_u64(rows[i].key, rows[i].max + 1, rows[i].kind, &o), -EINVAL);
        assert_non_null(strstr(why, rows[i].key));
        assert_int_equal(read_u64(rows[i].key, UINT64_MAX, rows[i].kind, &o), -EINVAL);
        if (rows[i].min > 0)
            assert_int_equal(read_u64(rows[i].key, rows[i].min - 1, rows[i].kind, &o), -EINVAL);
    }
}

static void an_option_is_refused_where_it_means_nothing(void **state)
{
    (void)state;
    struct object_options o;
    assert_int_equal(read_u64("count", 1, MPOOL_KIND_LOCK, &o), -EINVAL);
    assert_non_null(strstr(why, "lock"));
    assert_int_equal(read_u64("count", 1, -1, &o), 0); /* whatever it is, it is there already */
    assert_int_equal(read_u64("cuont", 1, MPOOL_KIND_ARRAY, &o), -EINVAL);
    assert_non_null(strstr(why, "'count'"));
}

static void nil_is_no_option_at_all(void **state)
{
    (void)state;
    struct object_options o;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, 1);
    wire_pack_key_text(&pk, "mode", NULL);
    assert_int_equal(read_options(&b, MPOOL_KIND_LOCK, &o), 0);
    assert_false(object_option_given(&o, OBJECT_OPTION_mode));
    pk = wire_packer(&b);
    msgpack_pack_nil(&pk);
    assert_int_equal(read_options(&b, MPOOL_KIND_LOCK, &o), 0);
    assert_int_equal(o.given, 0);
    pk = wire_packer(&b);
    msgpack_pack_array(&pk, 0); /* an empty map, as PHP and Lua say it */
    assert_int_equal(read_options(&b, MPOOL_KIND_LOCK, &o), 0);
    assert_int_equal(o.given, 0);
}

static void a_number_may_come_as_a_float(void **state)
{
    (void)state;
    struct object_options o;
    static const struct {
        double value;
        bool is_whole, is_negative;
    } rows[] = {{3, true, false}, {-3, true, true}, {1.5, false, false}, {1e300, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        msgpack_pack_map(&pk, 1);
        wire_pack_key_f64(&pk, "value", rows[i].value);
        assert_int_equal(read_options(&b, MPOOL_KIND_VALUE, &o), 0);
        assert_true(o.value.f == rows[i].value);
        assert_int_equal(o.value.is_whole, rows[i].is_whole);
        assert_int_equal(o.value.is_negative, rows[i].is_negative);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_of_plain_characters_and_bounded),
        cmocka_unit_test(a_handle_is_read_as_it_was_written),
        cmocka_unit_test(what_is_nearly_a_handle_is_none),
        cmocka_unit_test(rights_are_those_of_the_first_class_that_fits),
        cmocka_unit_test(numbers_are_taken_at_their_bounds_and_refused_beyond),
        cmocka_unit_test(an_option_is_refused_where_it_means_nothing),
        cmocka_unit_test(nil_is_no_option_at_all),
        cmocka_unit_test(a_number_may_come_as_a_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
