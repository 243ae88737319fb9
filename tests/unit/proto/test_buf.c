/* Does the buffer keep every byte in order, stay within its cap, and say when it dropped something? */
#include "tests/unit/proto/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buf.h"
#include "proto/reader.h"

/* The linker sends the library's realloc here (--wrap), so that a test can let memory run out. */
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
static bool out_of_memory;
static unsigned reallocs;

void *__wrap_realloc(void *old, size_t size)
{
    reallocs++;
    if (out_of_memory) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_realloc(old, size);
}

static void a_zeroed_buffer_is_empty_and_usable(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    assert_int_equal(wire_buf_length(&b), 0);
    assert_null(wire_buf_at(&b));
    wire_buf_consume(&b, 0);
    wire_buf_rewind(&b, 0);
    wire_buf_trim(&b, 0);
    wire_buf_reset(&b);
    assert_int_equal(wire_buf_append(&b, "abc", 3), 0);
    assert_memory_equal(wire_buf_at(&b), "abc", 3);
    wire_buf_reset(&b);
}

static void an_empty_append_succeeds_everywhere(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 3};
    assert_int_equal(wire_buf_append(&b, NULL, 0), 0);
    assert_int_equal(wire_buf_append(&b, "abc", 3), 0);
    assert_int_equal(wire_buf_append(&b, NULL, 0), 0);
    assert_non_null(wire_buf_reserve(&b, 0));
    assert_false(b.failed);
    wire_buf_reset(&b);
}

static void bytes_come_out_as_they_went_in_whatever_the_sizes(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (int round = 0; round < 40; round++) {
        struct wire_buf b = {.cap = round % 2 ? 20000 : 0};
        uint8_t in = 0, out = 0, piece[3000];
        for (int step = 0; step < 2000; step++) {
            size_t length = random_below(&random, random_below(&random, 20) ? 50 : sizeof(piece));
            if (!b.cap || length + wire_buf_length(&b) <= b.cap) {
                for (size_t i = 0; i < length; i++)
                    piece[i] = in++;
                assert_int_equal(wire_buf_append(&b, piece, length), 0);
            }
            size_t eat = random_below(&random, wire_buf_length(&b) + 1);
            if (random_below(&random, 4) == 0)
                eat = 0;
            for (size_t i = 0; i < eat; i++)
                assert_int_equal(wire_buf_at(&b)[i], out++);
            wire_buf_consume(&b, eat);
            if (random_below(&random, 50) == 0)
                wire_buf_trim(&b, random_below(&random, 4000));
        }
        while (wire_buf_length(&b)) {
            assert_int_equal(*wire_buf_at(&b), out++);
            wire_buf_consume(&b, 1);
        }
        assert_int_equal(in, out);
        assert_false(b.failed);
        wire_buf_reset(&b);
    }
}

static void growth_doubles(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    reallocs = 0;
    for (int i = 0; i < 1 << 20; i++)
        assert_int_equal(wire_buf_append(&b, "x", 1), 0);
    assert_true(reallocs <= 16);
    assert_true(b.size <= 2u << 20);
    wire_buf_reset(&b);
}

static void the_cap_is_reached_exactly_and_not_passed(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 1000};
    char filler[1001] = {0};
    assert_int_equal(wire_buf_append(&b, filler, 999), 0);
    assert_int_equal(wire_buf_append(&b, filler, 1), 0);
    assert_int_equal(wire_buf_append(&b, "y", 1), -ENOBUFS);
    assert_true(b.failed);
    assert_int_equal(wire_buf_length(&b), 1000);
    wire_buf_reset(&b);
    assert_int_equal(b.cap, 1000);
    assert_int_equal(wire_buf_append(&b, filler, 1001), -ENOBUFS);
    assert_int_equal(wire_buf_length(&b), 0);
    wire_buf_reset(&b);
}

static void the_cap_bounds_content_not_what_has_passed_through(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 1000};
    char filler[400] = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(wire_buf_append(&b, filler, 400), 0);
        if (i % 2)
            wire_buf_consume(&b, 800);
        assert_true(b.size <= 1500);
    }
    wire_buf_reset(&b);
}

static void a_dropped_append_drops_all_after_it_until_the_rewind(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 10};
    assert_int_equal(wire_buf_append(&b, "head", 4), 0);
    size_t mark = wire_buf_length(&b);
    assert_int_equal(wire_buf_append(&b, "body", 4), 0);
    assert_int_equal(wire_buf_append(&b, "too long", 8), -ENOBUFS);
    assert_int_equal(wire_buf_append(&b, "x", 1), -ENOBUFS);
    assert_null(wire_buf_reserve(&b, 0));
    assert_int_equal(wire_buf_length(&b), 8);
    wire_buf_rewind(&b, mark);
    assert_false(b.failed);
    assert_int_equal(wire_buf_append(&b, "foot", 4), 0);
    assert_memory_equal(wire_buf_at(&b), "headfoot", 8);
    wire_buf_reset(&b);
}

static void what_was_cut_short_stays_so_when_the_next_message_is_withdrawn(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 10};
    assert_int_equal(wire_buf_append(&b, "half a ", 7), 0);
    assert_int_equal(wire_buf_append(&b, "message", 7), -ENOBUFS);
    size_t mark = wire_buf_mark(&b);
    assert_int_equal(wire_buf_append(&b, "n", 1), -ENOBUFS);
    wire_buf_rewind(&b, mark);
    assert_true(b.failed);
    assert_int_equal(wire_buf_append(&b, "n", 1), -ENOBUFS);
    assert_int_equal(wire_buf_length(&b), 7);
    wire_buf_rewind(&b, 0);
    assert_int_equal(wire_buf_mark(&b), 0);
    wire_buf_reset(&b);
}

static void a_length_that_would_overflow_is_refused(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    assert_int_equal(wire_buf_append(&b, "abc", 3), 0);
    assert_null(wire_buf_reserve(&b, SIZE_MAX));
    wire_buf_rewind(&b, 3);
    assert_null(wire_buf_reserve(&b, SIZE_MAX - 3));
    wire_buf_rewind(&b, 3);
    b.cap = SIZE_MAX;
    assert_null(wire_buf_reserve(&b, SIZE_MAX - 3));
    assert_memory_equal(wire_buf_at(&b), "abc", 3);
    wire_buf_reset(&b);
}

static void want_of_memory_fails_and_changes_nothing(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    out_of_memory = true;
    assert_int_equal(wire_buf_append(&b, "abc", 3), -ENOBUFS);
    out_of_memory = false;
    assert_true(b.failed);
    wire_buf_rewind(&b, 0);

    char filler[200] = {0};
    assert_int_equal(wire_buf_append(&b, "abc", 3), 0);
    assert_int_equal(wire_buf_append(&b, filler, 200), 0);
    out_of_memory = true;
    assert_int_equal(wire_buf_append(&b, filler, 200), -ENOBUFS);
    wire_buf_trim(&b, 203);
    out_of_memory = false;
    assert_int_equal(wire_buf_length(&b), 203);
    assert_memory_equal(wire_buf_at(&b), "abc", 3);
    wire_buf_reset(&b);
}

static void room_made_by_moving_serves_when_memory_is_short(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    char filler[200] = {0};
    assert_int_equal(wire_buf_append(&b, filler, 200), 0);
    size_t rest = b.size - 200;
    assert_int_equal(wire_buf_append(&b, filler, rest), 0);
    wire_buf_consume(&b, 10);
    out_of_memory = true;
    assert_int_equal(wire_buf_append(&b, filler, 10), 0);
    assert_int_equal(wire_buf_append(&b, filler, 1), -ENOBUFS);
    out_of_memory = false;
    wire_buf_reset(&b);
}

static void trim_gives_memory_back_and_keeps_the_content(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    assert_non_null(wire_buf_reserve(&b, 1 << 20));
    memset(b.data, 'x', 1 << 20);
    wire_buf_commit(&b, 1 << 20);
    wire_buf_trim(&b, 4096);
    assert_true(b.size >= 1 << 20); /* the content does not fit */
    wire_buf_consume(&b, (1 << 20) - 5);
    wire_buf_trim(&b, 4096);
    assert_int_equal(b.size, 4096);
    assert_int_equal(wire_buf_length(&b), 5);
    assert_memory_equal(wire_buf_at(&b), "xxxxx", 5);
    wire_buf_trim(&b, 8192);
    assert_int_equal(b.size, 4096);
    wire_buf_trim(&b, 0);
    assert_int_equal(wire_buf_length(&b), 5);
    wire_buf_consume(&b, 5);
    wire_buf_trim(&b, 0);
    assert_int_equal(b.size, 0);
    assert_null(b.data);
    assert_int_equal(wire_buf_append(&b, "z", 1), 0);
    wire_buf_reset(&b);
}

static void a_nearly_full_capped_buffer_is_seldom_moved(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 1 << 20};
    assert_non_null(wire_buf_reserve(&b, b.cap));
    memset(b.data, 'x', b.cap);
    wire_buf_commit(&b, b.cap);
    unsigned moves = 0;
    for (int i = 0; i < 100000; i++) {
        wire_buf_consume(&b, 10);
        size_t start = b.start;
        assert_int_equal(wire_buf_append(&b, "0123456789", 10), 0);
        moves += b.start < start;
    }
    assert_true(moves <= 3);
    wire_buf_reset(&b);
}

static void the_packer_packs_into_the_buffer(void **state)
{
    (void)state;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, 7);
    wire_pack_key_text(&pk, "t", "text");
    wire_pack_key_text(&pk, "n", NULL);
    wire_pack_key_u64(&pk, "u", UINT64_MAX);
    wire_pack_key_i64(&pk, "i", INT64_MIN);
    wire_pack_key_f64(&pk, "f", 0.5);
    wire_pack_key_bool(&pk, "y", true);
    wire_pack_key_bool(&pk, "z", false);
    static const char expected[] = "\x87\xa1t\xa4text\xa1n\xc0\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1i\xd3"
                                   "\x80\x00\x00\x00\x00\x00\x00\x00\xa1"
                                   "f\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\xa1y\xc3\xa1z\xc2";
    assert_int_equal(wire_buf_length(&b), sizeof(expected) - 1);
    assert_memory_equal(wire_buf_at(&b), expected, sizeof(expected) - 1);
    wire_buf_reset(&b);
}

static void a_row_of_packs_that_hits_the_cap_shows_it_at_the_end(void **state)
{
    (void)state;
    struct wire_buf b = {.cap = 12};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, 3);
    wire_pack_text(&pk, "fits");
    wire_pack_text(&pk, "does not fit");
    wire_pack_text(&pk, "x");
    assert_true(b.failed);
    assert_true(wire_buf_length(&b) <= 12);
    wire_buf_reset(&b);
}

static void a_str_is_valid_utf8_whatever_was_packed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *packed;
    } rows[] = {{"", "\xa0"},
        {"caf\xc3\xa9", "\xa5"
                        "caf\xc3\xa9"},
        {"caf\xe9", "\xa4"
                    "caf?"},
        {"\xff\xc3\xa9\xe2\x82", "\xa5?\xc3\xa9??"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        wire_pack_text(&pk, rows[i].text);
        assert_int_equal(wire_buf_length(&b), strlen(rows[i].packed));
        assert_memory_equal(wire_buf_at(&b), rows[i].packed, strlen(rows[i].packed));
        wire_buf_reset(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_str_is_valid_utf8_whatever_was_packed),
        cmocka_unit_test(a_zeroed_buffer_is_empty_and_usable),
        cmocka_unit_test(an_empty_append_succeeds_everywhere),
        cmocka_unit_test(bytes_come_out_as_they_went_in_whatever_the_sizes),
        cmocka_unit_test(growth_doubles),
        cmocka_unit_test(the_cap_is_reached_exactly_and_not_passed),
        cmocka_unit_test(the_cap_bounds_content_not_what_has_passed_through),
        cmocka_unit_test(a_dropped_append_drops_all_after_it_until_the_rewind),
        cmocka_unit_test(what_was_cut_short_stays_so_when_the_next_message_is_withdrawn),
        cmocka_unit_test(a_length_that_would_overflow_is_refused),
        cmocka_unit_test(want_of_memory_fails_and_changes_nothing),
        cmocka_unit_test(room_made_by_moving_serves_when_memory_is_short),
        cmocka_unit_test(trim_gives_memory_back_and_keeps_the_content),
        cmocka_unit_test(a_nearly_full_capped_buffer_is_seldom_moved),
        cmocka_unit_test(the_packer_packs_into_the_buffer),
        cmocka_unit_test(a_row_of_packs_that_hits_the_cap_shows_it_at_the_end),
    };
    return cmocka_run_group_tests_name("proto/buf", tests, NULL, NULL);
}
