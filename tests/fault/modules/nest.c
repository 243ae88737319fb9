/* Functions that are clients of the daemon in whose worker they run: tasks that call, map and submit further tasks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/module.h>

static int failed(mpool_task *task, mpool_client *client, int code)
{
    mpool_fail(task, MPOOL_FAIL_FINAL, "%s", client ? mpool_error_text(client) : mpool_strerror(code));
    mpool_disconnect(client);
    return -1;
}

static int number(mpool_client *client, mpool_result *result, uint64_t *ret)
{
    int r = mpool_result_u64(result, ret);
    mpool_result_free(result);
    (void)client;
    return r;
}

/* down(n): calls itself with n - 1, and adds one to what it gets; 0 for 0. */
static int down(mpool_task *task)
{
    uint64_t n, below = 0;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    if (n == 0)
        return mpool_reply_u64(task, 0);
    mpool_client *client = NULL;
    mpool_result *result;
    int r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_call(client, &result, "nest.down", "t", n - 1);
    if (r == 0)
        r = number(client, result, &below);
    if (r < 0)
        return failed(task, client, r);
    mpool_disconnect(client);
    return mpool_reply_u64(task, below + 1);
}

/* The same by submit and wait. */
static int down_detached(mpool_task *task)
{
    uint64_t n, id, below = 0;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    if (n == 0)
        return mpool_reply_u64(task, 0);
    mpool_client *client = NULL;
    mpool_result *result;
    int r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_submit(client, &id, "nest.down_detached", "t", n - 1);
    if (r == 0)
        r = mpool_wait(client, id, -1, NULL);
    if (r == 0)
        r = mpool_fetch(client, id, 0, &result);
    if (r == 0)
        r = number(client, result, &below);
    if (r < 0)
        return failed(task, client, r);
    mpool_disconnect(client);
    return mpool_reply_u64(task, below + 1);
}

/* The same over a connection that its worker keeps from task to task. */
static int down_kept(mpool_task *task)
{
    static mpool_client *client;
    uint64_t n, below = 0;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    mpool_result *result;
    int r = client ? 0 : mpool_connect(&client, NULL);
    if (r == 0 && n > 0)
        r = mpool_call(client, &result, "nest.down_kept", "t", n - 1);
    if (r == 0 && n > 0)
        r = number(client, result, &below);
    if (r < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s", client ? mpool_error_text(client) : mpool_strerror(r));
    return mpool_reply_u64(task, n > 0 ? below + 1 : 0);
}

/* squares(items): what a map of math.square over them gives, as it comes. */
static int squares(mpool_task *task)
{
    const void *items;
    size_t length;
    mpool_value at;
    if (mpool_arg(task, 0, &at) < 0 || mpool_read_raw(task, &at, &items, &length) < 0)
        return -1;
    mpool_client *client = NULL;
    mpool_result *results;
    int r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_map_all(client, &results, "math.square", items, length, NULL);
    if (r < 0)
        return failed(task, client, r);
    const void *bytes = mpool_result_data(results, &length);
    r = mpool_reply_raw(task, bytes, length);
    mpool_result_free(results);
    mpool_disconnect(client);
    return r;
}

/* Returns once somebody has opened that FIFO for writing and closed it. */
static int wait_at_fifo(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);
    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : 0;
}

/* relay(function, args, fifo?): what that function gives; with a FIFO, not before somebody was there. */
static int relay(mpool_task *task)
{
    const char *name, *fifo;
    const void *args;
    size_t length, name_length, fifo_length;
    mpool_value at;
    char function[128], path[256] = "";
    if (mpool_arg_count(task) > 2) {
        if (mpool_arg_str(task, 2, &fifo, &fifo_length) < 0)
            return -1;
        snprintf(path, sizeof path, "%.*s", (int)fifo_length, fifo);
    }
    if (mpool_arg_str(task, 0, &name, &name_length) < 0 || mpool_arg(task, 1, &at) < 0 ||
        mpool_read_raw(task, &at, &args, &length) < 0)
        return -1;
    snprintf(function, sizeof function, "%.*s", (int)name_length, name);
    mpool_client *client = NULL;
    mpool_result *result;
    int r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_call_raw(client, &result, function, args, length, NULL);
    if (r < 0)
        return failed(task, client, r);
    if (path[0] && wait_at_fifo(path) < 0)
        return failed(task, client, -errno);
    const void *bytes = mpool_result_data(result, &length);
    r = mpool_reply_raw(task, bytes, length);
    mpool_result_free(result);
    mpool_disconnect(client);
    return r;
}

/* ask(function, args): the same over a connection that its worker keeps from task to task. */
static int ask(mpool_task *task)
{
    static mpool_client *client;
    const char *name;
    const void *args;
    size_t length, name_length;
    mpool_value at;
    char function[128];
    if (mpool_arg_str(task, 0, &name, &name_length) < 0 || mpool_arg(task, 1, &at) < 0 ||
        mpool_read_raw(task, &at, &args, &length) < 0)
        return -1;
    snprintf(function, sizeof function, "%.*s", (int)name_length, name);
    mpool_result *result;
    int r = client ? 0 : mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_call_raw(client, &result, function, args, length, NULL);
    if (r < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s", client ? mpool_error_text(client) : mpool_strerror(r));
    const void *bytes = mpool_result_data(result, &length);
    r = mpool_reply_raw(task, bytes, length);
    mpool_result_free(result);
    return r;
}

/* leave(status): exit(3) with something printed that is not flushed yet. */
static int leave(mpool_task *task)
{
    int64_t status;
    if (mpool_arg_i64(task, 0, &status) < 0)
        return -1;
    printf("leaving with %d", (int)status);
    exit((int)status);
}

MPOOL_MODULE("nest", "1.0.0", MPOOL_FN("down", down), MPOOL_FN("down_detached", down_detached),
    MPOOL_FN("down_kept", down_kept), MPOOL_FN("squares", squares), MPOOL_FN("relay", relay), MPOOL_FN("ask", ask),
    MPOOL_FN("leave", leave))
