/* The parts of a map: the order of answers, the bookkeeping of a request, the size of chunks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/lib/answers.h"
#include "client/lib/map_request.h"
#include "client/lib/pace.h"

static void add_ok(struct answers *answers, uint64_t first, uint32_t count)
{
    uint8_t pairs[64 * 4];
    for (uint32_t i = 0; i < count; i++)
        memcpy(pairs + i * 3, (const uint8_t[]){0x92, 0xc0, (uint8_t)((first + i) & 0x7f)}, 3);
    assert_int_equal(answers_add_pairs(answers, first, count, pairs, (size_t)count * 3), 0);
}

static void ordered_answers_wait_for_the_first(void **state)
{
    (void)state;
    struct answers answers;
    mpool_item item = MPOOL_ITEM_INIT;
    answers_init(&answers, true);
    add_ok(&answers, 6, 2);
    add_ok(&answers, 2, 4);
    assert_false(answers_next(&answers, &item));
    add_ok(&answers, 0, 2);
    for (uint64_t i = 0; i < 8; i++) {
        assert_true(answers_next(&answers, &item));
        assert_int_equal(item.index, i);
        assert_int_equal(item.code, 0);
        assert_int_equal(item.length, 1);
        assert_int_equal(*(const uint8_t *)item.data, i);
    }
    assert_false(answers_next(&answers, &item));
    assert_int_equal(answers.bytes, 0);
    answers_deinit(&answers);
}

static void unordered_answers_come_as_they_came(void **state)
{
    (void)state;
    static const uint64_t expected[] = {6, 7, 2, 0};
    struct answers answers;
    mpool_item item = MPOOL_ITEM_INIT;
    answers_init(&answers, false);
    add_ok(&answers, 6, 2);
    add_ok(&answers, 2, 1);
    add_ok(&answers, 0, 1);
    for (size_t i = 0; i < 4; i++) {
        assert_true(answers_next(&answers, &item));
        assert_int_equal(item.index, expected[i]);
    }
    add_ok(&answers, 9, 1); /* what is left at the end is freed */
    answers_deinit(&answers);
}

static void random_order_in_gives_order_out(void **state)
{
    (void)state;
    enum { RUNS = 500 };
    struct answers answers;
    mpool_item item = MPOOL_ITEM_INIT;
    unsigned seed = 7;
    int order[RUNS];
    answers_init(&answers, true);
    for (int i = 0; i < RUNS; i++)
        order[i] = i;
    for (int i = RUNS - 1; i > 0; i--) {
        int j = rand_r(&seed) % (i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    uint64_t next = 0;
    for (int i = 0; i < RUNS; i++) {
        add_ok(&answers, (uint64_t)order[i] * 3, 3);
        while (answers_next(&answers, &item))
            assert_int_equal(item.index, next++);
    }
    assert_int_equal(next, RUNS * 3);
    answers_deinit(&answers);
}

static void failures_carry_their_sentence(void **state)
{
    (void)state;
    static const uint8_t pair[] = "\x92\x92\x00\xac"
                                  "E_LOST: gone\xc0\x92\x05\xc0";
    struct answers answers;
    mpool_item item = MPOOL_ITEM_INIT;
    answers_init(&answers, true);
    assert_int_equal(answers_add_failure(&answers, 0, 2, MPOOL_ETIMEOUT, "too long"), 0);
    assert_int_equal(answers_add_pairs(&answers, 2, 2, pair, sizeof(pair) - 1), 0);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(answers_next(&answers, &item));
        assert_int_equal(item.code, MPOOL_ETIMEOUT);
        assert_string_equal(item.text, "too long");
        assert_null(item.data);
    }
    assert_true(answers_next(&answers, &item));
    assert_int_equal(item.code, MPOOL_ELOST);
    assert_string_equal(item.text, "E_LOST: gone");
    assert_true(answers_next(&answers, &item)); /* an error of a shape that nobody knows */
    assert_int_equal(item.code, MPOOL_EREMOTE);
    answers_deinit(&answers);
}

#define TAKE(request, first, bytes)                                                                                    \
    map_request_take((request), &answers, (first), wire_reader((bytes), sizeof(bytes) - 1))

static void each_item_is_answered_once(void **state)
{
    (void)state;
    struct answers answers;
    mpool_item item = MPOOL_ITEM_INIT;
    answers_init(&answers, true);
    struct map_request *request = map_request_new(NULL, 100, 5, 0);
    assert_int_equal(TAKE(request, 2, "\x92\x92\xc0\x01\x92\xc0\x02"), 2);
    assert_int_equal(TAKE(request, 3, "\x91\x92\xc0\x01"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 1, "\x92\x92\xc0\x01\x92\xc0\x02"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 5, "\x91\x92\xc0\x01"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, UINT64_MAX, "\x91\x92\xc0\x01"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 4, "\x92\x92\xc0\x01\x92\xc0\x02"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 0, "\xdd\xff\xff\xff\xff"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 0, "\x91\x91\xc0"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 0, "\x91\x92\xc0"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 0, "\x07"), MPOOL_EPROTOCOL);
    assert_int_equal(TAKE(request, 0, "\x90"), 0);
    assert_int_equal(request->covered, 2);

    assert_int_equal(map_request_fail_rest(request, &answers, MPOOL_ELOST, "gone"), 0);
    assert_int_equal(request->covered, 5);
    static const int codes[] = {MPOOL_ELOST, MPOOL_ELOST, 0, 0, MPOOL_ELOST};
    answers.next = 100;
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(answers_next(&answers, &item));
        assert_int_equal(item.index, 100 + i);
        assert_int_equal(item.code, codes[i]);
    }
    free(request);
    answers_deinit(&answers);
}

static void long_items_go_one_by_one(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = 0;
    pace_init(&pace, 0);
    assert_int_equal(pace.chunk, 1);
    pace_begin(&pace, now);
    for (int i = 0; i < 100; i++)
        pace_answered(&pace, 1, now += 50000000);
    assert_int_equal(pace.chunk, 1);
}

static void tiny_items_travel_in_large_chunks_soon(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = 0;
    pace_init(&pace, 0);
    pace_begin(&pace, now);
    for (int i = 0; i < 40; i++)
        pace_answered(&pace, 10 * (uint64_t)pace.chunk, now += 1000000);
    assert_true(pace.chunk >= PACE_CHUNK_MAX / 4);
    assert_true(pace.chunk <= PACE_CHUNK_MAX);
    /* … and shrink as soon as items turn out long. */
    pace_answered(&pace, 10, now + 100000000);
    assert_true(pace.chunk <= 2);
}

static void a_chunk_that_was_asked_for_stays(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 7);
    pace_begin(&pace, 0);
    pace_answered(&pace, 1000000, 10000000);
    assert_int_equal(pace.chunk, 7);
}

static void idle_time_is_not_measured(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = 0;
    pace_init(&pace, 0);
    /* Bursts of 0.1 ms with an hour between them. */
    for (int i = 0; i < 100; i++, now += UINT64_C(3600) * 1000000000) {
        pace_begin(&pace, now);
        pace_answered(&pace, 100, now += 100000);
    }
    assert_true(pace.ns_per_item > 999 && pace.ns_per_item < 1001);
    assert_int_equal(pace.chunk, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordered_answers_wait_for_the_first),
        cmocka_unit_test(unordered_answers_come_as_they_came),
        cmocka_unit_test(random_order_in_gives_order_out),
        cmocka_unit_test(failures_carry_their_sentence),
        cmocka_unit_test(each_item_is_answered_once),
        cmocka_unit_test(long_items_go_one_by_one),
        cmocka_unit_test(tiny_items_travel_in_large_chunks_soon),
        cmocka_unit_test(a_chunk_that_was_asked_for_stays),
        cmocka_unit_test(idle_time_is_not_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
