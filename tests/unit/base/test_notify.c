/* What the service manager is told, and where. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/log.h"
#include "daemon/base/notify.h"

static char directory[] = "/tmp/mpool-unit-XXXXXX";
static char path[100];
static int manager = -1;

/* A manager that listens there; '@' stands for the zero byte of an abstract address. */
static void listen_at(const char *where)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(where);
    assert_true(length < sizeof address.sun_path);
    memcpy(address.sun_path, where, length);
    if (where[0] == '@')
        address.sun_path[0] = 0;
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(manager >= 0);
    assert_int_equal(
        bind(manager, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)), 0);
    setenv("NOTIFY_SOCKET", where, 1);
}

static void expect_heard(const char *text)
{
    char heard[100] = "";
    ssize_t n = recv(manager, heard, sizeof heard - 1, 0);
    assert_int_equal(n, text ? (ssize_t)strlen(text) : -1);
    assert_string_equal(heard, text ? text : "");
}

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/notify", directory);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(manager);
    unlink(path);
    unsetenv("NOTIFY_SOCKET");
    return 0;
}

static void it_is_told_at_its_path(void **state)
{
    (void)state;
    listen_at(path);
    notify("READY=1");
    expect_heard("READY=1");
}

static void an_abstract_address_begins_with_at(void **state)
{
    char where[60];
    (void)state;
    snprintf(where, sizeof where, "@mpool-unit-%d", (int)getpid());
    listen_at(where);
    notify("STOPPING=1");
    expect_heard("STOPPING=1");
}

static void what_is_no_address_is_passed_over(void **state)
{
    static char longer[200];
    (void)state;
    listen_at(path);
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    const char *const bad[] = {"", "/", "relative", longer};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        notify("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    notify("READY=1");
    expect_heard(NULL);
}

static void a_manager_that_is_gone_or_behind_is_logged_and_not_waited_for(void **state)
{
    int ends[2], old = dup(STDERR_FILENO);
    static char log[1 << 16];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_init(LOG_LEVEL_INFO, NULL);
    listen_at(path);
    for (int i = 0; i < 1000; i++) /* more than its queue holds */
        notify("WATCHDOG=1");
    unlink(path);
    notify("STOPPING=1");
    dup2(old, STDERR_FILENO);
    close(ends[1]);
    log_init(LOG_LEVEL_INFO, NULL);
    assert_true(read(ends[0], log, sizeof log - 1) > 0);
    close(ends[0]);
    close(old);
    assert_non_null(strstr(log, "cannot notify the service manager (WATCHDOG=1): Resource temporarily unavailable"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_is_told_at_its_path),
        T(an_abstract_address_begins_with_at),
        T(what_is_no_address_is_passed_over),
        T(a_manager_that_is_gone_or_behind_is_logged_and_not_waited_for),
    };
    if (!mkdtemp(directory))
        return 1;
    int r = cmocka_run_group_tests_name("notify", tests, NULL, NULL);
    rmdir(directory);
    return r;
}
