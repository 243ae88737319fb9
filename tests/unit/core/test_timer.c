/* The heap of timers. */
#include "tests/unit/core/support.h"

#include "daemon/core/timer.h"

static void the_earliest_timer_comes_first(void **state)
{
    struct core_timers heap = {0};
    struct core_timer t[5] = {0};
    static const uint64_t at[5] = {50, 10, 40, 20, 30};
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        core_timer_arm(&heap, &t[i], (uint8_t)i, at[i]);
    for (uint64_t expected = 10; expected <= 50; expected += 10) {
        struct core_timer *first = core_timer_first(&heap);
        assert_true(first->at_ns == expected);
        core_timer_disarm(&heap, first);
        assert_false(first->armed);
    }
    assert_null(core_timer_first(&heap));
}

static void arming_an_armed_timer_moves_it(void **state)
{
    struct core_timers heap = {0};
    struct core_timer a = {0}, b = {0};
    (void)state;
    core_timer_arm(&heap, &a, 1, 10);
    core_timer_arm(&heap, &b, 1, 20);
    core_timer_arm(&heap, &a, 2, 30);
    assert_ptr_equal(core_timer_first(&heap), &b);
    core_timer_arm(&heap, &a, 2, 5);
    assert_ptr_equal(core_timer_first(&heap), &a);
    assert_int_equal(a.kind, 2);
}

static void disarming_twice_does_nothing(void **state)
{
    struct core_timers heap = {0};
    struct core_timer a = {0};
    (void)state;
    core_timer_disarm(&heap, &a);
    core_timer_arm(&heap, &a, 0, 1);
    core_timer_disarm(&heap, &a);
    core_timer_disarm(&heap, &a);
    assert_null(core_timer_first(&heap));
}

static void a_thousand_random_moves_agree_with_a_plain_search(void **state)
{
    static struct core_timer t[64];
    struct core_timers heap = {0};
    uint32_t x = 12345;
    (void)state;
    for (int step = 0; step < 20000; step++) {
        x = x * 1664525 + 1013904223;
        struct core_timer *one = &t[x >> 26];
        if ((x >> 20 & 3) == 0)
            core_timer_disarm(&heap, one);
        else
            core_timer_arm(&heap, one, 0, x >> 8 & 0xfff);
        const struct core_timer *min = NULL;
        for (unsigned i = 0; i < 64; i++)
            if (t[i].armed && (!min || t[i].at_ns < min->at_ns))
                min = &t[i];
        const struct core_timer *first = core_timer_first(&heap);
        assert_true(!first == !min && (!first || first->at_ns == min->at_ns));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_timer_comes_first),
        cmocka_unit_test(arming_an_armed_timer_moves_it),
        cmocka_unit_test(disarming_twice_does_nothing),
        cmocka_unit_test(a_thousand_random_moves_agree_with_a_plain_search),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
