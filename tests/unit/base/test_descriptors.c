/* How many descriptors clients may have, so that the daemon keeps some for births and for files of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "daemon/base/descriptors.h"

static uint64_t lacking(const void *context)
{
    return *(const uint64_t *)context;
}

static void without_a_limit_everything_is_allowed(void **state)
{
    struct descriptors d = {.limit = RLIM_INFINITY};
    (void)state;
    assert_true(descriptors_allow(&d, 1 << 30, DESCRIPTOR_LASTING));
    assert_true(descriptors_left(&d));
    assert_true(descriptors_for_peers(&d) == UINT64_MAX);
}

static void some_are_kept_for_births_and_for_short_use(void **state)
{
    uint64_t workers = 0;
    struct descriptors d = {.limit = 1024, .workers_lacking = lacking, .context = &workers};
    int lasting = 0, passing = 0;
    (void)state;
    while (descriptors_allow(&d, lasting, DESCRIPTOR_LASTING))
        lasting++;
    while (descriptors_allow(&d, passing, DESCRIPTOR_PASSING))
        passing++;
    assert_int_equal(passing - lasting, 1024 / 16);
    assert_true(passing < 1024);
    int before = passing;
    workers = 10; /* that are still to be born */
    for (passing = 0; descriptors_allow(&d, passing, DESCRIPTOR_PASSING);)
        passing++;
    assert_int_equal(before - passing, 10 * 6);
    workers = 100000; /* half of all is left for the others, however many are to be born */
    for (passing = 0; descriptors_allow(&d, passing, DESCRIPTOR_PASSING);)
        passing++;
    assert_int_equal(passing, 512);
}

static void peers_get_what_is_left_of_the_limit(void **state)
{
    uint64_t workers = 0;
    struct descriptors d = {.limit = 1024, .workers_lacking = lacking, .context = &workers};
    (void)state;
    uint64_t all = descriptors_for_peers(&d);
    assert_true(all > 800 && all < 1024);
    workers = 10;
    assert_true(descriptors_for_peers(&d) == all - 60);
    d.limit = 4; /* fewer than are open by now: one peer is served nevertheless */
    assert_true(descriptors_for_peers(&d) == 1);
    assert_false(descriptors_left(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_everything_is_allowed),
        cmocka_unit_test(some_are_kept_for_births_and_for_short_use),
        cmocka_unit_test(peers_get_what_is_left_of_the_limit),
    };
    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
