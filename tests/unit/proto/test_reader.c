/* Does the reader give each value as it is, and move only when it did? */
#include "tests/unit/proto/support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pack.h"
#include "proto/reader.h"
#include "proto/scan.h"

/* Every typed read, in the order of enum typed; → its return value, the reader moved or not. */
enum typed { AS_NIL, AS_BOOL, AS_I64, AS_U64, AS_F64, AS_STR, AS_BIN, AS_TEXT, AS_ARRAY, AS_MAP, TYPED_COUNT };

static int read_as(enum typed as, struct wire_reader *r)
{
    bool yes;
    int64_t i64;
    uint64_t u64;
    double f64;
    const char *text;
    const void *blob;
    size_t length;
    uint32_t count;
    switch (as) {
    case AS_NIL: return wire_read_nil(r);
    case AS_BOOL: return wire_read_bool(r, &yes);
    case AS_I64: return wire_read_i64(r, &i64);
    case AS_U64: return wire_read_u64(r, &u64);
    case AS_F64: return wire_read_f64(r, &f64);
    case AS_STR: return wire_read_str(r, &text, &length);
    case AS_BIN: return wire_read_bin(r, &blob, &length);
    case AS_TEXT: return wire_read_text(r, &text, &length);
    case AS_ARRAY: return wire_read_array(r, &count);
    case AS_MAP: return wire_read_map(r, &count);
    case TYPED_COUNT: break;
    }
    fail();
    return 0;
}

#define BIT(as) (1u << (as))

static const struct sample {
    const char *bytes;
    size_t length;
    enum wire_type type;
    unsigned reads; /* BIT(as) of every typed read that takes it */
} samples[] = {
    {"\xc0", 1, WIRE_TYPE_NIL, BIT(AS_NIL)},
    {"\xc2", 1, WIRE_TYPE_BOOL, BIT(AS_BOOL)},
    {"\xc3", 1, WIRE_TYPE_BOOL, BIT(AS_BOOL)},
    {"\x00", 1, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\x7f", 1, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\xe0", 1, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_F64)},
    {"\xff", 1, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_F64)},
    {"\xcc\xff", 2, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\xcd\xff\xff", 3, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\xce\xff\xff\xff\xff", 5, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9, WIRE_TYPE_INT, BIT(AS_U64) | BIT(AS_F64)},
    {"\xd0\x80", 2, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_F64)},
    {"\xd0\x05", 2, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_U64) | BIT(AS_F64)},
    {"\xd1\x80\x00", 3, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_F64)},
    {"\xd2\x80\x00\x00\x00", 5, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_F64)},
    {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, WIRE_TYPE_INT, BIT(AS_I64) | BIT(AS_F64)},
    {"\xca\x3f\xc0\x00\x00", 5, WIRE_TYPE_FLOAT, BIT(AS_F64)},
    {"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 9, WIRE_TYPE_FLOAT, BIT(AS_F64)},
    {"\xca\x40\x00\x00\x00", 5, WIRE_TYPE_FLOAT, BIT(AS_F64) | BIT(AS_I64) | BIT(AS_U64)},
    {"\xcb\x40\x00\x00\x00\x00\x00\x00\x00", 9, WIRE_TYPE_FLOAT, BIT(AS_F64) | BIT(AS_I64) | BIT(AS_U64)},
    {"\xcb\xc0\x00\x00\x00\x00\x00\x00\x00", 9, WIRE_TYPE_FLOAT, BIT(AS_F64) | BIT(AS_I64)},
    {"\xa0", 1, WIRE_TYPE_STR, BIT(AS_STR) | BIT(AS_TEXT)},
    {"\xa3xyz", 4, WIRE_TYPE_STR, BIT(AS_STR) | BIT(AS_TEXT)},
    {"\xd9\x03xyz", 5, WIRE_TYPE_STR, BIT(AS_STR) | BIT(AS_TEXT)},
    {"\xda\x00\x03xyz", 6, WIRE_TYPE_STR, BIT(AS_STR) | BIT(AS_TEXT)},
    {"\xdb\x00\x00\x00\x03xyz", 8, WIRE_TYPE_STR, BIT(AS_STR) | BIT(AS_TEXT)},
    {"\xc4\x03xyz", 5, WIRE_TYPE_BIN, BIT(AS_BIN) | BIT(AS_TEXT)},
    {"\xc5\x00\x03xyz", 6, WIRE_TYPE_BIN, BIT(AS_BIN) | BIT(AS_TEXT)},
    {"\xc6\x00\x00\x00\x03xyz", 8, WIRE_TYPE_BIN, BIT(AS_BIN) | BIT(AS_TEXT)},
    {"\xc7\x02\x07xy", 5, WIRE_TYPE_EXT, 0},
    {"\xc8\x00\x02\x07xy", 6, WIRE_TYPE_EXT, 0},
    {"\xc9\x00\x00\x00\x02\x07xy", 8, WIRE_TYPE_EXT, 0},
    {"\xd4\x07x", 3, WIRE_TYPE_EXT, 0},
    {"\xd5\x07xy", 4, WIRE_TYPE_EXT, 0},
    {"\xd6\x07xyzw", 6, WIRE_TYPE_EXT, 0},
    {"\xd7\x07xyzwxyzw", 10, WIRE_TYPE_EXT, 0},
    {"\xd8\x07xyzwxyzwxyzwxyzw", 18, WIRE_TYPE_EXT, 0},
    {"\x90", 1, WIRE_TYPE_ARRAY, BIT(AS_ARRAY) | BIT(AS_MAP)},
    {"\xdc\x00\x00", 3, WIRE_TYPE_ARRAY, BIT(AS_ARRAY) | BIT(AS_MAP)},
    {"\xdd\x00\x00\x00\x00", 5, WIRE_TYPE_ARRAY, BIT(AS_ARRAY) | BIT(AS_MAP)},
    {"\x92\x01\x02", 3, WIRE_TYPE_ARRAY, BIT(AS_ARRAY)},
    {"\xdc\x00\x02\x01\x02", 5, WIRE_TYPE_ARRAY, BIT(AS_ARRAY)},
    {"\xdd\x00\x00\x00\x02\x01\x02", 7, WIRE_TYPE_ARRAY, BIT(AS_ARRAY)},
    {"\x80", 1, WIRE_TYPE_MAP, BIT(AS_MAP)},
    {"\x81\x01\x02", 3, WIRE_TYPE_MAP, BIT(AS_MAP)},
    {"\xde\x00\x01\x01\x02", 5, WIRE_TYPE_MAP, BIT(AS_MAP)},
    {"\xdf\x00\x00\x00\x01\x01\x02", 7, WIRE_TYPE_MAP, BIT(AS_MAP)},
};

static void each_type_is_read_by_its_own_functions_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(samples); i++)
        for (unsigned as = 0; as < TYPED_COUNT; as++) {
            const struct sample *s = &samples[i];
            uint8_t *copy = exact_copy(s->bytes, s->length);
            struct wire_reader r = wire_reader(copy, s->length);
            assert_int_equal(wire_peek(&r), s->type);
            int error = read_as((enum typed)as, &r);
            if (s->reads & BIT(as)) {
                assert_int_equal(error, 0);
                /* Containers stop behind their head. */
                assert_true(as == AS_ARRAY || as == AS_MAP ? r.at > copy : r.at == copy + s->length);
            } else {
                assert_int_equal(error, -EBADMSG);
                assert_ptr_equal(r.at, copy);
            }
            free(copy);
        }
}

static void a_value_cut_at_any_byte_ends_too_early_and_nothing_moves(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(samples); i++)
        for (size_t cut = 0; cut < samples[i].length; cut++) {
            uint8_t *copy = exact_copy(samples[i].bytes, cut);
            struct wire_reader r = wire_reader(copy, cut);
            for (unsigned as = 0; as < TYPED_COUNT; as++)
                if (cut == 0 || samples[i].reads & BIT(as)) {
                    assert_int_equal(read_as((enum typed)as, &r), -ENODATA);
                    assert_ptr_equal(r.at, copy);
                }
            const uint8_t *raw;
            size_t length;
            assert_int_equal(wire_skip(&r), -ENODATA);
            assert_int_equal(wire_read_raw(&r, &raw, &length), -ENODATA);
            assert_ptr_equal(r.at, copy);
            free(copy);
        }
}

static void raw_gives_the_whole_value_of_any_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(samples); i++) {
        uint8_t *copy = malloc(samples[i].length + 1);
        assert_non_null(copy);
        memcpy(copy, samples[i].bytes, samples[i].length);
        copy[samples[i].length] = 0xc1;
        struct wire_reader r = wire_reader(copy, samples[i].length + 1);
        const uint8_t *raw;
        size_t length;
        assert_int_equal(wire_read_raw(&r, &raw, &length), 0);
        assert_ptr_equal(raw, copy);
        assert_int_equal(length, samples[i].length);
        assert_int_equal(wire_read_raw(&r, &raw, &length), -EBADMSG);
        assert_int_equal(wire_skip(&r), -EBADMSG);
        assert_ptr_equal(r.at, copy + samples[i].length);
        free(copy);
    }
}

static void an_empty_reader_may_stand_on_null(void **state)
{
    (void)state;
    struct wire_reader r = wire_reader(NULL, 0);
    assert_int_equal(wire_peek(&r), WIRE_TYPE_END);
    assert_int_equal(wire_skip(&r), -ENODATA);
    for (unsigned as = 0; as < TYPED_COUNT; as++)
        assert_int_equal(read_as((enum typed)as, &r), -ENODATA);
}

static void the_never_used_byte_is_no_value(void **state)
{
    (void)state;
    struct wire_reader r = wire_reader("\xc1", 1);
    assert_int_equal(wire_peek(&r), WIRE_TYPE_END);
    assert_int_equal(wire_skip(&r), -EBADMSG);
    for (unsigned as = 0; as < TYPED_COUNT; as++)
        assert_int_equal(read_as((enum typed)as, &r), -EBADMSG);
}

static void integers_survive_packing_at_every_border(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++)
        for (int off = -2; off <= 2; off++) {
            uint64_t value = (UINT64_C(1) << shift) + (uint64_t)(int64_t)off;
            struct wire_buf b = {0};
            msgpack_packer pk = wire_packer(&b);
            msgpack_pack_uint64(&pk, value);
            msgpack_pack_int64(&pk, (int64_t)value);
            msgpack_pack_fix_uint64(&pk, value);
            msgpack_pack_fix_int64(&pk, (int64_t)value);

            struct wire_reader r = wire_reader(wire_buf_at(&b), wire_buf_length(&b));
            for (int form = 0; form < 4; form++) {
                bool is_signed = form % 2;
                uint64_t u64 = 0;
                int64_t i64 = 0;
                double f64 = 0;
                struct wire_reader a = r, c = r;
                if (is_signed && (int64_t)value < 0)
                    assert_int_equal(wire_read_u64(&a, &u64), -EBADMSG);
                else {
                    assert_int_equal(wire_read_u64(&a, &u64), 0);
                    assert_true(u64 == value);
                }
                if (!is_signed && value > INT64_MAX)
                    assert_int_equal(wire_read_i64(&c, &i64), -EBADMSG);
                else {
                    assert_int_equal(wire_read_i64(&c, &i64), 0);
                    assert_true(i64 == (int64_t)value);
                }
                assert_int_equal(wire_read_f64(&r, &f64), 0);
                assert_true(f64 == (is_signed ? (double)(int64_t)value : (double)value));
            }
            assert_ptr_equal(r.at, r.end);
            wire_buf_reset(&b);
        }
}

static void floats_of_both_widths_keep_their_value(void **state)
{
    (void)state;
    static const double values[] = {0.0, -0.0, 1.5, -3.25, 1e300, 5e-324, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        msgpack_pack_double(&pk, values[i]);
        msgpack_pack_float(&pk, (float)values[i]);
        struct wire_reader r = wire_reader(wire_buf_at(&b), wire_buf_length(&b));
        double wide, narrow;
        assert_int_equal(wire_read_f64(&r, &wide), 0);
        assert_int_equal(wire_read_f64(&r, &narrow), 0);
        assert_memory_equal(&wide, &values[i], sizeof(wide));
        assert_true(narrow == (double)(float)values[i]);
        wire_buf_reset(&b);
    }
    struct wire_reader r = wire_reader("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9);
    double nan;
    assert_int_equal(wire_read_f64(&r, &nan), 0);
    assert_true(isnan(nan));
}

static void a_whole_float_below_2_to_53_is_that_integer_and_no_other_float_is_one(void **state)
{
    (void)state;
    static const double integers[] = {
        0.0, -0.0, 1, -1, 255, 4294967296.0, -4294967296.0, 28000000123.0, 0x1p53 - 1, -(0x1p53 - 1)};
    static const double others[] = {
        0.5, -0.5, 1.5, 4294967296.5, 0x1p53, -0x1p53, 0x1p63, 0x1p64, 1e300, 5e-324, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < COUNT(integers) + COUNT(others); i++) {
        bool is_integer = i < COUNT(integers);
        double value = is_integer ? integers[i] : others[i - COUNT(integers)];
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        msgpack_pack_double(&pk, value);
        struct wire_reader r = wire_reader(wire_buf_at(&b), wire_buf_length(&b)), u = r;
        int64_t i64 = 0;
        uint64_t u64 = 0;
        assert_int_equal(wire_read_i64(&r, &i64), is_integer ? 0 : -EBADMSG);
        assert_int_equal(wire_read_u64(&u, &u64), is_integer && !(value < 0) ? 0 : -EBADMSG);
        if (is_integer)
            assert_true((double)i64 == value && (value < 0 || u64 == (uint64_t)i64));
        wire_buf_reset(&b);
    }
}

static void what_came_is_described_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } rows[] = {
        {"", 0, "nothing"},
        {"\xc0", 1, "nil"},
        {"\x07", 1, "7"},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, "-9223372036854775808"},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "18446744073709551615"},
        {"\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00", 9, "the float -1.5"},
        {"\xcb\xff\xef\xff\xff\xff\xff\xff\xff", 9, "the float -1.797693134862316e+308"},
        {"\xcd\x01", 2, "integer"}, /* cut short */
        {"\xa1x", 2, "string"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char words[WIRE_DESCRIBED_MAX];
        struct wire_reader r = wire_reader(rows[i].bytes, rows[i].length);
        wire_describe(&r, words);
        assert_string_equal(words, rows[i].words);
    }
}

static void booleans_keep_their_value(void **state)
{
    (void)state;
    struct wire_reader r = wire_reader("\xc2\xc3", 2);
    bool first = true, second = false;
    assert_int_equal(wire_read_bool(&r, &first), 0);
    assert_int_equal(wire_read_bool(&r, &second), 0);
    assert_false(first);
    assert_true(second);
}

static void blobs_point_into_the_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *filler = malloc(sizes[i] + 1);
        assert_non_null(filler);
        memset(filler, 'x', sizes[i]);
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        msgpack_pack_str(&pk, sizes[i]);
        msgpack_pack_str_body(&pk, filler, sizes[i]);
        msgpack_pack_bin(&pk, sizes[i]);
        msgpack_pack_bin_body(&pk, filler, sizes[i]);

        struct wire_reader r = wire_reader(wire_buf_at(&b), wire_buf_length(&b)), names = r;
        const char *text;
        const void *blob;
        size_t length;
        assert_int_equal(wire_read_str(&r, &text, &length), 0);
        assert_int_equal(length, sizes[i]);
        assert_memory_equal(text, filler, length);
        assert_int_equal(wire_read_bin(&r, &blob, &length), 0);
        assert_int_equal(length, sizes[i]);
        assert_memory_equal(blob, filler, length);
        assert_ptr_equal(r.at, r.end);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(wire_read_text(&names, &text, &length), 0);
            assert_int_equal(length, sizes[i]);
            assert_memory_equal(text, filler, length);
        }
        free(filler);
        wire_buf_reset(&b);
    }
}

static void a_count_that_the_bytes_cannot_hold_is_not_given(void **state)
{
    (void)state;
    uint32_t count = 77;
    static const struct {
        const char *bytes;
        size_t length;
    } lies[] = {{"\x91", 1}, {"\x93\x01\x02", 3}, {"\xdc\xff\xff", 3}, {"\xdd\xff\xff\xff\xff\x01", 6}, {"\x81\x01", 2},
        {"\x82\x01\x02\x03", 4}, {"\xdf\x10\x00\x00\x00", 5}, {"\xdf\x80\x00\x00\x01\x01\x02", 7}};
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct wire_reader r = wire_reader(lies[i].bytes, lies[i].length), before = r;
        bool map = wire_peek(&r) == WIRE_TYPE_MAP;
        assert_int_equal(map ? wire_read_map(&r, &count) : wire_read_array(&r, &count), -ENODATA);
        assert_ptr_equal(r.at, before.at);
        assert_int_equal(wire_skip(&r), -ENODATA);
    }
    assert_int_equal(count, 77);
}

static void a_million_levels_are_passed_over_in_constant_memory(void **state)
{
    (void)state;
    size_t depth = 1000000;
    uint8_t *bytes = malloc(depth + 1);
    assert_non_null(bytes);
    memset(bytes, 0x91, depth);
    bytes[depth] = 0x05;
    struct wire_reader r = wire_reader(bytes, depth + 1);
    assert_int_equal(wire_skip(&r), 0);
    assert_ptr_equal(r.at, r.end);
    r = wire_reader(bytes, depth);
    assert_int_equal(wire_skip(&r), -ENODATA);
    free(bytes);
}

static void skip_and_scan_agree_on_random_bytes(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), random = seed;
    struct wire_limits deep = {1 << 20, WIRE_DEPTH_CAP};
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[40];
        size_t length = random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)(random_below(&random, 2) ? 0x80 + random_below(&random, 128) : random_next(&random));
        uint8_t *copy = exact_copy(bytes, length);
        struct wire_reader r = wire_reader(copy, length);
        int skipped = wire_skip(&r);
        uint64_t at = 0;
        enum wire_scan_result scanned = wire_scan_value(&deep, copy, length, &at);
        bool agree =
            skipped == 0 ? scanned == WIRE_SCAN_WHOLE && r.at == copy + at : scanned != WIRE_SCAN_WHOLE && r.at == copy;
        if (!agree)
            fail_msg("skip %d, scan %d; seed %llu", skipped, (int)scanned, (unsigned long long)seed);
        free(copy);
    }
}

static void many_are_passed_over_as_one_by_one(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (int round = 0; round < 2000; round++) {
        struct wire_buf b = {0};
        uint32_t count = random_row(&b, &random, 3000);
        size_t length = wire_buf_length(&b) - random_below(&random, 12);
        uint8_t *bytes = exact_copy(wire_buf_at(&b), length);
        if (random_below(&random, 2))
            bytes[random_below(&random, length)] = (uint8_t)random_next(&random);
        struct wire_reader many = wire_reader(bytes, length), single = many, pairs = many, pair = many;
        uint32_t max = (uint32_t)random_below(&random, count + 2), passed = 0;
        while (passed < max && wire_skip(&single) == 0)
            passed++;
        assert_int_equal(wire_skip_many(&many, max), passed);
        assert_ptr_equal(many.at, single.at);

        for (passed = 0; passed < max; passed++) {
            struct wire_reader inner = pair;
            uint32_t two;
            if (wire_read_array(&inner, &two) < 0 || two != 2 || *pair.at != 0x92 || wire_read_nil(&inner) < 0 ||
                wire_peek(&inner) == WIRE_TYPE_END || wire_shape[*inner.at] >= SHAPE_COUNTED || wire_skip(&inner) < 0)
                break;
            pair = inner;
        }
        assert_int_equal(wire_skip_good_pairs(&pairs, max), passed);
        assert_ptr_equal(pairs.at, pair.at);
        free(bytes);
        wire_buf_reset(&b);
    }
}

static void assert_packed_as_by_msgpack(const uint8_t *bytes, const uint8_t *end, const struct wire_buf *expected)
{
    assert_in_range(end - bytes, 1, WIRE_SCALAR_MAX);
    assert_int_equal(end - bytes, wire_buf_length(expected));
    assert_memory_equal(bytes, wire_buf_at(expected), wire_buf_length(expected));
}

static void what_is_packed_by_hand_is_what_msgpack_packs(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[WIRE_SCALAR_MAX];
        /* All powers of two and their neighbours, and numbers of every width. */
        uint64_t n = round < 192 ? (UINT64_C(1) << round / 3) + (uint64_t)(round % 3) - 1
                                 : random_next(&random) >> random_below(&random, 64);
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        msgpack_pack_uint64(&pk, n);
        assert_packed_as_by_msgpack(bytes, wire_put_u64(bytes, n), &b);
        for (int sign = 0; sign < 2; sign++) {
            int64_t i = (int64_t)(sign ? -n : n);
            wire_buf_rewind(&b, 0);
            msgpack_pack_int64(&pk, i);
            assert_packed_as_by_msgpack(bytes, wire_put_i64(bytes, i), &b);
        }
        double d;
        memcpy(&d, &n, sizeof d);
        wire_buf_rewind(&b, 0);
        msgpack_pack_double(&pk, d);
        assert_packed_as_by_msgpack(bytes, wire_put_f64(bytes, d), &b);
        wire_buf_reset(&b);
    }
}

static void every_type_has_a_name(void **state)
{
    (void)state;
    static const char *const names[] = {
        "nothing", "nil", "bool", "integer", "float", "string", "binary", "array", "map", "ext"};
    for (unsigned type = WIRE_TYPE_END; type <= WIRE_TYPE_EXT; type++)
        assert_string_equal(wire_type_name((enum wire_type)type), names[type]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_read_by_its_own_functions_only),
        cmocka_unit_test(a_value_cut_at_any_byte_ends_too_early_and_nothing_moves),
        cmocka_unit_test(raw_gives_the_whole_value_of_any_type),
        cmocka_unit_test(an_empty_reader_may_stand_on_null),
        cmocka_unit_test(the_never_used_byte_is_no_value),
        cmocka_unit_test(integers_survive_packing_at_every_border),
        cmocka_unit_test(floats_of_both_widths_keep_their_value),
        cmocka_unit_test(a_whole_float_below_2_to_53_is_that_integer_and_no_other_float_is_one),
        cmocka_unit_test(what_came_is_described_in_words),
        cmocka_unit_test(booleans_keep_their_value),
        cmocka_unit_test(blobs_point_into_the_bytes),
        cmocka_unit_test(a_count_that_the_bytes_cannot_hold_is_not_given),
        cmocka_unit_test(a_million_levels_are_passed_over_in_constant_memory),
        cmocka_unit_test(skip_and_scan_agree_on_random_bytes),
        cmocka_unit_test(many_are_passed_over_as_one_by_one),
        cmocka_unit_test(what_is_packed_by_hand_is_what_msgpack_packs),
        cmocka_unit_test(every_type_has_a_name),
    };
    return cmocka_run_group_tests_name("proto/reader", tests, NULL, NULL);
}
