/* Structs of programs with an older or a newer header: what they say is taken, and no byte behind them is touched. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mpool/process.h>
#include <mpool/queue.h>
#include <mpool/shared.h>

#include "client/lib/sized.h"

/* An allocation of just `size` bytes, so that the address sanitizer sees what is read or written behind it. */
static void *exactly(const void *bytes, size_t known, size_t size)
{
    unsigned char *at = calloc(1, size);
    assert_non_null(at);
    memcpy(at, bytes, known < size ? known : size);
    memcpy(at, &size, sizeof(size));
    return at;
}

static void a_smaller_struct_leaves_the_rest_at_its_default(void **state)
{
    (void)state;
    mpool_object_options whole = MPOOL_OBJECT_OPTIONS_INIT;
    whole.create = MPOOL_CREATE_NEW;
    whole.mode = 0640;
    whole.end = 1;
    for (size_t size = sizeof(size_t); size <= sizeof(whole); size += sizeof(size_t)) {
        mpool_object_options got = MPOOL_OBJECT_OPTIONS_INIT;
        void *given = exactly(&whole, sizeof(whole), size);
        assert_int_equal(sized_read(NULL, &got, sizeof(got), given), 0);
        assert_int_equal(got.size, sizeof(got));
        assert_int_equal(
            got.create, size > offsetof(mpool_object_options, create) ? MPOOL_CREATE_NEW : MPOOL_CREATE_YES);
        assert_int_equal(got.end, size > offsetof(mpool_object_options, end) ? 1 : -1);
        free(given);
    }
}

static void a_larger_struct_is_taken_if_its_tail_is_zero(void **state)
{
    (void)state;
    mpool_options whole = MPOOL_OPTIONS_INIT, got = MPOOL_OPTIONS_INIT;
    whole.timeout_ms = 7;
    unsigned char *given = exactly(&whole, sizeof(whole), sizeof(whole) + 16);
    assert_int_equal(sized_read(NULL, &got, sizeof(got), given), 0);
    assert_int_equal(got.timeout_ms, 7);
    given[sizeof(whole) + 15] = 1;
    assert_int_equal(sized_read(NULL, &got, sizeof(got), given), -E2BIG);
    free(given);
}

static void what_was_not_initialised_is_refused(void **state)
{
    (void)state;
    static const mpool_options zero;
    mpool_options got = MPOOL_OPTIONS_INIT;
    mpool_item item = {0};
    assert_int_equal(sized_read(NULL, &got, sizeof(got), &zero), -EINVAL);
    assert_int_equal(sized_read(NULL, &got, sizeof(got), NULL), 0);
    assert_int_equal(sized_write(&item, &item, sizeof(item)), -EINVAL);
}

static void what_is_filled_is_filled_as_far_as_it_is_known(void **state)
{
    (void)state;
    const mpool_item item = {.size = sizeof(item), .index = 5, .code = -7, .data = "d", .length = 1, .text = "t"};
    for (size_t size = sizeof(size_t); size <= sizeof(item) + 16; size += sizeof(size_t)) {
        unsigned char *to = exactly(&item, 0, size);
        memset(to + sizeof(size_t), 0xee, size - sizeof(size_t));
        assert_int_equal(sized_write(to, &item, sizeof(item)), 0);
        size_t left;
        memcpy(&left, to, sizeof(left));
        assert_int_equal(left, size); /* the caller's own */
        size_t known = size < sizeof(item) ? size : sizeof(item);
        assert_memory_equal(to + sizeof(size_t), (const char *)&item + sizeof(size_t), known - sizeof(size_t));
        for (size_t i = known; i < size; i++)
            assert_int_equal(to[i], 0);
        free(to);
    }
}

/* Every struct begins with its size: that is what the functions above rely on. */
static void every_struct_begins_with_its_size(void **state)
{
    (void)state;
    mpool_options options = MPOOL_OPTIONS_INIT;
    mpool_map_options map = MPOOL_MAP_OPTIONS_INIT;
    mpool_process_options process = MPOOL_PROCESS_OPTIONS_INIT;
    mpool_object_options object = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_connect_options connect = MPOOL_CONNECT_OPTIONS_INIT;
    mpool_item item = MPOOL_ITEM_INIT;
    mpool_queue_item queue_item = MPOOL_QUEUE_ITEM_INIT;
    assert_true(options.size == sizeof(options) && offsetof(mpool_options, size) == 0);
    assert_true(map.size == sizeof(map) && offsetof(mpool_map_options, size) == 0);
    assert_true(process.size == sizeof(process) && offsetof(mpool_process_options, size) == 0);
    assert_true(object.size == sizeof(object) && offsetof(mpool_object_options, size) == 0);
    assert_true(connect.size == sizeof(connect) && offsetof(mpool_connect_options, size) == 0);
    assert_true(item.size == sizeof(item) && offsetof(mpool_item, size) == 0);
    assert_true(queue_item.size == sizeof(queue_item) && offsetof(mpool_queue_item, size) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smaller_struct_leaves_the_rest_at_its_default),
        cmocka_unit_test(a_larger_struct_is_taken_if_its_tail_is_zero),
        cmocka_unit_test(what_was_not_initialised_is_refused),
        cmocka_unit_test(what_is_filled_is_filled_as_far_as_it_is_known),
        cmocka_unit_test(every_struct_begins_with_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
