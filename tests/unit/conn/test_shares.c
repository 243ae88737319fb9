/* Whose is what: parts of users, the administrators' reserve, and who has too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/config/config.h"
#include "daemon/conn/shares.h"

enum { ROOT = 0, ANNA = 1000, BERT = 1001 };

#define KIND SHARE_UNREAD

static struct shares *all;
static struct share *root, *anna, *bert;

static int set_up(void **state)
{
    const struct config config = {
        .max_message = 10, .max_output_bytes = 10, .max_unread_bytes = 1600, .max_user_share = 25};
    (void)state;
    all = shares_new(&config);
    root = shares_join(all, ROOT);
    anna = shares_join(all, ANNA);
    bert = shares_join(all, BERT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    share_leave(root);
    share_leave(anna);
    share_leave(bert);
    assert_null(all->users);
    shares_free(all);
    return 0;
}

static void a_user_has_its_part_and_no_more(void **state)
{
    (void)state;
    assert_true(share_has_room(anna, KIND, false, 400));
    assert_false(share_has_room(anna, KIND, false, 401));
    share_add(anna, KIND, 399);
    assert_true(share_has_room(anna, KIND, false, 1));
    assert_false(share_has_room(anna, KIND, false, 2));
    assert_false(share_has_room(anna, KIND, false, UINT64_MAX));
    assert_true(share_has_room(bert, KIND, false, 400));
    share_subtract(anna, KIND, 399);
    assert_true(share_has_room(anna, KIND, false, 400));
    assert_int_equal(all->used[KIND], 0);
}

static void all_users_leave_a_reserve_to_administrators(void **state)
{
    (void)state;
    share_add(bert, KIND, 1400);
    assert_true(share_has_room(anna, KIND, false, 100));
    assert_false(share_has_room(anna, KIND, false, 101));
    share_add(anna, KIND, 100);
    assert_true(share_has_room(root, KIND, true, 100));
    assert_false(share_has_room(root, KIND, true, 101));
    share_subtract(anna, KIND, 100);
    share_subtract(bert, KIND, 1400);
    assert_true(share_has_room(root, KIND, true, 1600));
}

static void who_is_beyond_its_part_or_has_the_most_is_named(void **state)
{
    (void)state;
    share_add(bert, KIND, 400);
    assert_null(share_overdrawn(bert, KIND, false));
    share_add(bert, KIND, 1);
    assert_ptr_equal(share_overdrawn(bert, KIND, false), bert);
    assert_null(share_overdrawn(anna, KIND, false));
    share_subtract(bert, KIND, 1);
    share_add(root, KIND, 1200);
    assert_null(share_overdrawn(anna, KIND, false));
    share_add(anna, KIND, 1);
    assert_ptr_equal(share_overdrawn(anna, KIND, false), root);
    share_subtract(root, KIND, 1200);
    share_subtract(anna, KIND, 1);
    share_subtract(bert, KIND, 400);
}

static void a_part_has_room_for_the_largest_message(void **state)
{
    const struct config config = {
        .max_message = 1000, .max_output_bytes = 10, .max_unread_bytes = 1600, .max_user_share = 1};
    (void)state;
    shares_configure(all, &config);
    assert_true(share_has_room(anna, KIND, false, 1010));
    assert_false(share_has_room(anna, KIND, false, 1011));
}

static void an_account_lives_as_long_as_its_members(void **state)
{
    (void)state;
    struct share *again = shares_join(all, ANNA);
    assert_ptr_equal(again, anna);
    share_leave(again);
    assert_ptr_equal(shares_join(all, ANNA), anna);
    share_leave(anna);
    share_leave(NULL);
}

static void descriptors_are_taken_within_the_part_and_given_back(void **state)
{
    (void)state;
    assert_true(share_take_descriptor(anna, false)); /* as many as she likes, before there is a number */
    share_give_descriptor(anna);
    shares_set_descriptors(all, 16);
    for (int i = 0; i < 4; i++)
        assert_true(share_take_descriptor(anna, false));
    assert_false(share_take_descriptor(anna, false));
    assert_true(share_take_descriptor(bert, false));
    share_give_descriptor(anna);
    assert_true(share_take_descriptor(anna, false));
    for (int i = 0; i < 11; i++)
        assert_true(share_take_descriptor(root, true));
    assert_false(share_take_descriptor(root, true));
    assert_false(share_take_descriptor(NULL, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_user_has_its_part_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_users_leave_a_reserve_to_administrators, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_beyond_its_part_or_has_the_most_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_has_room_for_the_largest_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_account_lives_as_long_as_its_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(descriptors_are_taken_within_the_part_and_given_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
