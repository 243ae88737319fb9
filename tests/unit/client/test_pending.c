/* The table of calls: ids, growth, order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/lib/pending.h"

static uint32_t add(struct pending *p)
{
    struct call call = {0};
    uint32_t msgid = 0;
    assert_int_equal(pending_add(p, &call, &msgid), 0);
    return msgid;
}

static void every_id_is_found_until_it_is_removed(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct pending p = {0};
    uint32_t ids[COUNT];
    for (int i = 0; i < COUNT; i++)
        ids[i] = add(&p);
    struct call call;
    for (int i = 0; i < COUNT; i += 2)
        assert_true(pending_remove(&p, ids[i], &call));
    for (int i = 0; i < COUNT; i++) {
        const struct call *found = pending_find(&p, ids[i]);
        assert_int_equal(found != NULL, i % 2 == 1);
        assert_true(!found || found->msgid == ids[i]);
    }
    assert_int_equal(p.used, COUNT / 2);
    assert_false(pending_remove(&p, ids[0], &call));
    assert_null(pending_find(&p, ids[1] + COUNT * 100));
    pending_deinit(&p);
}

static void ids_are_not_used_again_soon(void **state)
{
    (void)state;
    struct pending p = {0};
    uint32_t keep = add(&p), last = keep;
    struct call call;
    for (int i = 0; i < 100000; i++) {
        uint32_t id = add(&p);
        assert_true(id > last);
        last = id;
        assert_true(pending_remove(&p, id, &call));
    }
    assert_non_null(pending_find(&p, keep));
    pending_deinit(&p);
}

static void ids_wrap_around_a_call_that_waits_for_ever(void **state)
{
    (void)state;
    struct pending p = {.next = UINT32_MAX - 100};
    uint32_t keep[50];
    struct call call;
    for (int i = 0; i < 50; i++)
        keep[i] = add(&p);
    for (int i = 0; i < 10000; i++)
        assert_true(pending_remove(&p, add(&p), &call));
    assert_true(p.next < UINT32_MAX / 2);
    for (int i = 0; i < 50; i++)
        assert_non_null(pending_find(&p, keep[i]));
    pending_deinit(&p);
}

static void the_table_is_capped(void **state)
{
    (void)state;
    struct pending p = {0};
    struct call call = {0};
    uint32_t msgid;
    for (uint32_t i = 0; i < PENDING_MAX; i++)
        assert_int_equal(pending_add(&p, &call, &msgid), 0);
    assert_int_equal(pending_add(&p, &call, &msgid), -EAGAIN);
    assert_true(pending_remove(&p, msgid, &call));
    assert_int_equal(pending_add(&p, &call, &msgid), 0);

    uint32_t cursor = 0, count = 0;
    while (pending_drain(&p, &cursor, &call))
        count++;
    assert_int_equal(count, PENDING_MAX);
    assert_int_equal(p.used, 0);
    assert_int_equal(p.capacity, 0); /* a table that large is not kept */
    pending_deinit(&p);
}

static void draining_goes_from_old_to_young(void **state)
{
    (void)state;
    struct pending p = {.next = UINT32_MAX - 500};
    for (int i = 0; i < 1000; i++)
        add(&p);
    uint32_t cursor = 0, expected = UINT32_MAX - 500;
    struct call call;
    while (pending_drain(&p, &cursor, &call))
        assert_int_equal(call.msgid, expected++);
    assert_int_equal(p.used, 0);
    pending_deinit(&p);
}

static void the_abandoned_are_counted(void **state)
{
    (void)state;
    struct pending p = {0};
    uint32_t a = add(&p), b = add(&p);
    struct call call;
    pending_abandon(&p, a);
    pending_abandon(&p, a);
    pending_abandon(&p, b + 7);
    assert_int_equal(p.abandoned, 1);
    assert_true(pending_remove(&p, a, &call));
    assert_true(call.abandoned);
    assert_int_equal(p.abandoned, 0);
    pending_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id_is_found_until_it_is_removed),
        cmocka_unit_test(ids_are_not_used_again_soon),
        cmocka_unit_test(ids_wrap_around_a_call_that_waits_for_ever),
        cmocka_unit_test(the_table_is_capped),
        cmocka_unit_test(draining_goes_from_old_to_young),
        cmocka_unit_test(the_abandoned_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
