/* Is the verdict on results the same in one go and in steps of any size, and right? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/task/map_check.h"

#define DEPTH 4u

static int verdict(const void *bytes, size_t length, uint32_t count, bool pairs, uint32_t *ret_failed)
{
    static const size_t steps[] = {1, 2, 3, 7, 64, 65, 1000, SIZE_MAX};
    int first = 1;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct map_check c;
        int r;
        size_t turns = 0;
        map_check_init(&c, count, pairs, DEPTH);
        while ((r = map_check_step(&c, bytes, length, steps[i])) == 0)
            assert_true(++turns <= length + count);
        if (i == 0)
            first = r;
        assert_int_equal(r, first);
        if (r > 0)
            *ret_failed = c.failed;
    }
    return first;
}

static const struct {
    const char *bytes;
    size_t length;
    uint32_t count;
    bool pairs;
    int verdict;
    uint32_t failed;
} cases[] = {
    {"\x01\x02\x03", 3, 3, false, 1, 0},
    {"\x01\x02\x03", 3, 2, false, -EBADMSG, 0},
    {"\x01\x02\x03", 3, 4, false, -EBADMSG, 0},
    {"\xa3"
     "abc\xc4\x02"
     "xy\x92\x01\x81\x02\x03",
        13, 3, false, 1, 0},
    {"\x91\x91\x91\x91\x01", 5, 1, false, 1, 0},
    {"\x91\x91\x91\x91\x91\x01", 6, 1, false, -EBADMSG, 0},
    {"\x01\xc1", 2, 2, false, -EBADMSG, 0},
    {"\x01\xa5"
     "ab",
        4, 2, false, -EBADMSG, 0},
    {"\xdd\xff\xff\xff\xff", 5, 1, false, -EBADMSG, 0},
    {"\x92\xc0\x01\x92\xc0\x02", 6, 2, true, 1, 0},
    {"\x92\xc0\x01\x92\x92\x00\xa3"
     "E_X\xc0",
        11, 2, true, 1, 1},
    {"\x92\xc0\x01\x93\xc0\x02\x03", 7, 2, true, -EBADMSG, 0},
    {"\x92\xc0\x01\x02", 4, 2, true, -EBADMSG, 0},
    {"\x92\xc0\x01", 3, 2, true, -EBADMSG, 0},
    {"\x92\xc0\x01\x92\xc0", 5, 2, true, -EBADMSG, 0},
    {"\x92\xc0\x01\x92\xc0\x02\x03", 7, 2, true, -EBADMSG, 0},
    {"\x92\xc0\x91\x91\x91\x91\x01", 7, 1, true, 1, 0},
    {"\x92\xc0\x91\x91\x91\x91\x91\x01", 8, 1, true, -EBADMSG, 0},
    {"\xdc\x00\x02\xc0\x01", 5, 1, true, 1, 0},
};

static void each_kind_of_results_is_judged_the_same_in_any_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t failed = 0;
        assert_int_equal(
            verdict(cases[i].bytes, cases[i].length, cases[i].count, cases[i].pairs, &failed), cases[i].verdict);
        assert_int_equal(failed, cases[i].failed);
    }
}

static void many_pairs_are_counted(void **state)
{
    (void)state;
    static uint8_t bytes[6000];
    size_t length = 0;
    uint32_t count = 0, wanted = 0, failed = 0;
    for (; length + 9 <= sizeof bytes; count++)
        if (count % 37 == 5) {
            memcpy(bytes + length,
                "\x92\x92\x00\xa3"
                "E_X\xc0",
                8);
            length += 8;
            wanted++;
        } else {
            memcpy(bytes + length, "\x92\xc0\xcd\x01\x02", 5);
            length += 5;
        }
    assert_int_equal(verdict(bytes, length, count, true, &failed), 1);
    assert_int_equal(failed, wanted);
    assert_int_equal(verdict(bytes, length - 1, count, true, &failed), -EBADMSG);
}

static void a_step_ends_about_where_it_should(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 20];
    struct map_check c;
    unsigned turns = 1;
    memset(bytes, 0x01, sizeof bytes);
    map_check_init(&c, sizeof bytes, false, DEPTH);
    while (map_check_step(&c, bytes, sizeof bytes, 1 << 16) == 0)
        turns++;
    assert_int_equal(turns, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_results_is_judged_the_same_in_any_steps),
        cmocka_unit_test(many_pairs_are_counted),
        cmocka_unit_test(a_step_ends_about_where_it_should),
    };
    return cmocka_run_group_tests_name("supervisor/map_check", tests, NULL, NULL);
}
