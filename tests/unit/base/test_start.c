/* What the daemon inherits from whoever starts it must not matter. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/start.h"

/* → 0, or the number of what is wrong. */
static int start_among_leftovers(void)
{
    struct sigaction action;
    struct itimerval timer = {.it_value = {.tv_sec = 3600}};
    sigset_t all, now;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGHUP, SIG_IGN);
    setitimer(ITIMER_REAL, &timer, NULL);
    umask(0);
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    int left = fcntl(STDOUT_FILENO, F_DUPFD, 50);
    if (start_clean() < 0)
        return 1;
    if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDERR_FILENO, F_GETFD) < 0)
        return 2;
    if (sigaction(SIGHUP, NULL, &action) < 0 || action.sa_handler != SIG_DFL)
        return 3;
    if (sigprocmask(SIG_SETMASK, NULL, &now) < 0 || sigismember(&now, SIGTERM))
        return 4;
    if (getitimer(ITIMER_REAL, &timer) < 0 || timer.it_value.tv_sec != 0)
        return 5;
    if ((umask(0) & 022) != 022)
        return 6;
    return fcntl(left, F_GETFD) & FD_CLOEXEC ? 0 : 7;
}

static void leftovers_of_the_starter_are_put_right(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(start_among_leftovers());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void limits_are_raised_and_a_child_gets_the_old_ones(void **state)
{
    struct rlimit old, now, lower;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    lower = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &lower), 0);
    start_raise_limits();
    start_raise_limits(); /* remembers the first ones */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &now), 0);
    assert_true(now.rlim_cur == now.rlim_max && now.rlim_max >= old.rlim_max);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    assert_int_equal(start_restore_limits(pid), 0);
    assert_int_equal(prlimit(pid, RLIMIT_FSIZE, NULL, &now), 0);
    assert_true(now.rlim_cur == lower.rlim_cur && now.rlim_max == lower.rlim_max);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(start_restore_limits(pid), -ESRCH);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftovers_of_the_starter_are_put_right),
        cmocka_unit_test(limits_are_raised_and_a_child_gets_the_old_ones),
    };
    return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
