/* exec.run: what a command gets, what is said of it, and that nothing of it stays. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/lane/control_protocol.h"
#include "proto/reader.h"

/* ---- reading the answer ----------------------------------------------------------------------------------------- */

static struct wire_reader field(struct world *w, const char *name)
{
    size_t length, n;
    const uint8_t *bytes = world_result(w, &length);
    struct wire_reader r = wire_reader(bytes, length);
    uint32_t pairs;
    const char *key;
    if (w->outcome.outcome != LANE_OUTCOME_OK)
        fail_msg("%s", world_show(w));
    assert_int_equal(wire_read_map(&r, &pairs), 0);
    for (uint32_t i = 0; i < pairs; i++) {
        assert_int_equal(wire_read_str(&r, &key, &n), 0);
        if (n == strlen(name) && memcmp(key, name, n) == 0)
            return r;
        assert_int_equal(wire_skip(&r), 0);
    }
    fail_msg("no %s in the answer", name);
    return r;
}

static int64_t number(struct world *w, const char *name)
{
    struct wire_reader r = field(w, name);
    int64_t value;
    if (wire_peek(&r) == WIRE_TYPE_NIL)
        return -1;
    assert_int_equal(wire_read_i64(&r, &value), 0);
    return value;
}

static double real(struct world *w, const char *name)
{
    struct wire_reader r = field(w, name);
    double value;
    assert_int_equal(wire_read_f64(&r, &value), 0);
    return value;
}

static bool flag(struct world *w, const char *name)
{
    struct wire_reader r = field(w, name);
    bool value;
    assert_int_equal(wire_read_bool(&r, &value), 0);
    return value;
}

static const char *said(struct world *w, const char *name)
{
    struct wire_reader r = field(w, name);
    const void *bytes;
    size_t n;
    assert_int_equal(wire_read_bin(&r, &bytes, &n), 0);
    snprintf(w->shown, sizeof w->shown, "%.*s", (int)n, (const char *)bytes);
    return w->shown;
}

static void run(struct world *w, const char *args)
{
    world_call(w, "exec.run", args);
}

static void assert_ended(struct world *w, int status, const char *out, const char *err)
{
    assert_string_equal(said(w, "stderr"), err);
    assert_string_equal(said(w, "stdout"), out);
    assert_int_equal(number(w, "status"), status);
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

static void a_command_runs_and_its_end_is_told(void **state)
{
    struct world *w = *state;
    run(w, "[[\"echo\", \"a b\", \"c\"]]");
    assert_ended(w, 0, "a b c\n", "");
    assert_int_equal(number(w, "signal"), -1);
    assert_false(flag(w, "timed_out"));
    assert_false(flag(w, "truncated"));
    assert_in_range(number(w, "peak_kib"), 100, 500000);
    assert_true(number(w, "wall_ms") >= 0);
    run(w, "[[\"sh\", \"-c\", \"echo out; echo err >&2; exit 7\"]]");
    assert_ended(w, 7, "out\n", "err\n");
}

static void a_string_is_shell_text(void **state)
{
    struct world *w = *state;
    run(w, "[\"echo $((6 * 7)) | tr 4 x\"]");
    assert_ended(w, 0, "x2\n", "");
}

static void a_signal_is_told(void **state)
{
    struct world *w = *state;
    run(w, "[\"kill -9 $$\"]");
    assert_int_equal(number(w, "status"), -1);
    assert_int_equal(number(w, "signal"), 9);
}

static void a_missing_command_has_status_127(void **state)
{
    struct world *w = *state;
    run(w, "[[\"no-such-command\", \"x\"]]");
    assert_ended(w, 127, "", "exec: no-such-command: No such file or directory\n");
    run(w, "[[\"/etc/passwd/x\"]]");
    assert_ended(w, 127, "", "exec: /etc/passwd/x: Not a directory\n");
}

static void a_path_that_may_not_be_searched_hides_its_commands(void **state)
{
    struct world *w = *state;
    char directory[] = "/tmp/mpool-test-XXXXXX", args[256];
    /* cmocka's skip() says "not ok" in TAP. */
    if (geteuid() == 0) {
        print_message("# not tried: nothing is hidden from root\n");
        return;
    }
    assert_non_null(mkdtemp(directory));
    snprintf(args, sizeof args, "[[\"no-such-command\"], {\"env\": {\"PATH\": \"%s:/bin\"}}]", directory);
    assert_int_equal(chmod(directory, 0), 0);
    run(w, args);
    rmdir(directory);
    assert_ended(w, 127, "", "exec: no-such-command: No such file or directory\n");
}

static void a_command_that_cannot_be_executed_has_status_126(void **state)
{
    struct world *w = *state;
    run(w, "[[\"/etc/passwd\"]]");
    assert_ended(w, 126, "", "exec: /etc/passwd: Permission denied\n");
    run(w, "[[\"/\"]]");
    assert_ended(w, 126, "", "exec: /: Permission denied\n");
}

static void a_file_of_path_that_cannot_be_executed_is_not_missing(void **state)
{
    struct world *w = *state;
    char directory[] = "/tmp/mpool-test-XXXXXX", file[64], args[256];
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/tool", directory);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    snprintf(args, sizeof args, "[[\"tool\"], {\"env\": {\"PATH\": \"/bin:%s\"}, \"timeout\": null}]", directory);
    run(w, args);
    unlink(file);
    rmdir(directory);
    assert_ended(w, 126, "", "exec: tool: Permission denied\n");
}

static void the_reaper_is_of_no_use_by_itself(void **state)
{
    char path[600], text[200] = "";
    (void)state;
    snprintf(path, sizeof path, "%s/mpool-reaper 2>&1", shipped());
    FILE *f = popen(path, "re");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    assert_int_equal(WEXITSTATUS(pclose(f)), EXIT_FAILURE);
    assert_non_null(strstr(text, "is started by mpoold's exec module"));
}

static void a_command_exiting_with_127_is_not_blamed_on_exec(void **state)
{
    struct world *w = *state;
    run(w, "[\"exit 127\"]");
    assert_ended(w, 127, "", "");
}

static void directory_and_environment_are_as_asked(void **state)
{
    struct world *w = *state;
    setenv("MPOOL_TEST_KEPT", "kept", 1);
    setenv("MPOOL_TEST_GONE", "gone", 1);
    run(w, "[\"pwd; echo $MPOOL_TEST_KEPT $MPOOL_TEST_GONE $MPOOL_TEST_NEW\", {\"cwd\": \"/usr\", \"env\": "
           "{\"MPOOL_TEST_GONE\": null, \"MPOOL_TEST_NEW\": \"a=b\"}}]");
    assert_ended(w, 0, "/usr\nkept a=b\n", "");
    run(w, "[[\"true\"], {\"cwd\": \"/nonexistent\"}]");
    assert_failed(w, "E_FAILED: /nonexistent: No such file or directory");
    /* The command is looked for along its own PATH. */
    run(w, "[[\"true\"], {\"env\": {\"PATH\": \"/nonexistent\"}}]");
    assert_int_equal(number(w, "status"), 127);
}

static void stdin_is_fed_or_empty(void **state)
{
    struct world *w = *state;
    run(w, "[[\"cat\"]]");
    assert_ended(w, 0, "", "");
    run(w, "[[\"cat\"], {\"stdin\": \"hello\"}]");
    assert_ended(w, 0, "hello", "");
}

static void run_with_stdin(struct world *w, const char *command, size_t length)
{
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, 2);
    wire_pack_text(&pk, command);
    msgpack_pack_map(&pk, 1);
    wire_pack_text(&pk, "stdin");
    char *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 31 >> 4);
    msgpack_pack_bin(&pk, length);
    msgpack_pack_bin_body(&pk, bytes, length);
    free(bytes);
    world_run_bytes(w, (uint32_t)modules_find(w->modules, "exec.run", 8), wire_buf_at(&b), wire_buf_length(&b));
}

static void much_input_and_output_flow_at_once(void **state)
{
    struct world *w = *state;
    const size_t length = 8u << 20;
    run_with_stdin(w, "cat", length);
    struct wire_reader r = field(w, "stdout");
    const void *bytes;
    size_t n;
    assert_int_equal(wire_read_bin(&r, &bytes, &n), 0);
    assert_int_equal(n, length);
    for (size_t i = 0; i < n; i += 4093)
        assert_int_equal(((const char *)bytes)[i], (char)(i * 31 >> 4));
}

static void input_that_nobody_reads_is_no_error(void **state)
{
    struct world *w = *state;
    signal(SIGPIPE, SIG_DFL);
    run_with_stdin(w, "exec 0<&-; echo done", 8u << 20);
    assert_ended(w, 0, "done\n", "");
    run_with_stdin(w, "head -c 3 | wc -c", 8u << 20);
    assert_int_equal(number(w, "status"), 0);
}

static void output_beyond_max_output_is_cut_and_the_command_goes_on(void **state)
{
    struct world *w = *state;
    run(w, "[\"head -c 1000000 /dev/zero | tr '\\\\0' x; echo end >&2; exit 3\", {\"max_output\": 100000}]");
    assert_true(flag(w, "truncated"));
    struct wire_reader r = field(w, "stdout");
    const void *bytes;
    size_t n;
    assert_int_equal(wire_read_bin(&r, &bytes, &n), 0);
    assert_int_equal(n, 100000);
    assert_string_equal(said(w, "stderr"), "end\n");
    assert_int_equal(number(w, "status"), 3);
    run(w, "[\"echo x\", {\"max_output\": 0}]");
    assert_ended(w, 0, "", "");
    assert_true(flag(w, "truncated"));
}

static void output_is_streamed_to_the_caller_who_asks(void **state)
{
    struct world *w = *state;
    w->job.job.flags = LANE_JOB_OUTPUT;
    run(w, "[\"echo out; echo err >&2; head -c 500000 /dev/zero\", {\"output\": true}]");
    assert_ended(w, 0, "", "");
    assert_int_equal(wire_buf_length(&w->out[1]), 500004);
    assert_memory_equal(wire_buf_at(&w->out[1]), "out\n", 4);
    assert_int_equal(wire_buf_length(&w->out[2]), 4);
    run(w, "[[\"no-such-command\"], {\"output\": true}]");
    assert_ended(w, 127, "", "");
    assert_int_equal(wire_buf_length(&w->out[2]), 4 + 49);
}

static void wrong_arguments_are_refused(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *args, *says;
    } bad[] = {
        {"[]", "E_BAD_ARGS: argument 1 is missing: 0 given"},
        {"[7]", "E_BAD_ARGS: argument 1: expected array, got 7"},
        {"[[]]", "E_FAILED: the command is empty"},
        {"[[\"true\", 7]]", "E_BAD_ARGS: in argument 1: expected binary or string, got 7"},
        {"[[\"true\"], 7]", "E_BAD_ARGS: argument 2: expected map, got 7"},
        {"[[\"true\"], {\"cdw\": \"/\"}]",
            "E_FAILED: there is no option \"cdw\": use env, cwd, umask, stdin, timeout, output, merge or max_output"},
        {"[[\"true\"], {\"umask\": 512}]", "E_FAILED: option umask: 0 to 0777"},
        {"[[\"true\"], {\"timeout\": -1}]", "E_FAILED: option timeout: 0 to 1000000000 seconds"},
        {"[[\"true\"], {\"umask\": \"x\"}]", "E_BAD_ARGS: in argument 2: expected integer of 0 or more, got string"},
        {"[[\"true\"], {\"timeout\": \"x\"}]", "E_BAD_ARGS: in argument 2: expected number, got string"},
        {"[[\"true\"], {\"max_output\": \"x\"}]",
            "E_BAD_ARGS: in argument 2: expected integer of 0 or more, got string"},
        {"[[\"true\"], {\"merge\": 1}]", "E_BAD_ARGS: in argument 2: expected bool, got 1"},
        {"[[\"true\"], {\"env\": [1]}]", "E_BAD_ARGS: in argument 2: expected map, got array"},
        {"[[\"true\"], {\"env\": {\"A=B\": \"x\"}}]", "E_FAILED: \"A=B\" cannot be the name of a variable"},
        {"[[\"true\"], {\"env\": {\"\": \"x\"}}]", "E_FAILED: \"\" cannot be the name of a variable"},
        {"[[\"true\"], {}, 3]", "E_FAILED: exec.run takes a command and a map of options"},
    };
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        run(w, bad[i].args);
        assert_failed(w, bad[i].says);
    }
    const uint8_t nul[] = {0x91, 0x92, 0xa4, 'e', 'c', 'h', 'o', 0xa2, 'a', 0};
    world_run_bytes(w, (uint32_t)modules_find(w->modules, "exec.run", 8), nul, sizeof nul);
    assert_failed(w, "E_FAILED: arguments, variables and paths cannot contain the byte 0");
}

static void an_argument_list_beyond_the_kernels_limit_has_status_126(void **state)
{
    struct world *w = *state;
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    const size_t length = 4u << 20;
    char *big = malloc(length);
    memset(big, 'x', length);
    msgpack_pack_array(&pk, 1);
    msgpack_pack_array(&pk, 2);
    wire_pack_text(&pk, "true");
    msgpack_pack_bin(&pk, length);
    msgpack_pack_bin_body(&pk, big, length);
    free(big);
    world_run_bytes(w, (uint32_t)modules_find(w->modules, "exec.run", 8), wire_buf_at(&b), wire_buf_length(&b));
    assert_ended(w, 126, "", "exec: true: Argument list too long\n");
    run(w, "[[\"echo\", \"fine\"]]");
    assert_ended(w, 0, "fine\n", "");
}

/* ---- ends ------------------------------------------------------------------------------------------------------- */

static void a_timed_out_command_is_ended(void **state)
{
    struct world *w = *state;
    run(w, "[[\"sleep\", \"1000\"], {\"timeout\": 0.02}]");
    assert_true(flag(w, "timed_out"));
    assert_int_equal(number(w, "signal"), SIGTERM);
    run(w, "[\"trap 'echo cleaned; exit 5' TERM; sleep 1000 & wait\", {\"timeout\": 0.2}]");
    assert_ended(w, 5, "cleaned\n", "");
    assert_true(flag(w, "timed_out"));
}

static void a_command_that_ignores_term_is_killed_after_the_grace(void **state)
{
    struct world *w = *state;
    run(w, "[\"trap '' TERM; while :; do sleep 1000; done\", {\"timeout\": 0.1}]");
    assert_int_equal(number(w, "signal"), SIGKILL);
    assert_in_range(number(w, "wall_ms"), 1100, 20000);
}

static void a_stopped_command_can_be_ended(void **state)
{
    struct world *w = *state;
    run(w, "[\"kill -STOP $$\", {\"timeout\": 0.05}]");
    assert_int_equal(number(w, "signal"), SIGTERM);
    assert_in_range(number(w, "wall_ms"), 0, 1000);
}

static struct world *alarmed;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    alarmed->cancelled = MPOOL_CANCELLED;
    kill(getpid(), CONTROL_CANCEL_SIGNAL);
}

static void a_cancel_ends_the_command(void **state)
{
    struct world *w = alarmed = *state;
    signal(SIGALRM, on_alarm);
    ualarm(50000, 0);
    uint64_t begin = clock_now_ns();
    run(w, "[[\"sleep\", \"1000\"]]");
    assert_failed(w, "E_FAILED: cancelled");
    assert_true(clock_now_ns() - begin < NS_PER_S);
    w->cancelled = 0;
    run(w, "[[\"echo\", \"next\"]]");
    assert_ended(w, 0, "next\n", "");
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static void what_a_command_leaves_behind_dies_with_it(void **state)
{
    static const char *const escapes[] = {
        "[\"sleep 1000 & echo $!\"]",
        "[\"setsid sleep 1000 & echo $!\"]",
        "[\"(setsid sh -c 'trap \\\"\\\" TERM HUP; echo $$; exec 2>&1; sleep 1000' &) | head -n 1\"]",
        "[\"(setsid --wait setsid --wait sh -c '(setsid sleep 1000 & echo $!)')\"]",
        "[\"nohup sleep 1000 2>/dev/null >/dev/null & echo $!; kill -STOP $!\"]",
    };
    for (size_t i = 0; i < ELEMENTS(escapes); i++) {
        run(*state, escapes[i]);
        pid_t pid = (pid_t)atoi(said(*state, "stdout"));
        if (pid <= 1 || !is_gone(pid))
            fail_msg("%s: %d is alive", escapes[i], (int)pid);
        assert_in_range(number(*state, "wall_ms"), 0, 2000);
    }
}

static void a_chain_of_forks_dies_with_its_task(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/mpool-test-XXXXXX", log[64], args[128], text[256];
    int script = mkstemp(path);
    snprintf(log, sizeof log, "%s.log", path);
    /* Each generation leaves a mark, forks the next one into a session of its own, and exits. */
    int n = snprintf(text, sizeof text, "echo x >>%s; setsid sh %s &", log, path);
    assert_int_equal(write(script, text, (size_t)n), n);
    snprintf(args, sizeof args, "[\"sh %s; sleep 0.05\"]", path);
    run(w, args);
    assert_int_equal(number(w, "status"), 0);
    /* Everything is dead: the marks do not become more. */
    struct stat before, after;
    assert_int_equal(stat(log, &before), 0);
    run(w, "[[\"sleep\", \"0.05\"]]");
    assert_int_equal(stat(log, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    close(script);
    unlink(path);
    unlink(log);
}

/* → a pidfd of the process whose number the command writes into the pipe. */
static int watch(int fd, pid_t *ret)
{
    char text[32] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    *ret = (pid_t)atoi(text);
    assert_true(*ret > 1);
    int pidfd = pidfd_open(*ret, 0);
    assert_true(pidfd >= 0);
    return pidfd;
}

static void assert_ends(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    close(pidfd);
}

static void everything_dies_with_a_worker_that_is_killed(void **state)
{
    int ends[2], worker_status;
    char args[256];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* The command finds the test's pipe through /proc: exec.run passes on no descriptor. */
    snprintf(args, sizeof args, "[\"setsid sleep 1000 >/dev/null 2>&1 & echo $! >/proc/%d/fd/%d; sleep 1000\"]",
        (int)getpid(), ends[1]);
    fflush(stdout);
    pid_t worker = fork();
    if (worker == 0) {
        run(*state, args);
        _exit(0);
    }
    pid_t pid;
    int escaped = watch(ends[0], &pid);
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitpid(worker, &worker_status, 0), worker);
    assert_ends(escaped);
    close(ends[0]);
    close(ends[1]);
}

static void the_death_of_the_reaper_ends_its_command_and_costs_one_task(void **state)
{
    struct world *w = *state;
    int ends[2];
    char args[256];
    pid_t pid;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(args, sizeof args, "[\"sleep 1000 & echo $! >/proc/%d/fd/%d; kill -9 $PPID; sleep 1000\"]", (int)getpid(),
        ends[1]);
    run(w, args);
    assert_failed(w, "E_FAILED: mpool-reaper, which watches over the command, has died");
    char text[32] = "";
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    pid = (pid_t)atoi(text);
    int left = pidfd_open(pid, 0);
    if (left >= 0)
        assert_ends(left);
    close(ends[0]);
    close(ends[1]);
    run(w, "[[\"echo\", \"next\"]]");
    assert_ended(w, 0, "next\n", "");
    /* One that dies between two commands costs nothing. */
    run(w, "[\"echo $PPID\"]");
    pid_t reaper = (pid_t)atoi(said(w, "stdout"));
    int pidfd = pidfd_open(reaper, 0);
    kill(reaper, SIGKILL);
    assert_ends(pidfd);
    run(w, "[[\"echo\", \"again\"]]");
    assert_ended(w, 0, "again\n", "");
}

/* ---- manners ---------------------------------------------------------------------------------------------------- */

static void a_command_inherits_nothing_but_its_three_descriptors(void **state)
{
    struct world *w = *state;
    int leak = open("/dev/null", O_RDONLY); /* not close-on-exec, as a careless module may have it */
    run(w, "[[\"sh\", \"-c\", \"ls /proc/self/fd; cat /proc/self/status | grep -E 'Sig(Blk|Ign)' | sed "
           "'s,0000000[01][08]0000000,0000000000000000,'\"]]");
    /* The fourth is the directory that ls reads. Signals 32 and 33 are glibc's own: every posix_spawn() of it ignores
     * them, and under the thread sanitizer only one. */
    assert_ended(w, 0, "0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", "");
    close(leak);
}

static unsigned count_fds(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void no_descriptor_is_left_open(void **state)
{
    struct world *w = *state;
    run(w, "[[\"true\"]]");
    unsigned before = count_fds();
    for (int i = 0; i < 20; i++) {
        run(w, "[[\"true\"]]");
        run(w, "[[\"no-such-command\"], {\"stdin\": \"x\"}]");
        run(w, "[[\"true\"], {\"cwd\": \"/nonexistent\"}]");
        run(w, "[[\"sleep\", \"9\"], {\"timeout\": 0}]");
    }
    assert_int_equal(count_fds(), before);
}

static void waiting_costs_no_processor_time(void **state)
{
    struct world *w = *state;
    struct rusage before, after;
    run(w, "[[\"true\"]]");
    getrusage(RUSAGE_SELF, &before);
    run(w, "[\"exec >&-; sleep 0.3\"]"); /* one output at its end must not be polled on and on */
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(number(w, "status"), 0);
    int64_t used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
                      before.ru_utime.tv_usec + (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
                      after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    assert_in_range(used_us, 0, 100000);
    assert_true(real(w, "cpu_ms") < 150);
}

static void cpu_time_and_peak_memory_are_those_of_the_command(void **state)
{
    struct world *w = *state;
    /* The worker is large; its size is not the command's. */
    const size_t large = 300u << 20;
    char *memory = malloc(large);
    memset(memory, 1, large);
    run(w, "[[\"true\"]]");
    assert_in_range(number(w, "peak_kib"), 100, 200000);
    free(memory);
    run(w, "[\"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\"]");
    assert_true(real(w, "cpu_ms") > 5);
    run(w, "[\"head -c 30000000 /dev/zero | sort -S 64M | wc -c\"]");
    assert_true(number(w, "peak_kib") > 25000);
}

static void a_command_costs_little_more_than_its_fork_and_exec(void **state)
{
    struct world *w = *state;
    enum { RUNS = 100 };
    run(w, "[[\"true\"]]");
    uint64_t begin = clock_now_ns();
    for (int i = 0; i < RUNS; i++)
        run(w, "[[\"true\"]]");
    uint64_t ours = clock_now_ns() - begin;
    char program[] = "true";
    char *argv[] = {program, NULL};
    begin = clock_now_ns();
    for (int i = 0; i < RUNS; i++) {
        pid_t pid;
        assert_int_equal(posix_spawnp(&pid, program, NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    uint64_t bare = clock_now_ns() - begin;
    print_message("# exec.run true: %.0f us; posix_spawn and wait: %.0f us\n", (double)ours / RUNS / 1000,
        (double)bare / RUNS / 1000);
    assert_true(ours < 10 * bare); /* a guard against something absurd; the figures are for people */
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup_shipped, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_command_runs_and_its_end_is_told),
        T(a_string_is_shell_text),
        T(a_signal_is_told),
        T(a_missing_command_has_status_127),
        T(a_path_that_may_not_be_searched_hides_its_commands),
        T(a_command_that_cannot_be_executed_has_status_126),
        T(a_file_of_path_that_cannot_be_executed_is_not_missing),
        T(the_reaper_is_of_no_use_by_itself),
        T(a_command_exiting_with_127_is_not_blamed_on_exec),
        T(directory_and_environment_are_as_asked),
        T(stdin_is_fed_or_empty),
        T(much_input_and_output_flow_at_once),
        T(input_that_nobody_reads_is_no_error),
        T(output_beyond_max_output_is_cut_and_the_command_goes_on),
        T(output_is_streamed_to_the_caller_who_asks),
        T(wrong_arguments_are_refused),
        T(an_argument_list_beyond_the_kernels_limit_has_status_126),
        T(a_timed_out_command_is_ended),
        T(a_command_that_ignores_term_is_killed_after_the_grace),
        T(a_stopped_command_can_be_ended),
        T(a_cancel_ends_the_command),
        T(what_a_command_leaves_behind_dies_with_it),
        T(a_chain_of_forks_dies_with_its_task),
        T(everything_dies_with_a_worker_that_is_killed),
        T(the_death_of_the_reaper_ends_its_command_and_costs_one_task),
        T(a_command_inherits_nothing_but_its_three_descriptors),
        T(no_descriptor_is_left_open),
        T(waiting_costs_no_processor_time),
        T(cpu_time_and_peak_memory_are_those_of_the_command),
        T(a_command_costs_little_more_than_its_fork_and_exec),
    };
    return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}
