/* math, text and sys: what they say. */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct row {
    const char *function, *args, *says; /* says: a result, or a failure "E_…" */
};

static void assert_rows(struct world *w, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        world_call(w, rows[i].function, rows[i].args);
        if (strncmp(rows[i].says, "E_", 2) == 0)
            assert_failed(w, rows[i].says);
        else
            assert_result(w, rows[i].says);
    }
}

static void math_is_exact_or_fails(void **state)
{
    static const struct row rows[] = {
        {"math.square", "[7]", "49"},
        {"math.square", "[-3]", "9"},
        {"math.square", "[1.5]", "2.250000"},
        {"math.square", "[3037000500]", "E_FAILED: the result does not fit 64 bits"},
        {"math.square", "[\"7\"]", "E_BAD_ARGS: argument 1: expected number, got string"},
        {"math.square", "[]", "E_BAD_ARGS: argument 1 is missing: 0 given"},
        {"math.add", "[1, 2, 3]", "6"},
        {"math.add", "[]", "0"},
        {"math.add", "[1, 2.5]", "3.500000"},
        {"math.add", "[9223372036854775807, 1]", "E_FAILED: the result does not fit 64 bits"},
        {"math.sum", "[[1, 2, 3, 4]]", "10"},
        {"math.sum", "[[1, \"x\"]]", "E_BAD_ARGS: in argument 1: expected number, got string"},
        {"math.mul", "[6, 7]", "42"},
        {"math.mul", "[]", "1"},
        {"math.factorial", "[0]", "1"},
        {"math.factorial", "[20]", "2432902008176640000"},
        {"math.factorial", "[21]", "E_FAILED: the result does not fit 64 bits"},
        {"math.factorial", "[-1]", "E_BAD_ARGS: argument 1: expected integer of 0 or more, got -1"},
        {"math.is_prime", "[0]", "false"},
        {"math.is_prime", "[1]", "false"},
        {"math.is_prime", "[2]", "true"},
        {"math.is_prime", "[9]", "false"},
        {"math.is_prime", "[97]", "true"},
        {"math.is_prime", "[1000000007]", "true"},
        {"math.is_prime", "[1000000011000000028]", "false"},
    };
    assert_rows(*state, rows, ELEMENTS(rows));
}

static void text_counts_characters_and_not_bytes(void **state)
{
    static const struct row rows[] = {
        {"text.upper", "[\"grün\"]", "\"GRüN\""},
        {"text.reverse", "[\"grün\"]", "\"nürg\""},
        {"text.reverse", "[\"\"]", "\"\""},
        {"text.length", "[\"grün\"]", "4"},
        {"text.length", "[\"\"]", "0"},
        {"text.wordcount", "[\"/nonexistent\"]", "E_FAILED: /nonexistent: No such file or directory"},
        {"text.wordcount", "[\"/\"]", "E_FAILED: /: Is a directory"},
        {"text.wordcount", "[\"/dev/null\"]", "0"},
        {"text.wordcount", "[17]", "E_BAD_ARGS: argument 1: expected string, got 17"},
    };
    assert_rows(*state, rows, ELEMENTS(rows));
    struct world *w = *state;
    const uint8_t nul[] = {0x91, 0xa2, 'a', 0};
    world_run_bytes(w, (uint32_t)modules_find(w->modules, "text.wordcount", 14), nul, sizeof nul);
    assert_failed(w, "E_FAILED: a path cannot contain the byte 0");
}

/* Of one file, by wc itself. */
static unsigned long long wc(const char *option, const char *path)
{
    char command[256], line[256] = "";
    snprintf(command, sizeof command, "LC_ALL=C wc %s < '%s'", option, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    assert_int_equal(pclose(pipe), 0);
    return strtoull(line, NULL, 10);
}

static void counts_equal_those_of_wc(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/mpool-test-XXXXXX", args[128], expected[32];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    uint32_t seed = 1;
    snprintf(args, sizeof args, "[\"%s\"]", path);
    for (int size = 0; size < 400000; size = size * 3 + 1) {
        char *bytes = malloc((size_t)size + 1);
        for (int i = 0; i < size; i++) {
            /* Much white space, some text, and any other byte but those above 0x7f standing alone: how wc counts a
             * word of these alone depends on its version. */
            seed = seed * 1103515245u + 12345u;
            unsigned dice = seed >> 8;
            bytes[i] = dice % 3 == 0 ? " \t\n\v\f\r"[dice / 3 % 6] : (char)('!' + dice / 3 % 94);
        }
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
        free(bytes);
        static const char *const functions[][2] = {
            {"text.wordcount", "-w"}, {"text.lines", "-l"}, {"text.bytes", "-c"}};
        for (size_t i = 0; i < ELEMENTS(functions); i++) {
            world_call(w, functions[i][0], args);
            snprintf(expected, sizeof expected, "%llu", wc(functions[i][1], path));
            assert_result(w, expected);
        }
    }
    close(fd);
    unlink(path);
}

static void sys_does_as_it_is_told(void **state)
{
    struct world *w = *state;
    static const struct row rows[] = {
        {"sys.noop", "[]", "nil"},
        {"sys.noop", "[1, 2]", "nil"},
        {"sys.echo", "[]", "nil"},
        {"sys.echo", "[{\"a\": [1, null]}]", "{\"a\"=>[1, nil]}"},
        {"sys.echo", "[1, \"b\"]", "[1, \"b\"]"},
        {"sys.sleep", "[0]", "nil"},
        {"sys.sleep", "[0.001]", "nil"},
        {"sys.sleep", "[-1]", "E_FAILED: seconds must be 0 to 1000000000"},
        {"sys.burn", "[0.001]", "nil"},
        {"sys.fail", "[]", "E_FAILED: failed as asked"},
        {"sys.fail", "[\"no paper\"]", "E_FAILED: no paper"},
        {"sys.alloc", "[1000000]", "1000000"},
        {"sys.blob", "[3]", "\"xxx\""},
        {"sys.progress", "[5]", "5"},
        {"sys.crash", "[99]", "E_FAILED: there is no signal 99"},
        {"sys.crash", "[{\"leave\": 3}]", "E_FAILED: say a signal's number, or {\"exit\": status}"},
    };
    assert_rows(w, rows, ELEMENTS(rows));
    assert_int_equal(w->progress_done, 5);
    world_call(w, "sys.fail", "[\"again\", true]");
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_FAILED_RETRYABLE);
    world_call(w, "sys.log", "[\"hello\"]");
    assert_string_equal(w->log, "hello");
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    world_call(w, "sys.pid", "[]");
    assert_result(w, pid);
    w->cancelled = MPOOL_CANCELLED;
    world_call(w, "sys.sleep", "[1000]");
    assert_failed(w, "E_FAILED: cancelled");
}

static void arguments_are_checked(void **state)
{
    static const struct row rows[] = {
        {"sys.sleep", "[\"long\"]", "E_BAD_ARGS: argument 1: expected number, got string"},
        {"sys.burn", "[null]", "E_BAD_ARGS: argument 1: expected number, got nil"},
        {"sys.fail", "[7]", "E_BAD_ARGS: argument 1: expected string, got 7"},
        {"sys.fail", "[\"no\", 7]", "E_BAD_ARGS: argument 2: expected bool, got 7"},
        {"sys.crash", "[{\"exit\": \"x\"}]", "E_BAD_ARGS: in argument 1: expected integer, got string"},
        {"sys.crash", "[\"x\"]", "E_BAD_ARGS: argument 1: expected integer, got string"},
        {"sys.alloc", "[-1]", "E_BAD_ARGS: argument 1: expected integer of 0 or more, got -1"},
        {"sys.alloc", "[9223372036854775807]", "E_FAILED: no memory for 9223372036854775807 bytes"},
        {"sys.blob", "[null]", "E_BAD_ARGS: argument 1: expected integer of 0 or more, got nil"},
        {"sys.blob", "[4294967296]", "E_FAILED: a binary has at most 4294967295 bytes"},
        {"sys.log", "[1]", "E_BAD_ARGS: argument 1: expected string, got 1"},
        {"sys.print", "[1]", "E_BAD_ARGS: argument 1: expected string, got 1"},
        {"sys.output", "[1]", "E_BAD_ARGS: argument 1: expected binary or string, got 1"},
        {"sys.output", "[\"x\", \"y\"]", "E_BAD_ARGS: argument 2: expected integer of 0 or more, got string"},
        {"sys.progress", "[]", "E_BAD_ARGS: argument 1 is missing: 0 given"},
        {"sys.append", "[\"/dev/null\"]", "E_BAD_ARGS: argument 2 is missing: 1 given"},
        {"sys.append", "[\"/nonexistent/x\", \"y\"]", "E_FAILED: /nonexistent/x: No such file or directory"},
        {"sys.append", "[\"/dev/full\", \"y\"]", "E_FAILED: /dev/full: No space left on device"},
        {"math.mul", "[\"x\"]", "E_BAD_ARGS: argument 1: expected number, got string"},
    };
    assert_rows(*state, rows, ELEMENTS(rows));
}

static void sys_append_leaves_one_line_per_run(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/mpool-test-XXXXXX", args[128], text[64];
    int fd = mkstemp(path);
    snprintf(args, sizeof args, "[\"%s\", \"a line\"]", path);
    world_call(w, "sys.append", args);
    world_call(w, "sys.append", args);
    assert_result(w, "nil");
    assert_int_equal(read(fd, text, sizeof text), 14);
    assert_memory_equal(text, "a line\na line\n", 14);
    close(fd);
    unlink(path);
}

static int crashed(struct world *w, const char *args)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        world_call(w, "sys.crash", args);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 1000 + WEXITSTATUS(status);
}

static void sys_crash_ends_the_process(void **state)
{
    assert_int_equal(crashed(*state, "[]"), SIGSEGV);
    assert_int_equal(crashed(*state, "[9]"), SIGKILL);
    assert_int_equal(crashed(*state, "[6]"), SIGABRT);
    assert_int_equal(crashed(*state, "[{\"exit\": 3}]"), 1003);
}

static void only_what_is_harmless_twice_is_idempotent(void **state)
{
    struct world *w = *state;
    size_t count;
    const struct module_function *f = modules_functions(w->modules, &count);
    for (size_t i = 0; i < count; i++) {
        bool is = f[i].flags & MPOOL_IDEMPOTENT;
        bool may = strncmp(f[i].name, "math.", 5) == 0 || strncmp(f[i].name, "text.", 5) == 0 ||
                   strcmp(f[i].name, "sys.noop") == 0 || strcmp(f[i].name, "sys.echo") == 0 ||
                   strcmp(f[i].name, "sys.pid") == 0;
        assert_int_equal(is, may);
        assert_true(f[i].summary[0]);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup_shipped, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(math_is_exact_or_fails),
        T(text_counts_characters_and_not_bytes),
        T(counts_equal_those_of_wc),
        T(sys_does_as_it_is_told),
        T(arguments_are_checked),
        T(sys_append_leaves_one_line_per_run),
        T(sys_crash_ends_the_process),
        T(only_what_is_harmless_twice_is_idempotent),
    };
    return cmocka_run_group_tests_name("shipped", tests, NULL, NULL);
}
