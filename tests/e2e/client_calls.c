/* The library's calls against a real daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpool/queue.h>

#include "client_tap.h"

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool a_call_returns_its_result(mpool_client *client)
{
    for (int64_t i = -50; i < 50; i++) {
        mpool_result *result;
        int64_t n = -1;
        EXPECT(mpool_call(client, &result, "math.square", "x", i) == 0);
        EXPECT(mpool_result_i64(result, &n) == 0 && n == i * i);
        mpool_result_free(result);
    }
    EXPECT(mpool_ping(client) == 0);
    return true;
}

static bool every_kind_of_value_comes_back(mpool_client *client)
{
    static const uint8_t expected[] =
        "\x98\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xc3"
        "\xc0\xa2hi\xc4\x02\x00\xff\x81\xa1k\x92\x02\x03";
    mpool_result *result;
    size_t length;
    EXPECT(mpool_call(client, &result, "sys.echo", "[itdbnsB{s[ii]}]", 1, UINT64_MAX, 1.5, 1, "hi", "\x00\xff",
               (size_t)2, "k", 2, 3) == 0);
    const void *data = mpool_result_data(result, &length);
    EXPECT(length == sizeof(expected) - 1 && memcmp(data, expected, length) == 0);
    mpool_result_free(result);
    return true;
}

static bool a_failure_reaches_its_caller(mpool_client *client)
{
    EXPECT(mpool_call(client, NULL, "sys.fail", "s", "on purpose") == MPOOL_EFAILED);
    EXPECT(strcmp(mpool_error_text(client), "E_FAILED: on purpose") == 0);
    EXPECT(mpool_call(client, NULL, "math.square", "s", "text") == MPOOL_EBAD_ARGS);
    EXPECT(mpool_call(client, NULL, "no.such", NULL) == MPOOL_ENO_FUNCTION);
    EXPECT(mpool_request(client, NULL, "no_such_method", NULL) == MPOOL_ENO_METHOD);
    EXPECT(mpool_request(client, NULL, "status", "s", "text") == MPOOL_EBAD_PARAMS);
    EXPECT(mpool_call(client, NULL, "math.square", "i", 2) == 0);
    return true;
}

static bool a_worker_that_dies_costs_its_task_alone(mpool_client *client)
{
    EXPECT(mpool_call(client, NULL, "sys.crash", NULL) == MPOOL_ELOST);
    EXPECT(strstr(mpool_error_text(client), "SIGSEGV") != NULL);
    EXPECT(mpool_call(client, NULL, "math.square", "i", 2) == 0);
    return true;
}

static bool a_time_out_stops_the_task(mpool_client *client)
{
    mpool_options options = MPOOL_OPTIONS_INIT;
    options.timeout_ms = 50;
    int64_t begin = now_ms();
    EXPECT(mpool_call_raw(client, NULL, "sys.sleep", "\x91\x1e", 2, &options) == MPOOL_ETIMEOUT);
    EXPECT(now_ms() - begin < 20000);
    return true;
}

static bool a_priority_is_checked(mpool_client *client)
{
    mpool_options options = MPOOL_OPTIONS_INIT;
    options.priority = 256;
    EXPECT(mpool_call_raw(client, NULL, "math.square", "\x91\x07", 2, &options) == -EINVAL);
    for (options.priority = 0; options.priority < 256; options.priority += 51)
        EXPECT(mpool_call_raw(client, NULL, "math.square", "\x91\x07", 2, &options) == 0);
    return true;
}

struct count {
    int done, code;
    int64_t sum;
};

static void count_done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct count *count = userdata;
    int64_t n = 0;
    (void)text;
    count->done++;
    if (code < 0)
        count->code = code;
    else if (mpool_result_i64(result, &n) == 0)
        count->sum += n;
}

static bool ten_thousand_calls_at_once_all_complete(mpool_client *client)
{
    enum { CALLS = 10000 };
    struct count count = {0};
    int64_t expected = 0;
    for (int64_t i = 0; i < CALLS; i++) {
        EXPECT(mpool_apply_async(client, NULL, count_done, &count, "math.square", "x", i) == 0);
        expected += i * i;
    }
    EXPECT(mpool_run(client, 60000) == 0);
    EXPECT(count.done == CALLS && count.code == 0 && count.sum == expected);
    return true;
}

static bool a_cancelled_call_completes_as_cancelled(mpool_client *client)
{
    struct count running = {0};
    mpool_call_id id;
    EXPECT(mpool_apply_async(client, &id, count_done, &running, "sys.sleep", "i", 600) == 0);
    EXPECT(mpool_ping(client) == 0);
    EXPECT(mpool_call_cancel(client, id) == 0);
    EXPECT(mpool_run(client, 30000) == 0);
    EXPECT(running.done == 1 && running.code == -ECANCELED);
    EXPECT(mpool_call_cancel(client, id) < 0);
    return true;
}

static void add_length(void *userdata, int stream, const void *bytes, size_t length)
{
    size_t *lengths = userdata;
    (void)bytes;
    lengths[stream] += length;
}

static bool output_streams_to_who_asked(mpool_client *client)
{
    size_t lengths[3] = {0};
    mpool_options options = MPOOL_OPTIONS_INIT;
    options.on_output = add_length;
    options.userdata = lengths;
    EXPECT(mpool_call_raw(client, NULL, "sys.output", "\x91\xa5hello", 7, &options) == 0);
    EXPECT(lengths[1] == 5 && lengths[2] == 0);
    return true;
}

static bool large_values_go_there_and_back(mpool_client *client)
{
    static const size_t sizes[] = {1000, 100 << 10, (512 << 10) - 6, 512 << 10, 1 << 20, 20 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i], length;
        uint8_t *args = malloc(size + 6);
        EXPECT(args);
        args[0] = 0x91;
        args[1] = 0xc6;
        for (int k = 0; k < 4; k++)
            args[2 + k] = (uint8_t)(size >> (24 - 8 * k));
        for (size_t k = 0; k < size; k++)
            args[6 + k] = (uint8_t)(k * 31 >> 3);
        mpool_result *result;
        const void *bytes;
        EXPECT(mpool_call_raw(client, &result, "sys.echo", args, size + 6, NULL) == 0);
        EXPECT(mpool_result_bytes(result, &bytes, &length) == 0);
        EXPECT(length == size && memcmp(bytes, args + 6, size) == 0);
        mpool_result_free(result);
        free(args);
    }
    return true;
}

static bool a_submitted_task_is_kept_for_its_id(mpool_client *client)
{
    uint64_t id, slow;
    mpool_result *result;
    const mpool_result *state;
    const void *text;
    size_t length;
    int64_t n;
    EXPECT(mpool_submit(client, &id, "math.square", "i", 12) == 0);
    EXPECT(mpool_wait(client, id, -1, &result) == 0);
    EXPECT(mpool_result_get(result, "state", &state) == 0 && mpool_result_bytes(state, &text, &length) == 0);
    EXPECT(length == 4 && memcmp(text, "done", 4) == 0);
    mpool_result_free(result);
    EXPECT(mpool_fetch(client, id, 0, &result) == 0);
    EXPECT(mpool_result_i64(result, &n) == 0 && n == 144);
    mpool_result_free(result);
    bool stopped = true;
    EXPECT(mpool_cancel(client, id, &stopped) == 0 && !stopped);

    EXPECT(mpool_submit(client, &slow, "sys.sleep", "i", 600) == 0);
    EXPECT(mpool_wait(client, slow, 0, NULL) == -ETIMEDOUT);
    EXPECT(mpool_fetch(client, slow, 10, NULL) == -ETIMEDOUT);
    EXPECT(mpool_cancel(client, slow, &stopped) == 0 && stopped);
    EXPECT(mpool_wait(client, slow, 30000, NULL) == 0);
    EXPECT(mpool_fetch(client, slow, 0, NULL) == -ECANCELED);
    EXPECT(mpool_status(client, slow, &result) == 0);
    mpool_result_free(result);
    EXPECT(mpool_status(client, 1, NULL) == MPOOL_ENO_TASK);
    return true;
}

static bool what_the_daemon_tells_of_itself_is_well_formed(mpool_client *client)
{
    static const char *const methods[] = {"functions", "pools", "workers", "stats", "list"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        mpool_result *result;
        EXPECT(mpool_request(client, &result, methods[i], NULL) == 0);
        mpool_result_free(result);
    }
    return true;
}

static bool a_child_of_fork_leaves_the_connection_alone(mpool_client *client)
{
    struct count count = {0};
    EXPECT(mpool_apply_async(client, NULL, count_done, &count, "math.square", "i", 3) == 0);
    pid_t child = fork();
    if (child == 0) {
        mpool_client *own;
        bool ok = mpool_ping(client) < 0 && mpool_connect(&own, NULL) == 0 && mpool_ping(own) == 0;
        if (ok)
            mpool_disconnect(own);
        mpool_disconnect(client);
        _exit(ok ? 0 : 1);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(mpool_run(client, 30000) == 0 && count.sum == 9);
    return true;
}

static bool a_connection_takes_no_standard_descriptor(mpool_client *client)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        mpool_client *own = NULL;
        fflush(stdout);
        int kept = dup(fd);
        close(fd);
        int r = mpool_connect(&own, NULL);
        bool free_still = fcntl(fd, F_GETFD) < 0 && errno == EBADF;
        dup2(kept, fd);
        close(kept);
        EXPECT(r == 0 && free_still && mpool_ping(own) == 0);
        mpool_disconnect(own);
    }
    return true;
}

/* It is the program that would be killed, so the limit is for a child. */
static bool large_arguments_and_items_go_under_a_limit_of_file_sizes(mpool_client *client)
{
    pid_t child = fork();
    if (child == 0) {
        size_t size = 3 << 20;
        char *large = calloc(1, size);
        mpool_client *own;
        mpool_object *queue;
        bool ok = setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 16, 1 << 16}) == 0 && large &&
                  mpool_connect(&own, NULL) == 0 && mpool_call(own, NULL, "sys.echo", "B", large, size) == 0 &&
                  mpool_object_open(own, &queue, "queue", NULL, NULL) == 0 &&
                  mpool_queue_put(queue, 0, "B", large, size) >= 0;
        if (!ok)
            printf("# %s\n", mpool_error_text(own));
        fflush(stdout);
        _exit(ok ? 0 : 1);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    return true;
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(a_call_returns_its_result),
        TAP_TEST(every_kind_of_value_comes_back),
        TAP_TEST(a_failure_reaches_its_caller),
        TAP_TEST(a_worker_that_dies_costs_its_task_alone),
        TAP_TEST(a_time_out_stops_the_task),
        TAP_TEST(a_priority_is_checked),
        TAP_TEST(ten_thousand_calls_at_once_all_complete),
        TAP_TEST(a_cancelled_call_completes_as_cancelled),
        TAP_TEST(output_streams_to_who_asked),
        TAP_TEST(large_values_go_there_and_back),
        TAP_TEST(a_submitted_task_is_kept_for_its_id),
        TAP_TEST(what_the_daemon_tells_of_itself_is_well_formed),
        TAP_TEST(a_child_of_fork_leaves_the_connection_alone),
        TAP_TEST(a_connection_takes_no_standard_descriptor),
        TAP_TEST(large_arguments_and_items_go_under_a_limit_of_file_sizes),
    };
    return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
