/* Processes: see <mpool/process.h>. A handle is the id of a submitted task and what is known about it; all its requests
 * go through the public task calls. It is registered the moment the answer to its start is delivered, because its
 * output may follow immediately. */
#include "client/lib/process.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/args.h"
#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/request.h"
#include "client/lib/schedule.h"
#include "client/lib/sized.h"
#include "client/lib/task.h"

#define NAME_BYTES 129u /* the daemon's limit, including the terminating NUL */

struct mpool_process {
    struct mpool_process *next; /* of its connection */
    mpool_client *client;       /* NULL: disconnected */
    uint64_t id;
    pid_t pid;
    uint32_t pins; /* calls that wait on it: a callback in one may free it, its memory is kept until they return */
    bool freed;
    bool ended, has_exitcode;
    int exitcode;
    void (*on_output)(void *userdata, int stream, const void *bytes, size_t length);
    void *userdata;
    char name[NAME_BYTES];
};

/* ---- the connection's list ---- */

static void leave(struct mpool_process *p)
{
    struct mpool_process **at = p->client ? &p->client->processes : NULL;
    while (at && *at && *at != p)
        at = &(*at)->next;
    if (at && *at)
        *at = p->next;
    p->client = NULL;
}

void process_forget_all(mpool_client *client)
{
    while (client->processes)
        leave(client->processes);
}

int process_deliver_output(mpool_client *client, uint64_t id, int stream, const void *bytes, size_t length)
{
    for (struct mpool_process *p = client->processes; p; p = p->next)
        if (p->id == id && p->on_output) {
            p->on_output(p->userdata, stream, bytes, length);
            return 1;
        }
    return 0;
}

/* ---- start ---- */

struct start {
    struct waiter waiter;
    struct call inner; /* the waiter's */
    struct mpool_process *process;
};

static int read_started(struct mpool_process *p, const mpool_result *started)
{
    const mpool_result *value;
    uint64_t id;
    int64_t pid;
    if (mpool_result_get(started, "id", &value) < 0 || mpool_result_u64(value, &id) < 0 ||
        mpool_result_get(started, "pid", &value) < 0 || mpool_result_i64(value, &pid) < 0 || pid <= 0 ||
        pid > INT32_MAX)
        return MPOOL_EPROTOCOL;
    p->id = id;
    p->pid = (pid_t)pid;
    if (!p->name[0])
        snprintf(p->name, sizeof(p->name), "Process-%llu", (unsigned long long)id);
    return 0;
}

static void started(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct start *start = userdata;
    mpool_client *client = start->waiter.client;
    if (code == 0)
        code = read_started(start->process, result);
    if (code == 0) {
        start->process->client = client;
        start->process->next = client->processes;
        client->processes = start->process;
    }
    start->inner.done(start->inner.userdata, code, code == 0 ? result : NULL, text);
}

static int run(struct start *start, mpool_client *client, const struct task *task)
{
    int r = handle_check_waiting(client);
    if (r == 0)
        r = request_wait_room(client, CLOCK_NEVER);
    if (r < 0)
        return r;
    start->inner = waiter_call(&start->waiter, client);
    struct call call = start->inner;
    call.done = started;
    call.userdata = start;
    uint32_t msgid;
    r = task_start(client, task, &call, &msgid);
    return r < 0 ? r : waiter_wait(&start->waiter, msgid, CLOCK_NEVER, NULL);
}

static void free_process(struct mpool_process **process)
{
    mpool_process_free(*process);
}

int mpool_process_start_raw(mpool_client *client, struct mpool_process **ret_process,
    const mpool_process_options *options, const char *function, const void *args, size_t args_length)
{
    mpool_process_options o = MPOOL_PROCESS_OPTIONS_INIT;
    mpool_options options_of_task = MPOOL_OPTIONS_INIT, *t = &options_of_task;
    int r = handle_check(client);
    if (r == 0)
        r = sized_read(client, &o, sizeof(o), options);
    if (r == 0)
        r = sized_read(client, t, sizeof(*t), o.task);
    if (r < 0)
        return r;
    if (!ret_process)
        return handle_fail(client, -EINVAL, "ret_process may not be NULL.");
    if (t->attempts)
        return handle_fail(client, -EINVAL, "A process runs once: it has no attempts.");
    if (schedule_count(t) > 0)
        return handle_fail(
            client, -EINVAL, "A process never waits for a worker: it has no priority, start or deadline.");
    if (t->name && strlen(t->name) >= NAME_BYTES)
        return handle_fail(client, -EINVAL, "The name is longer than 128 bytes.");
    __attribute__((cleanup(free_process))) struct mpool_process *p = calloc(1, sizeof(*p));
    if (!p)
        return handle_fail(client, -ENOMEM, NULL);
    p->on_output = t->on_output;
    p->userdata = t->userdata;
    snprintf(p->name, sizeof(p->name), "%s", t->name ? t->name : "");
    struct task task = {.method = MPOOL_METHOD_SPAWN,
        .function = function,
        .args = args,
        .args_length = args_length,
        .options = t,
        .lives_on = o.lives_on};
    struct start start = {.process = p};
    r = run(&start, client, &task);
    if (r == 0) {
        *ret_process = p;
        p = NULL;
    }
    return r;
}

int(mpool_process_start)(mpool_client *client, struct mpool_process **ret_process, const mpool_process_options *options,
    const char *function, const char *format, ...)
{
    OWN_BUF args = {0};
    struct args_list list;
    va_start(list.ap, format);
    int r = args_pack(&args, format, &list);
    va_end(list.ap);
    if (r < 0)
        handle_fail(client, r, list.why);
    else
        r = mpool_process_start_raw(client, ret_process, options, function, wire_buf_at(&args), wire_buf_length(&args));
    return r;
}

void mpool_process_free(struct mpool_process *process)
{
    if (!process)
        return;
    leave(process);
    process->freed = true;
    if (process->pins == 0)
        free(process);
}

static void unpin(struct mpool_process **process)
{
    if (--(*process)->pins == 0 && (*process)->freed)
        free(*process);
}

#define PINNED(process)                                                                                                \
    __attribute__((cleanup(unpin))) struct mpool_process *pinned = (process);                                          \
    pinned->pins++

/* ---- its end ---- */

/* Reads the status map of a process that has ended. */
static int read_end(struct mpool_process *p, const mpool_result *status)
{
    const mpool_result *value;
    int64_t code;
    p->ended = true;
    /* nil: it never ran */
    p->has_exitcode = mpool_result_get(status, "exitcode", &value) == 0 && mpool_result_i64(value, &code) == 0 &&
                      code >= INT32_MIN && code <= INT32_MAX;
    if (p->has_exitcode)
        p->exitcode = (int)code;
    return 0;
}

/* Begins a call about a process. */
static int begin(const struct mpool_process *process)
{
    if (!process)
        return -EINVAL;
    if (process->client)
        process->client->text[0] = '\0';
    return 0;
}

/* → 0; -ETIMEDOUT. The process is pinned. */
static int await_end(struct mpool_process *process, int64_t timeout_ms)
{
    mpool_result *status;
    if (process->ended)
        return 0;
    if (!process->client)
        return -ENOTCONN;
    int r = mpool_wait(process->client, process->id, timeout_ms, &status);
    if (r < 0)
        return r;
    r = read_end(process, status);
    mpool_result_free(status);
    return r;
}

int mpool_process_join(struct mpool_process *process, int64_t timeout_ms)
{
    int r = begin(process);
    if (r < 0)
        return r;
    PINNED(process);
    return await_end(process, timeout_ms);
}

int mpool_process_alive(struct mpool_process *process, bool *ret_alive)
{
    int r = begin(process);
    if (r < 0)
        return r;
    if (!ret_alive)
        return handle_fail(process->client, -EINVAL, NULL);
    PINNED(process);
    r = await_end(process, 0);
    if (r != 0 && r != -ETIMEDOUT)
        return r;
    if (process->client)
        process->client->text[0] = '\0'; /* that it runs is not a failure */
    *ret_alive = r != 0;
    return 0;
}

int mpool_process_exitcode(struct mpool_process *process, int *ret)
{
    int r = begin(process);
    if (r < 0)
        return r;
    if (!ret)
        return handle_fail(process->client, -EINVAL, NULL);
    PINNED(process);
    r = await_end(process, 0);
    if (r == -ETIMEDOUT)
        return handle_fail(process->client, -EAGAIN, "The process has not ended.");
    if (r < 0)
        return r;
    /* A process cancelled before it started has no exit code. Report it as killed by SIGKILL. */
    *ret = process->has_exitcode ? process->exitcode : -SIGKILL;
    return 0;
}

int mpool_process_result(struct mpool_process *process, int64_t timeout_ms, mpool_result **ret_result)
{
    int r = begin(process);
    if (r < 0)
        return r;
    return process->client ? mpool_fetch(process->client, process->id, timeout_ms, ret_result) : -ENOTCONN;
}

int mpool_process_signal(struct mpool_process *process, int number, bool *ret_sent)
{
    int r = begin(process);
    bool sent = false;
    if (r < 0)
        return r;
    if (!process->ended) {
        mpool_client *client = process->client;
        mpool_result *result;
        if (!client)
            return -ENOTCONN;
        r = mpool_request(client, &result, "signal", "ti", process->id, number);
        if (r < 0)
            return r;
        if (mpool_result_bool(result, &sent) < 0)
            r = handle_fail(client, MPOOL_EPROTOCOL, "The daemon answered a signal with neither yes nor no.");
        mpool_result_free(result);
    }
    if (r == 0 && ret_sent)
        *ret_sent = sent;
    return r;
}

int mpool_process_terminate(struct mpool_process *process)
{
    return mpool_process_signal(process, SIGTERM, NULL);
}

int mpool_process_kill(struct mpool_process *process)
{
    return mpool_process_signal(process, SIGKILL, NULL);
}

uint64_t mpool_process_id(const struct mpool_process *process)
{
    return process ? process->id : 0;
}

pid_t mpool_process_pid(const struct mpool_process *process)
{
    return process ? process->pid : -EINVAL;
}

const char *mpool_process_name(const struct mpool_process *process)
{
    return process ? process->name : NULL;
}
