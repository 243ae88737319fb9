/* Log lines never block and are never lost unnoticed, whatever standard error is. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/log.h"

#define ROOM (1u << 20)

static char text[ROOM]; /* read back, terminated */
static int real_stderr;

/* Standard error becomes `fd`, which is taken. */
static void speak_to(int fd)
{
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    log_init(LOG_LEVEL_INFO, NULL);
}

static int be_silent(void **state)
{
    (void)state;
    if (getuid() == 0 && seteuid(0) < 0)
        return -1;
    dup2(real_stderr, STDERR_FILENO);
    log_init(LOG_LEVEL_ERROR, NULL);
    unsetenv("JOURNAL_STREAM");
    return 0;
}

/* Adds all that is there now. → how much that is */
static size_t read_more(int fd, size_t length)
{
    size_t before = length;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = read(fd, text + length, ROOM - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = 0;
    return length - before;
}

static void read_back(int fd)
{
    read_more(fd, 0);
}

static size_t lines(void)
{
    size_t n = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

/* More than fits into a pipe or socket nobody reads: no call blocks, and the next line that fits tells how many are
 * missing. */
static void flood(int from)
{
    enum { MANY = 400 };
    char payload[1000];
    memset(payload, 'x', sizeof payload - 1);
    payload[sizeof payload - 1] = 0;
    for (int i = 0; i < MANY; i++)
        log_info("%s", payload);
    read_back(from);
    size_t came = lines();
    assert_true(came > 0 && came < MANY);
    log_info("after it");
    read_back(from);
    char missing[64];
    snprintf(missing, sizeof missing, "dropped_lines=%zu", MANY - came);
    if (!strstr(text, missing))
        fail_msg("no %s in: %.300s", missing, text);
    assert_non_null(strstr(text, "after it\n"));
}

static void a_pipe_that_is_not_read_loses_lines_and_says_how_many(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    speak_to(ends[1]);
    flood(ends[0]);
    assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK); /* it is shared with whoever started us */
    close(ends[0]);
}

static void a_socket_that_is_not_read_loses_lines_and_says_how_many(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    speak_to(ends[1]);
    flood(ends[0]);
    close(ends[0]);
}

/* A terminal of another user, say: the daemon may write to it, but not open it. */
static void a_pipe_that_cannot_be_opened_does_not_block_either(void **state)
{
    int ends[2];
    (void)state;
    /* cmocka's skip() says "not ok" in TAP. */
    if (geteuid() != 0) {
        print_message("# not tried: it takes root to be somebody else\n");
        return;
    }
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fchmod(ends[1], 0), 0);
    assert_int_equal(seteuid(65534), 0);
    speak_to(ends[1]);
    flood(ends[0]);
    assert_int_equal(seteuid(0), 0);
    close(ends[0]);
}

/* A terminal takes parts of lines. */
static void no_line_is_cut_by_the_next(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    char payload[3000];
    (void)state;
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    speak_to(slave);
    memset(payload, 'y', sizeof payload - 1);
    payload[sizeof payload - 1] = 0;
    for (int i = 0; i < 100; i++) /* more than it holds */
        log_info("%s", payload);
    size_t length = 0;
    for (int i = 0; i < 100; i++) {
        log_info("more");
        length += read_more(master, length);
    }
    size_t whole = 0;
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        const char *said = strstr(line, " info ");
        whole += said && strcmp(said + 6, payload) == 0;
        if (!said ? !strstr(line, " warning log dropped_lines=")
                  : strcmp(said + 6, payload) != 0 && strcmp(said + 6, "more") != 0)
            fail_msg("cut: %.100s", line);
    }
    assert_true(whole > 0);
    close(master);
}

static void the_journal_gets_priorities(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    setenv("JOURNAL_STREAM", "1:2", 1);
    speak_to(ends[1]);
    log_error("an error");
    log_warning("a warning");
    log_info("a note");
    log_debug("too much");
    read_back(ends[0]);
    assert_string_equal(text, "<3>an error\n<4>a warning\n<6>a note\n");
    close(ends[0]);
}

static void elsewhere_a_line_has_its_time_level_and_speaker(void **state)
{
    int ends[2], hour, minute;
    double second;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    speak_to(ends[1]);
    log_init(LOG_LEVEL_DEBUG, "mpoold");
    log_debug("a \xff byte");
    read_back(ends[0]);
    assert_int_equal(sscanf(text, "%d:%d:%lf debug mpoold: a ", &hour, &minute, &second), 3);
    assert_null(strchr(text, '\xff')); /* readers of logs may insist on UTF-8 */
    assert_non_null(strstr(text, " byte\n"));
    close(ends[0]);
}

static void without_standard_error_only_lines_are_lost(void **state)
{
    (void)state;
    close(STDERR_FILENO);
    log_init(LOG_LEVEL_INFO, NULL);
    errno = EDOM;
    log_info("nobody hears this");
    assert_int_equal(errno, EDOM);
}

static void what_tasks_print_too_much_is_counted(void **state)
{
    int ends[2];
    char payload[3000];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    speak_to(ends[1]);
    memset(payload, 'z', sizeof payload - 1);
    payload[sizeof payload - 1] = 0;
    for (size_t sent = 0; sent < LOG_BURST + (1u << 20); sent += sizeof payload) {
        log_foreign(LOG_LEVEL_INFO, "%s", payload);
        log_foreign(LOG_LEVEL_DEBUG, "%s", payload);
        read_back(ends[0]);
    }
    log_error("the daemon is heard"); /* its budget is its own */
    read_back(ends[0]);
    assert_non_null(strstr(text, "the daemon is heard"));
    for (int i = 0; i < 50 && !strstr(text, "suppressed_lines="); i++) {
        usleep(20000); /* the budget grows by 64 KiB a second */
        log_foreign(LOG_LEVEL_INFO, "short");
        read_back(ends[0]);
    }
    assert_non_null(strstr(text, "of=\"tasks\""));
    close(ends[0]);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("loud"), -1);
}

#define T(name) cmocka_unit_test_teardown(name, be_silent)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_pipe_that_is_not_read_loses_lines_and_says_how_many),
        T(a_socket_that_is_not_read_loses_lines_and_says_how_many),
        T(a_pipe_that_cannot_be_opened_does_not_block_either),
        T(no_line_is_cut_by_the_next),
        T(the_journal_gets_priorities),
        T(elsewhere_a_line_has_its_time_level_and_speaker),
        T(without_standard_error_only_lines_are_lost),
        T(what_tasks_print_too_much_is_counted),
        T(levels_have_names),
    };
    real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
