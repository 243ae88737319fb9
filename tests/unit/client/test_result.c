/* Results: readers, views by key, and who owns what. Codes and their texts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/lib/memfd.h"
#include "client/lib/result.h"
#include "client/lib/text.h"

static mpool_result *of(const char *bytes, size_t length)
{
    mpool_result *cell;
    mpool_result view = result_view((const uint8_t *)bytes, length, NULL, &cell);
    mpool_result *kept = mpool_result_keep(&view);
    assert_non_null(kept);
    result_view_deinit(&view);
    return kept;
}
#define OF(bytes) of(bytes, sizeof(bytes) - 1)

static void scalars_are_read_by_type(void **state)
{
    (void)state;
    int64_t i;
    uint64_t u;
    double d;
    bool b;
    mpool_result *minus = OF("\xff"), *big = OF("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), *yes = OF("\xc3");
    assert_int_equal(mpool_result_i64(minus, &i), 0);
    assert_int_equal(i, -1);
    assert_int_equal(mpool_result_u64(minus, &u), -EBADMSG);
    assert_int_equal(mpool_result_u64(big, &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(mpool_result_i64(big, &i), -EBADMSG);
    assert_int_equal(mpool_result_f64(minus, &d), 0);
    assert_true(d == -1.0);
    assert_int_equal(mpool_result_bool(yes, &b), 0);
    assert_true(b);
    assert_int_equal(mpool_result_bool(minus, &b), -EBADMSG);
    mpool_result_free(minus);
    mpool_result_free(big);
    mpool_result_free(yes);
}

static void text_and_bytes_are_both_bytes(void **state)
{
    (void)state;
    const void *bytes;
    size_t length;
    mpool_result *text = OF("\xa2hi"), *bin = OF("\xc4\x01x"), *cut = OF("\xa5hi");
    assert_int_equal(mpool_result_bytes(text, &bytes, &length), 0);
    assert_int_equal(length, 2);
    assert_memory_equal(bytes, "hi", 2);
    assert_int_equal(mpool_result_bytes(bin, &bytes, &length), 0);
    assert_int_equal(length, 1);
    assert_int_equal(mpool_result_bytes(cut, &bytes, &length), -EBADMSG);
    mpool_result_free(text);
    mpool_result_free(bin);
    mpool_result_free(cut);
}

static void keys_are_found_and_nested(void **state)
{
    (void)state;
    /* {1: 2, "a": {"b": 7}, "c": nil} */
    mpool_result *map = OF("\x83\x01\x02\xa1"
                           "a\x81\xa1"
                           "b\x07\xa1"
                           "c\xc0");
    const mpool_result *a, *b, *none;
    int64_t n;
    assert_int_equal(mpool_result_get(map, "a", &a), 0);
    assert_int_equal(mpool_result_get(a, "b", &b), 0);
    assert_int_equal(mpool_result_i64(b, &n), 0);
    assert_int_equal(n, 7);
    assert_int_equal(mpool_result_get(b, "x", &none), -EBADMSG);
    assert_int_equal(mpool_result_get(map, "missing", &none), -ENOENT);
    mpool_result_free(map);
}

static void a_map_that_lies_about_its_length_is_refused(void **state)
{
    (void)state;
    mpool_result *map = OF("\xdf\xff\xff\xff\xff\xa1z\x01");
    const mpool_result *value;
    assert_int_equal(mpool_result_get(map, "a", &value), -EBADMSG);
    assert_int_equal(mpool_result_get(map, "z", &value), -EBADMSG);
    mpool_result_free(map);
}

static void a_kept_view_outlives_its_map(void **state)
{
    (void)state;
    mpool_result *map = OF("\x81\xa1k\xa3"
                           "abc");
    const mpool_result *value;
    assert_int_equal(mpool_result_get(map, "k", &value), 0);
    mpool_result *kept = mpool_result_keep(value);
    mpool_result_free(map);
    const void *bytes;
    size_t length;
    assert_int_equal(mpool_result_bytes(kept, &bytes, &length), 0);
    assert_memory_equal(bytes, "abc", 3);
    mpool_result_free(kept);
}

static void nothing_is_freed_that_is_not_owned(void **state)
{
    (void)state;
    mpool_result *cell;
    mpool_result view = result_view((const uint8_t *)"\x07", 1, NULL, &cell);
    mpool_result_free(&view);
    mpool_result_free(NULL);
    assert_null(mpool_result_keep(NULL));
}

static void a_sealed_memfd_is_mapped_and_shared(void **state)
{
    (void)state;
    struct payload *payload;
    int fd = memfd_from_bytes("\x93\x01\x02\x03", 4);
    assert_true(fd >= 0);
    assert_int_equal(payload_map(fd, 4, &payload), 0);
    close(fd);
    size_t length;
    const uint8_t *bytes = payload_bytes(payload, &length);
    mpool_result *cell;
    mpool_result view = result_view(bytes, length, payload, &cell);
    mpool_result *kept = mpool_result_keep(&view);
    payload_unref(payload);
    assert_memory_equal(mpool_result_data(kept, &length), "\x93\x01\x02\x03", 4);
    mpool_result_free(kept);
}

static void a_memfd_that_may_change_is_refused(void **state)
{
    (void)state;
    struct payload *payload;
    int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, "\x01", 1), 1);
    assert_int_equal(payload_map(fd, 1, &payload), MPOOL_EPROTOCOL);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_int_equal(payload_map(fd, 1, &payload), MPOOL_EPROTOCOL);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(payload_map(fd, 2, &payload), MPOOL_EPROTOCOL);
    assert_int_equal(payload_map(fd, 0, &payload), MPOOL_EPROTOCOL);
    assert_int_equal(payload_map(fd, UINT64_MAX, &payload), MPOOL_EPROTOCOL);
    assert_int_equal(payload_map(fd, 1, &payload), 0);
    payload_unref(payload);
    close(fd);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(payload_map(ends[0], 1, &payload), MPOOL_EPROTOCOL);
    close(ends[0]);
    close(ends[1]);
}

static void a_memfd_must_hold_one_value(void **state)
{
    (void)state;
    struct payload *payload;
    static const char *const wrong[] = {"\x93\x01\x02", "\x01\x02\x03", "\xc1\x01\x01", "\xdf\x10\x00"};
    for (size_t i = 0; i < 4; i++) {
        int fd = memfd_from_bytes(wrong[i], 3);
        assert_int_equal(payload_map(fd, 3, &payload), MPOOL_EPROTOCOL);
        close(fd);
    }
}

static void codes_have_names_and_sentences(void **state)
{
    (void)state;
    assert_string_equal(mpool_code_name(MPOOL_ELOST), "E_LOST");
    assert_null(mpool_code_name(-EINVAL));
    assert_null(mpool_code_name(MPOOL_EPROTOCOL));
    assert_true(mpool_code_retryable(MPOOL_EBUSY));
    assert_false(mpool_code_retryable(MPOOL_EFAILED));
    assert_string_equal(mpool_strerror(MPOOL_ENO_TASK), "There is no such task, or its result is no longer kept.");
    assert_string_equal(mpool_strerror(-ENOENT), "No such file or directory");
    for (int code = 1; code > -11000; code--)
        assert_non_null(mpool_strerror(code));
    assert_non_null(mpool_strerror(INT32_MIN));
}

static void text_of_the_wire_becomes_a_code(void **state)
{
    (void)state;
    assert_int_equal(text_code("E_LOST: worker 3", 16), MPOOL_ELOST);
    assert_int_equal(text_code("E_LOST", 6), MPOOL_ELOST);
    assert_int_equal(text_code("E_NEWER: what", 13), MPOOL_EREMOTE);
    assert_int_equal(text_code("", 0), MPOOL_EREMOTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_read_by_type),
        cmocka_unit_test(text_and_bytes_are_both_bytes),
        cmocka_unit_test(keys_are_found_and_nested),
        cmocka_unit_test(a_map_that_lies_about_its_length_is_refused),
        cmocka_unit_test(a_kept_view_outlives_its_map),
        cmocka_unit_test(nothing_is_freed_that_is_not_owned),
        cmocka_unit_test(a_sealed_memfd_is_mapped_and_shared),
        cmocka_unit_test(a_memfd_that_may_change_is_refused),
        cmocka_unit_test(a_memfd_must_hold_one_value),
        cmocka_unit_test(codes_have_names_and_sentences),
        cmocka_unit_test(text_of_the_wire_becomes_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
