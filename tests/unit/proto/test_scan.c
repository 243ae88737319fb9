/* Does the bounding scan say the truth about every run of bytes, and the same truth however the bytes arrive? */
#include "tests/unit/proto/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/scan.h"

static const struct wire_limits defaults = {WIRE_MAX_BYTES_DEFAULT, WIRE_MAX_DEPTH_DEFAULT};

/* Scans a copy of exactly `length` bytes. */
static enum wire_scan_result verdict(
    const struct wire_limits *limits, const void *bytes, size_t length, uint64_t *ret_at)
{
    uint8_t *copy = exact_copy(bytes, length);
    uint64_t at = UINT64_MAX;
    enum wire_scan_result result = wire_scan_value(limits, copy, length, &at);
    if (result != WIRE_SCAN_WHOLE)
        assert_true(at == UINT64_MAX);
    free(copy);
    if (ret_at)
        *ret_at = at;
    return result;
}

/* Every prefix is MORE, the whole is WHOLE, and surplus bytes behind it change nothing. */
static void assert_whole_at_its_end_only(const uint8_t *bytes, size_t length)
{
    uint64_t at;
    size_t step = length > 4096 ? length / 512 : 1;
    for (size_t cut = 0; cut < length; cut += cut < 64 ? 1 : step)
        assert_int_equal(verdict(&defaults, bytes, cut, NULL), WIRE_SCAN_MORE);
    assert_int_equal(verdict(&defaults, bytes, length - 1, NULL), WIRE_SCAN_MORE);
    assert_int_equal(verdict(&defaults, bytes, length, &at), WIRE_SCAN_WHOLE);
    assert_int_equal(at, length);

    uint8_t *surplus = malloc(length + 3);
    assert_non_null(surplus);
    memcpy(surplus, bytes, length);
    memset(surplus + length, 0xc1, 3);
    assert_int_equal(verdict(&defaults, surplus, length + 3, &at), WIRE_SCAN_WHOLE);
    assert_int_equal(at, length);
    free(surplus);
}

static void nothing_is_not_whole(void **state)
{
    (void)state;
    assert_int_equal(verdict(&defaults, "", 0, NULL), WIRE_SCAN_MORE);
}

static void every_head_byte_has_the_length_of_the_specification(void **state)
{
    (void)state;
    for (unsigned head = 0; head < 256; head++) {
        uint8_t bytes[64] = {(uint8_t)head};
        size_t length;
        if (head <= 0x7f || head >= 0xe0) /* fixint */
            length = 1;
        else if (head <= 0x8f) /* fixmap, of zeroes */
            length = 1 + 2 * (head & 0x0f);
        else if (head <= 0x9f) /* fixarray, of zeroes */
            length = 1 + (head & 0x0f);
        else if (head <= 0xbf) /* fixstr */
            length = 1 + (head & 0x1f);
        else {
            /* With counts of zero: bin, str, array and map are their head; ext has its type byte too. */
            static const size_t lengths[] = {
                1, 0, 1, 1,             /* nil, never used, false, true */
                2, 3, 5,                /* bin */
                3, 4, 6,                /* ext */
                5, 9,                   /* float */
                2, 3, 5, 9, 2, 3, 5, 9, /* uint, int */
                3, 4, 6, 10, 18,        /* fixext */
                2, 3, 5, 3, 5, 3, 5,    /* str, array, map */
            };
            length = lengths[head - 0xc0];
        }
        if (length)
            assert_whole_at_its_end_only(bytes, length);
        else
            assert_int_equal(verdict(&defaults, bytes, 1, NULL), WIRE_SCAN_BAD_BYTE);
    }
}

static void the_never_used_byte_is_refused_at_any_place(void **state)
{
    (void)state;
    assert_int_equal(verdict(&defaults, "\x93\x01\xc1", 3, NULL), WIRE_SCAN_BAD_BYTE);
    assert_int_equal(verdict(&defaults, "\x82\x01\x91\xc1", 4, NULL), WIRE_SCAN_BAD_BYTE);
    uint64_t at;
    assert_int_equal(verdict(&defaults, "\xa1\xc1", 2, &at), WIRE_SCAN_WHOLE);
}

static void blobs_of_every_header_size_are_passed_over(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 4, 8, 16, 31, 32, 255, 256, 65535, 65536, 100000};
    char *filler = malloc(100000);
    assert_non_null(filler);
    memset(filler, 0xc1, 100000); /* would be refused if it were looked at */
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        for (int kind = 0; kind < 3; kind++) {
            wire_buf_rewind(&b, 0);
            if (kind == 0) {
                msgpack_pack_str(&pk, sizes[i]);
                msgpack_pack_str_body(&pk, filler, sizes[i]);
            } else if (kind == 1) {
                msgpack_pack_bin(&pk, sizes[i]);
                msgpack_pack_bin_body(&pk, filler, sizes[i]);
            } else {
                msgpack_pack_ext(&pk, sizes[i], -1);
                msgpack_pack_ext_body(&pk, filler, sizes[i]);
            }
            assert_false(b.failed);
            assert_whole_at_its_end_only(wire_buf_at(&b), wire_buf_length(&b));
        }
        wire_buf_reset(&b);
    }
    free(filler);
}

static void containers_of_every_header_size_are_passed_over(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 15, 16, 65535, 65536};
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        for (unsigned width = 1; width <= 2; width++) {
            wire_buf_rewind(&b, 0);
            if (width == 1)
                msgpack_pack_array(&pk, counts[i]);
            else
                msgpack_pack_map(&pk, counts[i]);
            for (size_t j = 0; j < counts[i] * width; j++)
                msgpack_pack_nil(&pk);
            assert_whole_at_its_end_only(wire_buf_at(&b), wire_buf_length(&b));
        }
        wire_buf_reset(&b);
    }
}

/* `depth` containers, one in the other; the innermost is empty, or holds a nil. */
static size_t nest(uint8_t *bytes, unsigned depth, uint8_t kind, bool empty)
{
    size_t length = 0;
    for (unsigned i = 0; i < depth; i++) {
        bool last = i + 1 == depth;
        if (kind == 0x80) {
            bytes[length++] = last && empty ? 0x80 : 0x81;
            if (!last || !empty)
                bytes[length++] = 0xc0;
        } else {
            bytes[length++] = last && empty ? 0x90 : 0x91;
        }
    }
    if (depth == 0 || !empty)
        bytes[length++] = 0xc0;
    return length;
}

static void depth_at_the_limit_passes_and_one_over_does_not(void **state)
{
    (void)state;
    static const uint32_t limits[] = {0, 1, 2, 31, 32, 127, WIRE_DEPTH_CAP, WIRE_DEPTH_ROOM};
    uint8_t bytes[4 * WIRE_DEPTH_ROOM];
    for (size_t i = 0; i < COUNT(limits); i++)
        for (int kind = 0x80; kind <= 0x90; kind += 0x10)
            for (int empty = 0; empty <= 1; empty++) {
                struct wire_limits of = {WIRE_MAX_BYTES_DEFAULT, limits[i]};
                size_t length = nest(bytes, limits[i], (uint8_t)kind, empty);
                uint64_t at;
                assert_int_equal(verdict(&of, bytes, length, &at), WIRE_SCAN_WHOLE);
                assert_int_equal(at, length);
                length = nest(bytes, limits[i] + 1, (uint8_t)kind, empty);
                assert_int_equal(verdict(&of, bytes, length, NULL), WIRE_SCAN_TOO_DEEP);
            }
}

static void depth_is_given_back_when_a_container_ends(void **state)
{
    (void)state;
    struct wire_limits two = {1000, 2};
    uint64_t at;
    assert_int_equal(verdict(&two, "\x93\x91\x01\x80\x91\x02", 6, &at), WIRE_SCAN_WHOLE);
    assert_int_equal(at, 6);
}

static void an_element_bomb_is_refused_after_its_head(void **state)
{
    (void)state;
    assert_int_equal(verdict(&defaults, "\xdf\x10\x00\x00\x00", 5, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&defaults, "\xdd\xff\xff\xff\xff", 5, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&defaults, "\xdf\xff\xff\xff\xff", 5, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&defaults, "\xdb\xff\xff\xff\xff", 5, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&defaults, "\xc6\xff\xff\xff\xff", 5, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&defaults, "\xc9\xff\xff\xff\xff", 5, NULL), WIRE_SCAN_TOO_BIG);
}

static void elements_are_summed_over_all_levels(void **state)
{
    (void)state;
    /* Each level alone declares 20 million elements, which fit in 64 MiB; four of them do not. */
    uint8_t bomb[31 * 5];
    for (size_t i = 0; i < sizeof(bomb); i += 5)
        memcpy(bomb + i, "\xdd\x01\x31\x2d\x00", 5);
    assert_int_equal(verdict(&defaults, bomb, 15, NULL), WIRE_SCAN_MORE);
    assert_int_equal(verdict(&defaults, bomb, 20, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&defaults, bomb, sizeof(bomb), NULL), WIRE_SCAN_TOO_BIG);
}

static void a_value_of_exactly_max_bytes_passes_and_one_more_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } values[] = {{"\x01", 1}, {"\xcd\x01\x02", 3}, {"\xa3xyz", 4}, {"\xc4\x03xyz", 5}, {"\xd4\x01x", 3},
        {"\x93\x01\x02\x03", 4}, {"\xdc\x00\x02\xcc\x01\xcc\x02", 7}, {"\x82\x01\xa1x\x02\x90", 6},
        {"\x92\xa5hello\x91\xc7\x02\x01xy", 13}};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct wire_limits of = {values[i].length, 32};
        uint64_t at;
        assert_int_equal(verdict(&of, values[i].bytes, values[i].length, &at), WIRE_SCAN_WHOLE);
        for (of.max_bytes = 0; of.max_bytes < values[i].length; of.max_bytes++)
            assert_int_equal(verdict(&of, values[i].bytes, values[i].length, NULL), WIRE_SCAN_TOO_BIG);
    }
}

static void too_big_is_said_before_the_bytes_have_come(void **state)
{
    (void)state;
    struct wire_limits ten = {10, 32};
    assert_int_equal(verdict(&ten, "\xc4\x09", 2, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&ten, "\xc4\x08", 2, NULL), WIRE_SCAN_MORE);
    assert_int_equal(verdict(&ten, "\x9a", 1, NULL), WIRE_SCAN_TOO_BIG);
    assert_int_equal(verdict(&ten, "\x99\xcc", 2, NULL), WIRE_SCAN_TOO_BIG);
}

static void a_whole_value_stays_whole_when_more_bytes_come(void **state)
{
    (void)state;
    struct wire_scan scan;
    wire_scan_init(&scan);
    const uint8_t *bytes = (const uint8_t *)"\x92\x01\xa1x\xc1\xc1";
    assert_int_equal(wire_scan_feed(&scan, &defaults, bytes, 4), WIRE_SCAN_WHOLE);
    assert_int_equal(wire_scan_feed(&scan, &defaults, bytes, 6), WIRE_SCAN_WHOLE);
    assert_int_equal(scan.at, 4);
}

/* Feeds the bytes in pieces, each time from another address, as a growing buffer does. */
static enum wire_scan_result fed_in_pieces(
    const struct wire_limits *limits, const uint8_t *bytes, size_t length, uint64_t *random, uint64_t *ret_at)
{
    struct wire_scan scan;
    memset(&scan, 0xa5, sizeof(scan));
    wire_scan_init(&scan);
    enum wire_scan_result result = WIRE_SCAN_MORE;
    size_t large = length > 2000 ? length / 50 : 1;
    for (size_t have = 0; result == WIRE_SCAN_MORE && have <= length;) {
        uint8_t *copy = exact_copy(bytes, have);
        result = wire_scan_feed(&scan, limits, copy, have);
        free(copy);
        if (have == length)
            break;
        have += random ? 1 + random_below(random, 2 * large) : large;
        if (have > length)
            have = length;
    }
    *ret_at = scan.at;
    return result;
}

static void assert_same_in_pieces(
    const struct wire_limits *limits, const uint8_t *bytes, size_t length, uint64_t *random, uint64_t seed)
{
    struct wire_scan once;
    wire_scan_init(&once);
    enum wire_scan_result expected = wire_scan_feed(&once, limits, bytes, length);
    uint64_t at;
    enum wire_scan_result got = fed_in_pieces(limits, bytes, length, NULL, &at);
    if (got == expected)
        got = fed_in_pieces(limits, bytes, length, random, &at);
    if (got != expected)
        fail_msg("at once %d, in pieces %d; seed %llu", (int)expected, (int)got, (unsigned long long)seed);
    if (expected >= 0)
        assert_int_equal(at, once.at);
}

static void random_values_are_judged_the_same_in_pieces_and_at_once(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), random = seed;
    for (int round = 0; round < 1500; round++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        random_value(&pk, &random, 4);
        const uint8_t *bytes = wire_buf_at(&b);
        size_t length = wire_buf_length(&b);
        uint64_t at;
        assert_int_equal(verdict(&defaults, bytes, length, &at), WIRE_SCAN_WHOLE);
        assert_int_equal(at, length);
        assert_same_in_pieces(&defaults, bytes, length, &random, seed);

        struct wire_limits tight = {random_below(&random, length + 2), (uint32_t)random_below(&random, 5)};
        assert_same_in_pieces(&tight, bytes, length, &random, seed);
        if (tight.max_bytes < length)
            assert_true(verdict(&tight, bytes, length, NULL) < 0);
        wire_buf_reset(&b);
    }
}

static void random_bytes_are_judged_the_same_in_pieces_and_at_once(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), random = seed;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[48];
        size_t length = random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) /* heads rather than fixints, for deeper walks */
            bytes[i] = (uint8_t)(random_below(&random, 2) ? 0x80 + random_below(&random, 128) : random_next(&random));
        struct wire_limits of = {random_below(&random, 70), (uint32_t)random_below(&random, 6)};
        assert_same_in_pieces(&of, bytes, length, &random, seed);
        assert_same_in_pieces(&defaults, bytes, length, &random, seed);
    }
}

/* Long rows are what the scan has a short way for: it must see there what it sees value by value. */
static void rows_are_judged_the_same_in_pieces_and_at_once(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), random = seed;
    for (int round = 0; round < 2000; round++) {
        struct wire_buf b = {0};
        uint32_t count = random_row(&b, &random, 1500 + random_below(&random, 6000));
        uint8_t *bytes = exact_copy(wire_buf_at(&b), wire_buf_length(&b));
        size_t length = wire_buf_length(&b);
        assert_true(wire_scan_row(WIRE_MAX_DEPTH_DEFAULT, bytes, length, count));
        assert_false(wire_scan_row(WIRE_MAX_DEPTH_DEFAULT, bytes, length, count + 1));
        assert_false(wire_scan_row(WIRE_MAX_DEPTH_DEFAULT, bytes, length, count - 1));
        assert_false(wire_scan_row(WIRE_MAX_DEPTH_DEFAULT, bytes, length - 1, count));
        free(bytes);

        struct wire_buf list = {0};
        msgpack_packer pk = wire_packer(&list);
        msgpack_pack_array(&pk, count);
        wire_buf_append(&list, wire_buf_at(&b), length);
        length = wire_buf_length(&list);
        assert_same_in_pieces(&defaults, wire_buf_at(&list), length, &random, seed);
        struct wire_limits tight = {length - 2 + random_below(&random, 4), (uint32_t)random_below(&random, 4)};
        assert_same_in_pieces(&tight, wire_buf_at(&list), length, &random, seed);
        list.data[list.start + random_below(&random, length)] = (uint8_t)random_next(&random);
        assert_same_in_pieces(&defaults, wire_buf_at(&list), length, &random, seed);
        assert_same_in_pieces(&tight, wire_buf_at(&list), length, &random, seed);
        wire_buf_reset(&list);
        wire_buf_reset(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_not_whole),
        cmocka_unit_test(every_head_byte_has_the_length_of_the_specification),
        cmocka_unit_test(the_never_used_byte_is_refused_at_any_place),
        cmocka_unit_test(blobs_of_every_header_size_are_passed_over),
        cmocka_unit_test(containers_of_every_header_size_are_passed_over),
        cmocka_unit_test(depth_at_the_limit_passes_and_one_over_does_not),
        cmocka_unit_test(depth_is_given_back_when_a_container_ends),
        cmocka_unit_test(an_element_bomb_is_refused_after_its_head),
        cmocka_unit_test(elements_are_summed_over_all_levels),
        cmocka_unit_test(a_value_of_exactly_max_bytes_passes_and_one_more_does_not),
        cmocka_unit_test(too_big_is_said_before_the_bytes_have_come),
        cmocka_unit_test(a_whole_value_stays_whole_when_more_bytes_come),
        cmocka_unit_test(random_values_are_judged_the_same_in_pieces_and_at_once),
        cmocka_unit_test(random_bytes_are_judged_the_same_in_pieces_and_at_once),
        cmocka_unit_test(rows_are_judged_the_same_in_pieces_and_at_once),
    };
    return cmocka_run_group_tests_name("proto/scan", tests, NULL, NULL);
}
