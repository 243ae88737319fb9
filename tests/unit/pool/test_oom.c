/* What is said of a worker that was killed by SIGKILL, from a counter that these tests play. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/pool/oom.h"

#define BEGIN (1000 * NS_PER_S)
#define NONE  UINT64_MAX

static void counts(const struct oom *o, unsigned n)
{
    char text[128];
    int length = snprintf(text, sizeof text, "low 0\noom 7\noom_kill %u\noom_group_kill 3\n", n);
    assert_int_equal(pwrite(o->fd, text, (size_t)length, 0), length);
}

static struct oom counter(unsigned n)
{
    struct oom o = {.fd = memfd_create("counter", MFD_CLOEXEC), .count = n, .looked_ns = BEGIN};
    assert_true(o.fd >= 0);
    counts(&o, n);
    return o;
}

static void a_kill_that_nobody_counted_is_none_of_the_kernels(void **state)
{
    struct oom o = counter(5);
    (void)state;
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + NS_PER_S), OOM_NO);
    assert_int_equal(oom_explain(&o, NONE, BEGIN + NS_PER_S), OOM_NO);
    oom_deinit(&o);
}

static void each_count_explains_one_death(void **state)
{
    struct oom o = counter(5);
    (void)state;
    counts(&o, 7);
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + 9 * NS_PER_S), OOM_YES);
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + 9 * NS_PER_S), OOM_YES);
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + 9 * NS_PER_S), OOM_NO);
    oom_deinit(&o);
}

static void what_may_be_older_than_the_task_is_not_certainly_its(void **state)
{
    struct oom o = counter(0);
    (void)state;
    counts(&o, 2);
    assert_int_equal(oom_explain(&o, BEGIN + NS_PER_S, BEGIN + 2 * NS_PER_S), OOM_PERHAPS);
    assert_int_equal(oom_explain(&o, NONE, BEGIN + 2 * NS_PER_S), OOM_PERHAPS); /* it ran no task */
    oom_deinit(&o);
}

static void what_nobody_died_of_is_forgotten(void **state)
{
    struct oom o = counter(0);
    (void)state;
    counts(&o, 2); /* a task's children, say */
    oom_look(&o, BEGIN + NS_PER_S);
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + 30 * NS_PER_S), OOM_PERHAPS);
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + 62 * NS_PER_S), OOM_NO);
    oom_deinit(&o);
}

static void a_look_is_not_repeated_at_once(void **state)
{
    struct oom o = counter(0);
    (void)state;
    counts(&o, 1);
    oom_look(&o, BEGIN + 99 * NS_PER_MS);
    assert_int_equal(o.unexplained, 0);
    oom_look(&o, BEGIN + 100 * NS_PER_MS);
    assert_int_equal(o.unexplained, 1);
    oom_deinit(&o);
}

static void without_a_counter_nothing_definite_is_said(void **state)
{
    struct oom o = counter(0);
    (void)state;
    assert_int_equal(ftruncate(o.fd, 0), 0); /* the cgroup is gone */
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + NS_PER_S), OOM_PERHAPS);
    assert_int_equal(o.fd, -1);
    oom_look(&o, BEGIN + 2 * NS_PER_S);
    assert_int_equal(oom_explain(&o, BEGIN, BEGIN + 2 * NS_PER_S), OOM_PERHAPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_that_nobody_counted_is_none_of_the_kernels),
        cmocka_unit_test(each_count_explains_one_death),
        cmocka_unit_test(what_may_be_older_than_the_task_is_not_certainly_its),
        cmocka_unit_test(what_nobody_died_of_is_forgotten),
        cmocka_unit_test(a_look_is_not_repeated_at_once),
        cmocka_unit_test(without_a_counter_nothing_definite_is_said),
    };
    return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
