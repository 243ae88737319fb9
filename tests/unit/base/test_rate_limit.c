/* Does a rate hold, however often it is asked? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/base/rate_limit.h"

#define RATE  1000u
#define BURST 5000u

static void it_begins_with_what_may_be_saved_up(void **state)
{
    (void)state;
    struct rate_limit l = {0};
    assert_false(rate_limit_take(&l, RATE, BURST, BURST + 1, 0, 1));
    assert_true(rate_limit_take(&l, RATE, BURST, BURST, 0, 2));
    assert_false(rate_limit_take(&l, RATE, BURST, 1, 0, 3));
}

static void it_grows_at_its_rate_however_often_it_is_asked(void **state)
{
    (void)state;
    static const uint64_t steps_ns[] = {1, 7, 999, 1000, 333333, NS_PER_MS, NS_PER_S};
    for (size_t i = 0; i < sizeof steps_ns / sizeof steps_ns[0]; i++) {
        struct rate_limit l = {0};
        uint64_t now = 1, taken = 0, end = steps_ns[i] < 1000 ? 10 * NS_PER_MS : 3 * NS_PER_S;
        assert_true(rate_limit_take(&l, RATE, BURST, BURST, 0, now));
        for (; now <= end; now = now < end && now + steps_ns[i] > end ? end : now + steps_ns[i])
            while (rate_limit_take(&l, RATE, BURST, 1, 0, now))
                taken++;
        assert_in_range(taken, end * RATE / NS_PER_S - 1, end * RATE / NS_PER_S);
    }
}

static void it_saves_up_no_more_than_the_burst_however_long_it_rests(void **state)
{
    (void)state;
    struct rate_limit l = {0};
    assert_true(rate_limit_take(&l, RATE, BURST, BURST, 0, 1));
    assert_false(rate_limit_take(&l, RATE, BURST, BURST + 1, 0, UINT64_MAX / 2));
    assert_true(rate_limit_take(&l, RATE, BURST, BURST, 0, UINT64_MAX / 2));
}

static void a_reserve_is_left_to_others(void **state)
{
    (void)state;
    struct rate_limit l = {0};
    assert_false(rate_limit_take(&l, RATE, BURST, BURST - 9, 10, 1));
    assert_true(rate_limit_take(&l, RATE, BURST, BURST - 10, 10, 1));
    assert_false(rate_limit_take(&l, RATE, BURST, 1, 10, 1));
    assert_true(rate_limit_take(&l, RATE, BURST, 10, 0, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_what_may_be_saved_up),
        cmocka_unit_test(it_grows_at_its_rate_however_often_it_is_asked),
        cmocka_unit_test(it_saves_up_no_more_than_the_burst_however_long_it_rests),
        cmocka_unit_test(a_reserve_is_left_to_others),
    };
    return cmocka_run_group_tests_name("base/rate_limit", tests, NULL, NULL);
}
