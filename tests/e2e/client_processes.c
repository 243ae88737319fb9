/* The library's processes against a real daemon. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/process.h>

#include "client_tap.h"

static bool a_process_is_started_joined_and_told_of(mpool_client *client)
{
    mpool_process *p;
    mpool_result *result;
    int status = 99;
    bool alive = true;
    int64_t n;
    EXPECT(mpool_process_start(client, &p, NULL, "math.square", "i", 7) == 0);
    EXPECT(mpool_process_pid(p) > 0 && mpool_process_id(p) > 0);
    EXPECT(strncmp(mpool_process_name(p), "Process-", 8) == 0);
    EXPECT(mpool_process_join(p, -1) == 0 && mpool_process_join(p, 0) == 0);
    EXPECT(mpool_process_alive(p, &alive) == 0 && !alive);
    EXPECT(mpool_process_exitcode(p, &status) == 0 && status == 0);
    EXPECT(mpool_process_result(p, 0, &result) == 0 && mpool_result_i64(result, &n) == 0 && n == 49);
    mpool_result_free(result);
    EXPECT(mpool_process_terminate(p) == 0 && mpool_process_kill(p) == 0);
    EXPECT(mpool_process_signal(p, SIGTERM, &alive) == 0 && !alive);
    mpool_process_free(p);
    mpool_process_free(NULL);
    return true;
}

static bool a_join_has_a_time_out_and_signals_are_told(mpool_client *client)
{
    mpool_process *p;
    int status = 99;
    bool alive = false;
    EXPECT(mpool_process_start(client, &p, NULL, "sys.sleep", "i", 600) == 0);
    EXPECT(mpool_process_join(p, 10) == -ETIMEDOUT);
    EXPECT(mpool_process_alive(p, &alive) == 0 && alive);
    EXPECT(mpool_process_exitcode(p, &status) == -EAGAIN && status == 99);
    EXPECT(mpool_process_signal(p, 0, NULL) == MPOOL_EBAD_PARAMS);
    EXPECT(mpool_process_terminate(p) == 0);
    EXPECT(mpool_process_join(p, -1) == 0);
    EXPECT(mpool_process_exitcode(p, &status) == 0 && status == -SIGTERM);
    EXPECT(mpool_process_result(p, 0, NULL) < 0);
    mpool_process_free(p);
    EXPECT(mpool_process_start(client, &p, NULL, "sys.sleep", "i", 600) == 0);
    EXPECT(mpool_process_kill(p) == 0);
    EXPECT(mpool_process_join(p, -1) == 0);
    EXPECT(mpool_process_exitcode(p, &status) == 0 && status == -SIGKILL);
    mpool_process_free(p);
    return true;
}

static bool exit_and_failure_are_told(mpool_client *client)
{
    static const struct {
        const char *function, *format;
        int status;
    } cases[] = {{"sys.crash", "{si}", 3}, {"sys.fail", "s", 1}};
    for (size_t i = 0; i < 2; i++) {
        mpool_process *p;
        int status = 99;
        if (i == 0)
            EXPECT(mpool_process_start(client, &p, NULL, cases[i].function, cases[i].format, "exit", 3) == 0);
        else
            EXPECT(mpool_process_start(client, &p, NULL, cases[i].function, cases[i].format, "on purpose") == 0);
        EXPECT(mpool_process_join(p, -1) == 0);
        EXPECT(mpool_process_exitcode(p, &status) == 0 && status == cases[i].status);
        mpool_process_free(p);
    }
    return true;
}

struct heard {
    char text[64];
    size_t length;
};

static void hear(void *userdata, int stream, const void *bytes, size_t length)
{
    struct heard *heard = userdata;
    if (stream == 1 && heard->length + length < sizeof(heard->text)) {
        memcpy(heard->text + heard->length, bytes, length);
        heard->length += length;
    }
}

static bool what_each_prints_reaches_its_own_handle(mpool_client *client)
{
    enum { COUNT = 4 };
    struct heard heard[COUNT] = {0};
    mpool_process *p[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        mpool_options task = MPOOL_OPTIONS_INIT;
        mpool_process_options options = MPOOL_PROCESS_OPTIONS_INIT;
        options.task = &task;
        task.on_output = hear;
        task.userdata = &heard[i];
        snprintf(text, sizeof(text), "number %d", i);
        EXPECT(mpool_process_start(client, &p[i], &options, "sys.output", "s", text) == 0);
    }
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof(text), "number %d", i);
        EXPECT(mpool_process_join(p[i], -1) == 0);
        EXPECT(strcmp(heard[i].text, text) == 0);
        mpool_process_free(p[i]);
    }
    return true;
}

static bool a_daemonic_one_ends_with_its_connection_and_another_lives_on(mpool_client *client)
{
    for (int lives_on = 0; lives_on < 2; lives_on++) {
        mpool_client *other;
        mpool_process *p;
        mpool_result *status;
        mpool_process_options options = MPOOL_PROCESS_OPTIONS_INIT;
        options.lives_on = lives_on;
        EXPECT(mpool_connect(&other, mpool_socket_path(client)) == 0);
        EXPECT(mpool_process_start(other, &p, &options, "sys.sleep", "i", 600) == 0);
        mpool_disconnect(other);
        EXPECT(mpool_process_join(p, 0) == -ENOTCONN && mpool_process_kill(p) == -ENOTCONN);
        if (lives_on) {
            EXPECT(mpool_wait(client, mpool_process_id(p), 20, NULL) == -ETIMEDOUT);
            EXPECT(mpool_request(client, NULL, "signal", "ts", mpool_process_id(p), "KILL") == 0);
        }
        EXPECT(mpool_wait(client, mpool_process_id(p), -1, &status) == 0);
        mpool_result_free(status);
        mpool_process_free(p);
    }
    return true;
}

static bool mistakes_are_refused(mpool_client *client)
{
    mpool_process *p = NULL;
    mpool_options task = MPOOL_OPTIONS_INIT;
    mpool_process_options options = MPOOL_PROCESS_OPTIONS_INIT, zero = {0};
    char name[256];
    EXPECT(mpool_process_start(client, &p, NULL, "no.such", NULL) == MPOOL_ENO_FUNCTION);
    EXPECT(mpool_process_start(client, &p, NULL, NULL, NULL) == -EINVAL);
    EXPECT(mpool_process_start(client, &p, NULL, "math.square", "?") == -EINVAL);
    EXPECT(mpool_process_start(client, NULL, NULL, "math.square", NULL) == -EINVAL);
    EXPECT(mpool_process_start(client, &p, &zero, "math.square", NULL) == -EINVAL);
    EXPECT(mpool_process_start_raw(client, &p, NULL, "math.square", "\xc1", 1) == -EINVAL);
    options.task = &task;
    task.attempts = 2;
    EXPECT(mpool_process_start(client, &p, &options, "math.square", NULL) == -EINVAL);
    task.attempts = 0;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    task.name = name;
    EXPECT(mpool_process_start(client, &p, &options, "math.square", NULL) == -EINVAL);
    EXPECT(p == NULL);
    return true;
}

static bool a_forked_child_may_not_use_the_handle(mpool_client *client)
{
    mpool_process *p;
    int status;
    bool alive = false;
    EXPECT(mpool_process_start(client, &p, NULL, "sys.sleep", "i", 600) == 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        _exit(mpool_process_join(p, 0) == -ECHILD && mpool_process_kill(p) == -ECHILD ? 0 : 1);
    EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT(
        mpool_process_alive(p, &alive) == 0 && alive && mpool_process_kill(p) == 0 && mpool_process_join(p, -1) == 0);
    mpool_process_free(p);
    return true;
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(a_process_is_started_joined_and_told_of),
        TAP_TEST(a_join_has_a_time_out_and_signals_are_told),
        TAP_TEST(exit_and_failure_are_told),
        TAP_TEST(what_each_prints_reaches_its_own_handle),
        TAP_TEST(a_daemonic_one_ends_with_its_connection_and_another_lives_on),
        TAP_TEST(mistakes_are_refused),
        TAP_TEST(a_forked_child_may_not_use_the_handle),
    };
    return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
