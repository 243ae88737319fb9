/* What do call, map and submit accept as options? Each row of the table at its bounds, and whatever a client may send.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/rpc/options.h"
#include "proto/buf.h"

static char why[320];

/* Reads what was packed; the bytes are freed, so that only lengths and numbers may be looked at. */
static int read_packed(struct wire_buf *b, unsigned method, struct task_options *ret)
{
    assert_false(b->failed);
    size_t length = wire_buf_length(b);
    uint8_t *exact = malloc(length ? length : 1); /* so that a sanitizer sees a read beyond its end */
    assert_non_null(exact);
    memcpy(exact, wire_buf_at(b), length);
    struct wire_reader in = wire_reader(exact, length);
    why[0] = 0;
    int r = options_read(&in, method, ret, why, sizeof why);
    free(exact);
    wire_buf_reset(b);
    return r;
}

static int read_u64(const char *key, uint64_t value, unsigned method, struct task_options *ret)
{
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, 1);
    wire_pack_key_u64(&pk, key, value);
    return read_packed(&b, method, ret);
}

static int read_text(const char *key, size_t length, unsigned method, struct task_options *ret)
{
    static char text[1000];
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    memset(text, 'x', sizeof text);
    msgpack_pack_map(&pk, 1);
    wire_pack_text(&pk, key);
    msgpack_pack_str(&pk, length);
    msgpack_pack_str_body(&pk, text, length);
    return read_packed(&b, method, ret);
}

static int read_bool(const char *key, unsigned method, struct task_options *ret)
{
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, 1);
    wire_pack_key_bool(&pk, key, true);
    return read_packed(&b, method, ret);
}

static void numbers_and_lengths_are_taken_at_their_bounds_and_refused_beyond(void **state)
{
    (void)state;
    struct task_options o;
#define TRY_UINT(name, field, min, max, method)                                                                        \
    assert_int_equal(read_u64(#name, min, method, &o), 0);                                                             \
    assert_true(o.field == (min));                                                                                     \
    assert_int_equal(read_u64(#name, max, method, &o), 0);                                                             \
    assert_true(o.field == (max));                                                                                     \
    if ((min) > 0)                                                                                                     \
        assert_int_equal(read_u64(#name, (uint64_t)(min)-1, method, &o), -EINVAL);                                     \
    if ((max) < UINT64_MAX)                                                                                            \
        assert_int_equal(read_u64(#name, (uint64_t)(max) + 1, method, &o), -EINVAL);
#define TRY_TEXT(name, field, min, max, method)                                                                        \
    assert_int_equal(read_text(#name, min, method, &o), 0);                                                            \
    assert_int_equal(read_text(#name, max, method, &o), 0);                                                            \
    assert_int_equal(o.field.length, max);                                                                             \
    if ((min) > 0)                                                                                                     \
        assert_int_equal(read_text(#name, (size_t)(min)-1, method, &o), -EINVAL);                                      \
    assert_int_equal(read_text(#name, (max) + 1, method, &o), -EINVAL);
#define TRY_BOOL(name, field, min, max, method)                                                                        \
    assert_int_equal(read_bool(#name, method, &o), 0);                                                                 \
    assert_true(o.field);                                                                                              \
    assert_int_equal(read_u64(#name, 1, method, &o), -EINVAL);
#define X(name, kind, field, min, max, methods) TRY_##kind(name, field, min, max, (methods) & -(methods))
    TASK_OPTIONS(X)
#undef X
}

static void an_option_is_refused_where_it_means_nothing(void **state)
{
    (void)state;
    struct task_options o;
    static const unsigned all[] = {OPTION_CALL, OPTION_MAP, OPTION_SUBMIT};
#define X(name, kind, field, min, max, methods)                                                                        \
    for (size_t i = 0; i < 3; i++)                                                                                     \
        if (!((methods)&all[i])) {                                                                                     \
            assert_int_equal(read_bool(#name, all[i], &o), -EINVAL);                                                   \
            assert_non_null(strstr(why, "option " #name " is not for "));                                              \
        }
    TASK_OPTIONS(X)
#undef X
}

static void nil_is_no_option_at_all(void **state)
{
    (void)state;
    struct task_options o;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_nil(&pk);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), 0);
    pk = wire_packer(&b);
    msgpack_pack_map(&pk, 2);
    wire_pack_key_text(&pk, "pool", NULL);
    wire_pack_key_text(&pk, "timeout_ms", NULL);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), 0);
    assert_null(o.pool.at);
    assert_true(o.timeout_ms == 0);
}

static void what_is_no_map_of_names_is_refused(void **state)
{
    (void)state;
    struct task_options o;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, 1);
    msgpack_pack_nil(&pk);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), -EINVAL);
    assert_non_null(strstr(why, "expected a map"));
    pk = wire_packer(&b);
    msgpack_pack_map(&pk, 1);
    msgpack_pack_int(&pk, 1);
    msgpack_pack_int(&pk, 1);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), -EINVAL);
    assert_non_null(strstr(why, "expected a string as key"));
    assert_int_equal(read_text("chunk", 3, OPTION_MAP, &o), -EINVAL);
    assert_int_equal(read_u64("tiemout_ms", 3, OPTION_CALL, &o), -EINVAL);
    assert_non_null(strstr(why, "did you mean 'timeout_ms'?"));
}

static void a_key_of_any_length_is_answered_with_a_sentence_that_fits(void **state)
{
    (void)state;
    struct task_options o;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    char key[5000];
    memset(key, '%', sizeof key);
    msgpack_pack_map(&pk, 1);
    msgpack_pack_str(&pk, sizeof key);
    msgpack_pack_str_body(&pk, key, sizeof key);
    msgpack_pack_nil(&pk);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), -EINVAL);
    assert_true(strlen(why) < 200);
}

static void an_empty_array_is_an_empty_map_and_keys_and_texts_may_be_bin(void **state)
{
    (void)state;
    struct task_options o;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, 0);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), 0);
    pk = wire_packer(&b);
    msgpack_pack_map(&pk, 1);
    msgpack_pack_bin_with_body(&pk, "name", 4);
    msgpack_pack_bin_with_body(&pk, "label", 5);
    assert_int_equal(read_packed(&b, OPTION_CALL, &o), 0);
    assert_int_equal(o.name.length, 5);
}

static void a_float_is_an_integer_where_it_is_whole(void **state)
{
    (void)state;
    static const struct {
        double value;
        int r;
        const char *why;
    } rows[] = {{1, 0, ""}, {2147483648, 0, ""}, {0, -EINVAL, "got the float 0"}, {1.5, -EINVAL, "got the float 1.5"},
        {-1, -EINVAL, "got the float -1"}, {2147483649, -EINVAL, "got the float 2147483649"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct task_options o;
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        msgpack_pack_map(&pk, 1);
        wire_pack_key_f64(&pk, "timeout_ms", rows[i].value);
        assert_int_equal(read_packed(&b, OPTION_CALL, &o), rows[i].r);
        if (rows[i].r == 0)
            assert_true((double)o.timeout_ms == rows[i].value);
        else
            assert_non_null(strstr(why, rows[i].why));
    }
}

static void a_name_of_no_letters_is_none(void **state)
{
    (void)state;
    struct task_options o;
    assert_int_equal(read_text("name", 0, OPTION_CALL, &o), 0);
    assert_null(o.name.at);
}

static void each_and_stream_exclude_one_another(void **state)
{
    (void)state;
    struct task_options o;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, 2);
    wire_pack_key_bool(&pk, "each", true);
    wire_pack_key_bool(&pk, "stream", true);
    assert_int_equal(read_packed(&b, OPTION_MAP, &o), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_lengths_are_taken_at_their_bounds_and_refused_beyond),
        cmocka_unit_test(an_option_is_refused_where_it_means_nothing),
        cmocka_unit_test(nil_is_no_option_at_all),
        cmocka_unit_test(what_is_no_map_of_names_is_refused),
        cmocka_unit_test(a_key_of_any_length_is_answered_with_a_sentence_that_fits),
        cmocka_unit_test(an_empty_array_is_an_empty_map_and_keys_and_texts_may_be_bin),
        cmocka_unit_test(a_float_is_an_integer_where_it_is_whole),
        cmocka_unit_test(a_name_of_no_letters_is_none),
        cmocka_unit_test(each_and_stream_exclude_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
