/* What /proc says of children. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/procfs.h"

enum { MANY = 1100 };

static pid_t new_child(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent)
        pause();
    _exit(0);
}

static void all_children_are_listed_however_many(void **state)
{
    pid_t made[MANY], *listed;
    size_t count;
    (void)state;
    assert_int_equal(procfs_children(&listed, &count), 0);
    assert_int_equal(count, 0);
    free(listed);
    for (size_t i = 0; i < MANY; i++) {
        made[i] = new_child();
        assert_true(made[i] > 0);
    }
    assert_int_equal(procfs_children(&listed, &count), 0);
    assert_int_equal(count, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(listed[i], made[i]); /* in the order of their birth */
    free(listed);
    for (size_t i = 0; i < MANY; i++) {
        kill(made[i], SIGKILL);
        assert_int_equal(waitpid(made[i], NULL, 0), made[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_children_are_listed_however_many)};
    return cmocka_run_group_tests_name("procfs", tests, NULL, NULL);
}
