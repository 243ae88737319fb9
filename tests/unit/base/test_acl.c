/* Who else may write to a file, by its list of access rights. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/acl.h"

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32, READ = 4, WRITE = 2 };

static char path[] = "/tmp/mpool-unit-XXXXXX";

/* Sets a list with one entry more than the mode has. → whether others may write; -1: no lists here */
static int with_entry(unsigned tag, unsigned permissions, uint32_t id)
{
    struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[5];
    } list = {2, {{USER_OBJ, 6, ~0u}}};
    unsigned n = 1;
    if (tag == USER)
        list.entries[n++] = (__typeof__(list.entries[0])){USER, (uint16_t)permissions, id};
    list.entries[n++] = (__typeof__(list.entries[0])){GROUP_OBJ, 4, ~0u};
    if (tag == GROUP)
        list.entries[n++] = (__typeof__(list.entries[0])){GROUP, (uint16_t)permissions, id};
    list.entries[n++] = (__typeof__(list.entries[0])){MASK, 6, ~0u};
    list.entries[n++] = (__typeof__(list.entries[0])){OTHER, 0, ~0u};
    struct stat st;
    if (BYTE_ORDER != LITTLE_ENDIAN || setxattr(path, "system.posix_acl_access", &list, 4 + n * 8, 0) < 0)
        return -1;
    assert_int_equal(stat(path, &st), 0);
    return acl_lets_others_write(path, -1, &st);
}

static void a_list_counts_by_its_named_users_and_groups(void **state)
{
    struct stat st;
    (void)state;
    if (with_entry(USER, READ, 4711) < 0) {
        print_message("# not tried: this file system has no lists\n");
        return;
    }
    assert_int_equal(with_entry(USER, READ, 4711), false);
    assert_int_equal(with_entry(USER, READ | WRITE, 4711), true);
    assert_int_equal(with_entry(USER, READ | WRITE, 0), false);
    assert_int_equal(with_entry(USER, READ | WRITE, geteuid()), false);
    assert_int_equal(with_entry(GROUP, READ, 4711), false);
    assert_int_equal(with_entry(GROUP, READ | WRITE, 4711), true);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(acl_lets_others_write(NULL, fd, &st));
    assert_int_equal(fchmod(fd, 0644), 0); /* the mask */
    assert_int_equal(fstat(fd, &st), 0);
    assert_false(acl_lets_others_write(NULL, fd, &st));
    close(fd);
}

static void without_a_list_nobody_else_is_named(void **state)
{
    struct stat st;
    (void)state;
    removexattr(path, "system.posix_acl_access");
    assert_int_equal(chmod(path, 0660), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_false(acl_lets_others_write(path, -1, &st));
    assert_true(acl_lets_others_write("/nonexistent", -1, &st)); /* it cannot be read */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_counts_by_its_named_users_and_groups),
        cmocka_unit_test(without_a_list_nobody_else_is_named),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int r = cmocka_run_group_tests_name("acl", tests, NULL, NULL);
    unlink(path);
    return r;
}
