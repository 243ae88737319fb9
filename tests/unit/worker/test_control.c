/* The control protocol as the forkserver and its workers see it: here the test is the supervisor, and breaks the rules.
 * Both trust it, but a message that is damaged, late or missing must end them with a reason, and not run a task wrong.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* cmocka has macros of the names of functions in the module header. */
#include "daemon/worker/worker_main.h"

#include <cmocka.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/packet.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/lane/lane.h"
#include "daemon/worker/forkserver_main.h"
#include "proto/buf.h"
#include "tests/unit/json/json.h"

#define PATIENCE_S 30

static struct {
    int socket; /* to the forkserver */
    pid_t pid;
    int control, err; /* to the worker, and what it prints */
    pid_t worker;
    struct lane *lane;
    struct sleep_word *sleep_word;
} at;

/* Waits until the process has ended. → its exit status, or -1: it was killed */
static int status_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int end_all(void **state)
{
    (void)state;
    fd_close(&at.socket);
    fd_close(&at.control);
    fd_close(&at.err);
    if (at.worker > 0) {
        kill(at.worker, SIGKILL);
        waitpid(at.worker, NULL, 0);
    }
    if (at.pid > 0)
        waitpid(at.pid, NULL, 0);
    if (at.lane)
        lane_free(at.lane);
    sleep_word_free(at.sleep_word);
    return 0;
}

static void start_forkserver(void)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int ends[2];
    memset(&at, 0, sizeof at);
    at.control = at.err = -1;
    assert_int_equal(packet_pair(0, ends), 0);
    at.socket = ends[0];
    assert_int_equal(setsockopt(at.socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    at.pid = fork();
    assert_true(at.pid >= 0);
    if (at.pid == 0) {
        int theirs = fcntl(ends[1], F_DUPFD, CONTROL_FORKSERVER_FD + 1);
        dup2(theirs, CONTROL_FORKSERVER_FD);
        close(theirs);
        execl("/proc/self/exe", "test", "forkserver", (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
}

static void say(int socket, uint32_t type, const void *body, size_t size, const int *fds, size_t count)
{
    struct control_head head = {.type = type, .size = (uint32_t)size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)body, size}};
    assert_int_equal(packet_send(socket, parts, 2, fds, count), sizeof head + size);
}

/* config: JSON, in which PID is our own */
static void configure(const char *config)
{
    char json[600];
    struct wire_buf out = {0};
    const char *pid = strstr(config, "PID");
    if (pid)
        snprintf(json, sizeof json, "%.*s%d%s", (int)(pid - config), config, (int)getpid(), pid + 3);
    else
        snprintf(json, sizeof json, "%s", config);
    json_pack_text(&out, json);
    say(at.socket, CONTROL_CONFIG, wire_buf_at(&out), wire_buf_length(&out), NULL, 0);
    wire_buf_reset(&out);
}

/* The next message of that type; others are passed over. → its body as text; NULL: end of file comes first */
static const char *hear(int socket, uint32_t type, int *fd)
{
    static union {
        struct control_head head;
        char bytes[8192];
    } message;
    for (;;) {
        int got = -1;
        size_t count = 1;
        ssize_t n = packet_receive(socket, &message, sizeof message - 1, &got, &count, NULL);
        if (n < 0)
            fail_msg("no message in time");
        if (n == 0)
            return NULL;
        message.bytes[n] = 0;
        if (message.head.type == type) {
            if (fd)
                *fd = got;
            else
                fd_close(&got);
            return message.bytes + sizeof message.head;
        }
        fd_close(&got);
    }
}

/* ---- the forkserver ---- */

static void a_configuration_that_cannot_be_read_is_refused(void **state)
{
    static const struct {
        const char *config, *why;
    } bad[] = {
        {"[]", "first message cannot be read"},
        {"[\"p\"]", "first message cannot be read"},
        {"[1, PID, 32, 0, false, null, null, \"\", [], []]", "first message cannot be read"},
        {"[\"p\", PID, 32, 0, 1, null, null, \"\", [], []]", "first message cannot be read"},
        {"[\"p\", PID, 32, 0, false, \"root\", null, \"\", [], []]", "first message cannot be read"},
        {"[\"p\", PID, 32, 0, false, null, null, 5, [], []]", "first message cannot be read"},
        {"[\"p\", PID, 32, 0, false, null, null, \"\", 1, []]", "first message cannot be read"},
        {"[\"p\", PID, 32, 0, false, null, null, \"\", [1], []]", "module path cannot be read"},
        {"[\"p\", PID, 32, 0, false, null, null, \"\", [], 1]", "first message cannot be read"},
        {"[\"p\", PID, 32, 0, false, null, null, \"\", [], [1]]", "module's name cannot be read"},
        {"[\"p\", PID, 32, 0, false, null, null, \"\", [\"/nowhere\"], [\"absent\"]]", "absent"},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        start_forkserver();
        configure(bad[i].config);
        const char *why = hear(at.socket, CONTROL_FORKSERVER_FAILED, NULL);
        if (!why || !strstr(why, bad[i].why))
            fail_msg("%s: %s", bad[i].config, why ? why : "no reason");
        assert_int_equal(status_of(at.pid), 1);
        at.pid = 0;
        end_all(state);
    }
    memset(&at, 0, sizeof at);
    at.socket = at.control = at.err = -1;
}

static const char plain[] = "[\"p\", PID, 32, 0, false, null, null, \"\", [], []]";

static void a_message_out_of_turn_ends_the_forkserver(void **state)
{
    struct control_fork fork_ = {.worker = 1};
    (void)state;
    for (int i = 0; i < 5; i++) {
        start_forkserver();
        if (i >= 3) {
            configure(plain);
            assert_non_null(hear(at.socket, CONTROL_FORKSERVER_READY, NULL));
        }
        switch (i) {
        case 0: assert_int_equal(send(at.socket, "x", 1, 0), 1); break;
        case 1: say(at.socket, CONTROL_FORK, &fork_, sizeof fork_, NULL, 0); break;
        case 2: say(at.socket, CONTROL_DOORBELL, NULL, 0, NULL, 0); break;
        case 3: configure(plain); break;
        case 4: say(at.socket, CONTROL_FORK, &fork_, sizeof fork_, NULL, 0); break; /* without descriptors */
        }
        assert_int_equal(status_of(at.pid), 1);
        at.pid = 0;
        end_all(state);
    }
    memset(&at, 0, sizeof at);
    at.socket = at.control = at.err = -1;
}

static void a_forkserver_ends_with_its_supervisor(void **state)
{
    (void)state;
    start_forkserver();
    configure(plain);
    assert_non_null(hear(at.socket, CONTROL_FORKSERVER_READY, NULL));
    fd_close(&at.socket);
    assert_int_equal(status_of(at.pid), 0);
    at.pid = 0;
}

/* Its supervisor has died between the start and PDEATHSIG: it is another process's child by then. */
static void a_forkserver_whose_parent_is_another_ends(void **state)
{
    (void)state;
    start_forkserver();
    configure("[\"p\", 1, 32, 0, false, null, null, \"\", [], []]");
    assert_null(hear(at.socket, CONTROL_FORKSERVER_READY, NULL));
    assert_int_equal(status_of(at.pid), 1);
    at.pid = 0;
}

static void a_person_who_tries_the_verb_is_told(void **state)
{
    int out[2];
    char text[200] = "";
    (void)state;
    memset(&at, 0, sizeof at);
    at.socket = at.control = at.err = -1;
    assert_int_equal(pipe(out), 0);
    at.pid = fork();
    if (at.pid == 0) {
        dup2(out[1], STDERR_FILENO);
        for (int fd = 3; fd < 100; fd++)
            close(fd);
        execl("/proc/self/exe", "test", "forkserver", (char *)NULL);
        _exit(99);
    }
    close(out[1]);
    assert_int_equal(status_of(at.pid), 2);
    at.pid = 0;
    assert_true(read(out[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "this verb is for mpoold itself"));
    close(out[0]);
}

/* ---- workers ---- */

/* From a forkserver with the module sys. s, w: its lane, or what is sent in its place */
static void ask_for_worker(int s, int w)
{
    struct control_fork fork_ = {.worker = 1, .generation = 7};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    char config[600];
    const char *directory = getenv("MPOOL_TEST_MODULES");
    int ends[2], out[2];
    if (!directory)
        fail_msg("run this test with meson test, or set MPOOL_TEST_MODULES");
    snprintf(config, sizeof config, "[\"p\", PID, 32, 0, false, null, null, \"\", [\"%s\"], [\"sys\"]]", directory);
    configure(config);
    assert_non_null(hear(at.socket, CONTROL_FORKSERVER_READY, NULL));
    assert_int_equal(packet_pair(0, ends), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    at.control = ends[0];
    at.err = out[0];
    assert_int_equal(setsockopt(at.control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    int fds[] = {ends[1], s, w, sleep_word_fd(at.sleep_word), out[1], out[1]};
    say(at.socket, CONTROL_FORK, &fork_, sizeof fork_, fds, ELEMENTS(fds));
    close(ends[1]);
    close(out[1]);
    struct control_forked forked;
    const char *body = hear(at.socket, CONTROL_FORKED, NULL);
    assert_non_null(body);
    memcpy(&forked, body, sizeof forked);
    assert_int_equal(forked.worker, 1);
    assert_int_equal(forked.generation, 7);
    assert_true(forked.pid > 0);
    at.worker = forked.pid;
}

static void start_worker(void)
{
    start_forkserver();
    assert_int_equal(lane_new(&at.lane, 7), 0);
    assert_int_equal(sleep_word_new(&at.sleep_word), 0);
    ask_for_worker(lane_fd_s(at.lane), lane_fd_w(at.lane));
    assert_non_null(hear(at.control, CONTROL_WORKER_READY, NULL));
}

static void assert_ended(int status, const char *why)
{
    char text[300] = "";
    assert_int_equal(status_of(at.worker), status);
    at.worker = 0;
    assert_true(read(at.err, text, sizeof text - 1) >= 0);
    if (!strstr(text, why))
        fail_msg("no \"%s\" in \"%s\"", why, text);
}

static uint32_t place(struct lane_job job)
{
    uint32_t position;
    job.task_id = 1;
    job.function = job.function == CONTROL_FUNCTION_RETIRE ? job.function : 1; /* sys.echo */
    job.attempt = 1;
    job.max_result = 1 << 20;
    assert_int_equal(lane_place(at.lane, &job, NULL, 0, &position), 0);
    return position;
}

static void say_memfd(uint32_t type, uint32_t position, uint64_t size, int fd)
{
    struct control_memfd body = {.position = position, .size = size};
    say(at.control, type, &body, sizeof body, &fd, fd >= 0);
}

static void expect_result(enum lane_outcome outcome, const char *part)
{
    struct lane_result result;
    int r;
    for (int waited = 0; (r = lane_collect(at.lane, &result)) == 0 && waited < PATIENCE_S * 1000; waited++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(r, 1);
    assert_int_equal(result.outcome, outcome);
    assert_non_null(memmem(result.data, result.size, part, strlen(part)));
    lane_release(at.lane);
}

static void a_worker_that_cannot_use_its_lane_says_so(void **state)
{
    (void)state;
    start_forkserver();
    assert_int_equal(sleep_word_new(&at.sleep_word), 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ask_for_worker(null, null);
    close(null);
    assert_ended(WORKER_EXIT_SETUP, "worker: cannot map its lane: Invalid argument");
}

static void a_worker_retires_when_it_is_told(void **state)
{
    (void)state;
    start_worker();
    place((struct lane_job){.function = CONTROL_FUNCTION_RETIRE});
    lane_post(at.lane);
    assert_ended(0, "");
}

static void arguments_that_do_not_come_end_the_worker(void **state)
{
    (void)state;
    start_worker();
    place((struct lane_job){.flags = LANE_JOB_MEMFD, .args_size = 2});
    shutdown(at.control, SHUT_RDWR);
    lane_post(at.lane);
    assert_ended(WORKER_EXIT_CONTROL, "worker: cannot receive large arguments: Broken pipe");
}

static void standard_input_that_does_not_come_ends_the_worker(void **state)
{
    (void)state;
    start_worker();
    place((struct lane_job){.flags = LANE_JOB_STDIN});
    shutdown(at.control, SHUT_RDWR);
    lane_post(at.lane);
    assert_ended(WORKER_EXIT_CONTROL, "worker: cannot receive standard input: Broken pipe");
}

static void a_descriptor_of_another_job_ends_the_worker(void **state)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)state;
    for (int i = 0; i < 4; i++) {
        start_worker();
        uint32_t position = place((struct lane_job){.flags = LANE_JOB_MEMFD, .args_size = 2});
        switch (i) {
        case 0: say_memfd(CONTROL_ARGS, position + 1, 2, null); break; /* a later one's */
        case 1: say_memfd(CONTROL_STDIN, position, 0, null); break;    /* of another kind */
        case 2: say_memfd(CONTROL_DOORBELL, position, 2, null); break; /* of no kind */
        case 3: say_memfd(CONTROL_ARGS, position, 2, -1); break;       /* none */
        }
        lane_post(at.lane);
        assert_ended(WORKER_EXIT_CONTROL, "worker: cannot receive large arguments: Protocol error");
        end_all(state);
    }
    close(null);
    memset(&at, 0, sizeof at);
    at.socket = at.control = at.err = -1;
}

static void arguments_that_cannot_be_mapped_fail_their_task_alone(void **state)
{
    int ends[2], args = memfd_of_bytes("args", "\x91\x05", 2);
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    start_worker();
    uint32_t position = place((struct lane_job){.flags = LANE_JOB_MEMFD, .args_size = 2});
    say_memfd(CONTROL_ARGS, position, 2, ends[0]);
    lane_post(at.lane);
    expect_result(LANE_OUTCOME_FAILED_RETRYABLE, "the worker cannot take large arguments: ");
    /* The next one runs. What came for a job that was taken back does not disturb it. */
    uint32_t back = place((struct lane_job){.flags = LANE_JOB_MEMFD, .args_size = 3});
    position = place((struct lane_job){.flags = LANE_JOB_MEMFD, .args_size = 2});
    say_memfd(CONTROL_ARGS, back, 3, ends[0]);
    say_memfd(CONTROL_ARGS, position, 2, args);
    assert_true(lane_reclaim(at.lane, back));
    lane_post(at.lane);
    struct lane_result result;
    assert_int_equal(lane_collect(at.lane, &result), 1);
    assert_true(result.reclaimed);
    lane_release(at.lane);
    expect_result(LANE_OUTCOME_OK, "\x05");
    close(ends[0]);
    close(ends[1]);
    close(args);
}

static void an_idle_worker_holds_no_descriptor_of_a_job_that_was_taken_back(void **state)
{
    int ends[2];
    char byte;
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    start_worker();
    uint32_t position = place((struct lane_job){.flags = LANE_JOB_STDIN});
    say_memfd(CONTROL_STDIN, position, 0, ends[1]);
    fd_close(&ends[1]);
    assert_true(lane_reclaim(at.lane, position));
    lane_post(at.lane);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* the last copy is closed */
    close(ends[0]);
}

#define T(name) cmocka_unit_test_teardown(name, end_all)

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "forkserver") == 0)
        return forkserver_main();
    const struct CMUnitTest tests[] = {
        T(a_configuration_that_cannot_be_read_is_refused),
        T(a_message_out_of_turn_ends_the_forkserver),
        T(a_forkserver_ends_with_its_supervisor),
        T(a_forkserver_whose_parent_is_another_ends),
        T(a_person_who_tries_the_verb_is_told),
        T(a_worker_that_cannot_use_its_lane_says_so),
        T(a_worker_retires_when_it_is_told),
        T(arguments_that_do_not_come_end_the_worker),
        T(standard_input_that_does_not_come_ends_the_worker),
        T(a_descriptor_of_another_job_ends_the_worker),
        T(arguments_that_cannot_be_mapped_fail_their_task_alone),
        T(an_idle_worker_holds_no_descriptor_of_a_job_that_was_taken_back),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
