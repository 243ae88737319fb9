/* The timer of the core: it fires at its time or earlier, and only a nearer time sets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/deadline.h"

static void the_nearest_time_wakes_the_loop(void **state)
{
    struct event_base *base = event_base_new();
    struct deadline d;
    (void)state;
    assert_non_null(base);
    assert_int_equal(deadline_init(&d, base), 0);
    uint64_t far_ns = clock_now_ns() + 3600 * NS_PER_S, near_ns = clock_now_ns() + 2 * NS_PER_MS;
    deadline_set(&d, UINT64_MAX);
    assert_true(d.set_ns == UINT64_MAX);
    deadline_set(&d, far_ns);
    assert_true(d.set_ns == far_ns);
    deadline_set(&d, near_ns);
    deadline_set(&d, far_ns); /* it fires early, and is set again then */
    assert_true(d.set_ns == near_ns);
    assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    assert_true(clock_now_ns() >= near_ns);
    assert_true(d.set_ns == UINT64_MAX);
    deadline_set(&d, 0); /* long past: at once */
    assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    assert_true(d.set_ns == UINT64_MAX);
    deadline_deinit(&d);
    deadline_deinit(&d);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_nearest_time_wakes_the_loop)};
    return cmocka_run_group_tests_name("deadline", tests, NULL, NULL);
}
