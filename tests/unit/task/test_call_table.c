/* Does each msgid lead to its call, and do no msgids that a client may choose lie in one chain? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "daemon/task/call_table.h"
#include "daemon/task/task.h"

#define CALLS 65536u

static const uint64_t keys[] = {0x9e3779b97f4a7c15, 0x0123456789abcdef, 0xd1b54a32d192ed03, 0x8a5cd789635d2dff};

static uint32_t longest_chain(const struct call_table *table)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < 1u << table->bits; i++) {
        struct task *t;
        uint32_t length = 0;
        LIST_FOREACH (t, &table->chains[i], call.same_hash)
            length++;
        longest = length > longest ? length : longest;
    }
    return longest;
}

static uint32_t counted(uint32_t i)
{
    return i;
}

static uint32_t high_half(uint32_t i)
{
    return i << 16;
}

static uint32_t stepped(uint32_t i)
{
    return i * 4096;
}

static uint32_t backwards(uint32_t i)
{
    return UINT32_MAX - i * 65537;
}

static void no_row_of_msgids_makes_a_long_chain(void **state)
{
    (void)state;
    static uint32_t (*const rows[])(uint32_t) = {counted, high_half, stepped, backwards};
    struct task *calls = calloc(CALLS, sizeof *calls);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
            struct call_table table;
            call_table_init(&table, keys[k]);
            for (uint32_t i = 0; i < CALLS; i++) {
                calls[i] = (struct task){.call.msgid = rows[row](i)};
                assert_true(call_table_add(&table, &calls[i]));
            }
            assert_in_range(longest_chain(&table), 1, 32);
            for (uint32_t i = 0; i < CALLS; i++)
                assert_int_equal(call_table_find(&table, rows[row](i))->call.msgid, rows[row](i));
            for (uint32_t i = 0; i < CALLS; i++)
                call_table_remove(&table, &calls[i]);
            assert_true(TAILQ_EMPTY(&table.all) && table.count == 0);
            call_table_deinit(&table);
        }
    free(calls);
}

static void notifications_are_listed_and_never_found(void **state)
{
    (void)state;
    struct task notice = {.no_reply = true}, call = {.call.msgid = 0};
    struct call_table table;
    call_table_init(&table, keys[0]);
    assert_null(call_table_find(&table, 0));
    assert_true(call_table_add(&table, &notice));
    assert_null(call_table_find(&table, 0));
    assert_int_equal(table.bits, 0);
    assert_true(call_table_add(&table, &call));
    assert_ptr_equal(call_table_find(&table, 0), &call);
    call_table_remove(&table, &call);
    assert_ptr_equal(TAILQ_FIRST(&table.all), &notice);
    call_table_remove(&table, &notice);
    assert_true(TAILQ_EMPTY(&table.all));
    call_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_row_of_msgids_makes_a_long_chain),
        cmocka_unit_test(notifications_are_listed_and_never_found),
    };
    return cmocka_run_group_tests_name("supervisor/call_table", tests, NULL, NULL);
}
