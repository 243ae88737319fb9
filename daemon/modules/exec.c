/* exec: runs commands.
 *
 * exec.run starts the command through the reaper (reaper.c), collects or streams its output, and reports how it ended.
 * It only waits in poll(), for output, the reaper's answer, a cancel, and the time-out. Nothing that the command
 * started is alive when it returns; if the worker dies, the reaper kills what is left. A command that cannot be found
 * or executed does not fail the task: it has status 127 or 126 and a line on stderr, as in a shell.
 */
#include "daemon/modules/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_PIECE         (64u << 10)
#define MAX_OUTPUT_DEFAULT (16u << 20)
#define MAX_OUTPUT_LIMIT   (1u << 30)
#define UMASK_DEFAULT      022u /* whatever umask a function may have left in the worker */

/* One of the command's two outputs. */
struct stream {
    int fd, number;
    char *data; /* collected */
    size_t length, room;
    bool truncated;
};

struct run {
    mpool_task *task;
    struct exec_request request;
    const char *input; /* what is left of stdin */
    size_t input_length;
    bool own_input; /* the command inherits the task's own standard input */
    bool merged;    /* its stderr goes where its stdout goes, in order */
    int input_fd;
    struct stream streams[2];
    size_t max_output;
    int64_t timeout_ms; /* -1: none */
    bool pass_on;       /* outputs go to the caller as they come */
    int cancelled;      /* as mpool_cancelled() has it */
    bool stopping, timed_out, failed;
    bool passed_on; /* the signal that a cancel named is the command's: how it ends is the result */
    struct reaper_answer answer;
};

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- what is asked for ---- */

static int read_option(struct run *run, const char *key, size_t length, mpool_value *v)
{
    mpool_task *task = run->task;
    static const char *const names[] = {"env", "cwd", "umask", "stdin", "timeout", "output", "merge", "max_output"};
    size_t known = 0, count = sizeof names / sizeof names[0];
    while (known < count && (strlen(names[known]) != length || memcmp(key, names[known], length) != 0))
        known++;
    if (known == count)
        return mpool_fail(task, MPOOL_FAIL_FINAL,
            "there is no option \"%.*s\": use env, cwd, umask, stdin, timeout, output, merge or max_output",
            (int)length, key);
    if (mpool_type(task, v) == MPOOL_NIL)
        return mpool_skip(task, v); /* as if it had been left out */
#define IS(name) (strcmp(names[known], name) == 0)
    if (IS("env")) {
        run->request.env = *v;
        run->request.has_env = true;
        return mpool_skip(task, v);
    }
    if (IS("cwd"))
        return mpool_read_str(task, v, &run->request.directory, &run->request.directory_length);
    if (IS("stdin") && mpool_type(task, v) == MPOOL_BOOL) {
        int on;
        int r = mpool_read_bool(task, v, &on);
        run->own_input = r == 0 && on;
        return r;
    }
    if (IS("umask")) {
        uint64_t mask;
        if (mpool_read_u64(task, v, &mask) < 0)
            return -1;
        if (mask > 0777)
            return mpool_fail(task, MPOOL_FAIL_FINAL, "option umask: 0 to 0777");
        run->request.umask = (uint32_t)mask;
        return 0;
    }
    if (IS("merge")) {
        int on;
        int r = mpool_read_bool(task, v, &on);
        run->merged = r == 0 && on;
        return r;
    }
    if (IS("stdin")) {
        const void *bytes;
        int r = mpool_read_bin(task, v, &bytes, &run->input_length);
        run->input = r < 0 ? NULL : bytes;
        return r;
    }
    if (IS("timeout")) {
        double seconds;
        if (mpool_read_f64(task, v, &seconds) < 0)
            return -1;
        if (!(seconds >= 0 && seconds <= 1e9))
            return mpool_fail(task, MPOOL_FAIL_FINAL, "option timeout: 0 to 1000000000 seconds");
        run->timeout_ms = (int64_t)(seconds * 1000);
        return 0;
    }
    if (IS("output")) {
        int on;
        int r = mpool_read_bool(task, v, &on);
        run->pass_on = r == 0 && on;
        return r;
    }
#undef IS
    uint64_t bytes; /* max_output */
    if (mpool_read_u64(task, v, &bytes) < 0)
        return -1;
    run->max_output = bytes < MAX_OUTPUT_LIMIT ? (size_t)bytes : MAX_OUTPUT_LIMIT;
    return 0;
}

static int read_arguments(struct run *run)
{
    mpool_task *task = run->task;
    if (mpool_arg(task, 0, &run->request.command) < 0)
        return -1;
    if (mpool_arg_count(task) > 2)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "exec.run takes a command and a map of options");
    if (!mpool_arg_given(task, 1))
        return 0;
    mpool_value options;
    uint32_t pairs;
    if (mpool_arg(task, 1, &options) < 0 || mpool_read_map(task, &options, &pairs) < 0)
        return -1;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length;
        if (mpool_read_str(task, &options, &key, &length) < 0 || read_option(run, key, length, &options) < 0)
            return -1;
    }
    return 0;
}

/* ---- descriptors ---- */

static int no_pipe(struct run *run)
{
    return mpool_fail(run->task, MPOOL_FAIL_RETRYABLE, "no descriptors for the command: %s", strerror(errno));
}

/* A pipe whose one end, ours, does not block. ours: 0 the reading end, 1 the writing end. */
static int make_pipe(int ours, int *ret_ours, int *ret_theirs)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *ret_ours = ends[ours];
    *ret_theirs = ends[!ours];
    return fcntl(ends[ours], F_SETFL, O_NONBLOCK);
}

static int start(struct run *run)
{
    int theirs[3] = {-1, -1, -1}, r = 0;
    if (run->input_length > 0)
        r = make_pipe(1, &run->input_fd, &theirs[0]);
    else
        r = theirs[0] =
            run->own_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (r >= 0)
        r = make_pipe(0, &run->streams[0].fd, &theirs[1]);
    if (r >= 0)
        r = run->merged ? theirs[2] = fcntl(theirs[1], F_DUPFD_CLOEXEC, 3)
                        : make_pipe(0, &run->streams[1].fd, &theirs[2]);
    r = r < 0 ? no_pipe(run) : exec_reaper_run(run->task, &run->request, theirs);
    for (int i = 0; i < 3; i++)
        close_fd(&theirs[i]);
    return r;
}

/* Writes as much as the pipe takes. The worker's disposition of SIGPIPE is not ours to change, so the signal is
 * blocked. */
static void feed(struct run *run)
{
    sigset_t sigpipe, before, pending;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, &sigpipe, &before);
    ssize_t n = write(run->input_fd, run->input, run->input_length);
    int error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&sigpipe, NULL, &(struct timespec){0});
    sigprocmask(SIG_SETMASK, &before, NULL);

    if (n < 0 && (error == EAGAIN || error == EINTR))
        return;
    if (n > 0) {
        run->input += n;
        run->input_length -= (size_t)n;
    }
    if (n < 0 || run->input_length == 0)
        close_fd(&run->input_fd);
}

/* ---- output ---- */

static int stop(struct run *run)
{
    if (run->stopping)
        return 0;
    run->stopping = true;
    run->passed_on = run->cancelled && run->cancelled != MPOOL_CANCELLED;
    return exec_reaper_stop(run->task, run->passed_on ? run->cancelled : SIGTERM);
}

/* Room for another piece of output. → its size; 0: max_output is reached, or there is no memory. */
static size_t stream_room(struct run *run, struct stream *s)
{
    if (s->room == s->length && s->room < run->max_output) {
        size_t room = s->room ? s->room * 2 : READ_PIECE;
        char *grown = realloc(s->data, room < run->max_output ? room : run->max_output);
        if (!grown) {
            run->failed = true;
            mpool_fail(run->task, MPOOL_FAIL_RETRYABLE, "no memory for %zu bytes of output", room);
            return 0;
        }
        s->data = grown;
        s->room = room < run->max_output ? room : run->max_output;
    }
    return s->room - s->length;
}

/* → 1 something was read, 0 nothing is there now, or it has ended and is closed. */
static int stream_read(struct run *run, struct stream *s)
{
    char piece[READ_PIECE];
    size_t room = run->pass_on || run->failed ? 0 : stream_room(run, s);
    ssize_t n = room ? read(s->fd, s->data + s->length, room) : read(s->fd, piece, sizeof piece);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n <= 0) {
        close_fd(&s->fd);
        return 0;
    }
    if (room)
        s->length += (size_t)n;
    else if (!run->pass_on)
        s->truncated = true;
    else if (!run->failed && mpool_output(run->task, s->number, piece, (size_t)n) < 0)
        run->failed = true;
    return 1;
}

/* ---- the wait ---- */

/* → 0 when the reaper has answered, or -1 after a failure. */
static int wait_for_end(struct run *run)
{
    int cancel_fd = mpool_cancel_fd(run->task), reaper_fd = exec_reaper_fd();
    int64_t end = run->timeout_ms < 0 ? INT64_MAX : now_ms() + run->timeout_ms;
    for (;;) {
        run->cancelled = run->cancelled ? run->cancelled : mpool_cancelled(run->task);
        run->timed_out = run->timed_out || (!run->stopping && now_ms() >= end);
        if ((run->cancelled || run->timed_out || run->failed || cancel_fd < 0) && stop(run) < 0)
            return -1;

        enum { REAPER, CANCEL, IN, OUT, ERR, COUNT };
        struct pollfd fds[COUNT] = {
            [REAPER] = {.fd = reaper_fd, .events = POLLIN},
            [CANCEL] = {.fd = run->cancelled ? -1 : cancel_fd, .events = POLLIN},
            [IN] = {.fd = run->input_fd, .events = POLLOUT},
            [OUT] = {.fd = run->streams[0].fd, .events = POLLIN},
            [ERR] = {.fd = run->streams[1].fd, .events = POLLIN},
        };
        int timeout = -1;
        if (!run->stopping && end != INT64_MAX) {
            int64_t left = end - now_ms();
            timeout = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
        }
        if (poll(fds, COUNT, timeout) < 0 && errno != EINTR)
            return mpool_fail(run->task, MPOOL_FAIL_RETRYABLE, "poll: %s", strerror(errno));
        if (fds[IN].revents)
            feed(run);
        for (int i = 0; i < 2; i++)
            if (fds[OUT + i].revents)
                stream_read(run, &run->streams[i]);
        if (fds[REAPER].revents)
            return exec_reaper_answer(run->task, &run->answer);
    }
}

/* Nothing of the command is alive: the rest of its output is in the pipes. */
static void drain(struct run *run)
{
    for (int i = 0; i < 2; i++)
        while (run->streams[i].fd >= 0 && stream_read(run, &run->streams[i]) > 0)
            ;
}

/* ---- the reply ---- */

/* A line of our own on the command's stderr. */
static int complain(struct run *run, const char *text)
{
    struct stream *s = &run->streams[1];
    size_t length = strlen(text);
    if (run->pass_on)
        return mpool_output(run->task, s->number, text, length);
    char *grown = realloc(s->data, s->length + length);
    if (!grown)
        return mpool_fail(run->task, MPOOL_FAIL_RETRYABLE, "no memory for %zu bytes of output", length);
    s->data = grown;
    memcpy(s->data + s->length, text, length);
    s->length += length;
    return 0;
}

static int key(mpool_task *task, const char *name)
{
    return mpool_reply_str(task, name, strlen(name));
}

static int reply_number_or_nil(mpool_task *task, const char *name, int number)
{
    return key(task, name) < 0 || (number < 0 ? mpool_reply_nil(task) : mpool_reply_i64(task, number)) < 0 ? -1 : 0;
}

static int reply(struct run *run, int64_t wall_ms)
{
    mpool_task *task = run->task;
    const struct reaper_answer *a = &run->answer;
    int status = WIFEXITED(a->status) ? WEXITSTATUS(a->status) : -1;
    int signal_number = WIFSIGNALED(a->status) ? WTERMSIG(a->status) : -1;
    if (a->stage == REAPER_NO_EXEC) {
        char text[PATH_MAX + 128];
        status = a->error == ENOENT || a->error == ENOTDIR ? 127 : 126;
        snprintf(text, sizeof text, "exec: %s: %s\n", run->request.name, strerror(a->error));
        if (complain(run, text) < 0)
            return -1;
    }
    if (mpool_reply_map(task, 9) < 0 || reply_number_or_nil(task, "status", status) < 0 ||
        reply_number_or_nil(task, "signal", signal_number) < 0)
        return -1;
    static const char *const names[] = {"stdout", "stderr"};
    for (int i = 0; i < 2; i++)
        if (key(task, names[i]) < 0 || mpool_reply_bin(task, run->streams[i].data, run->streams[i].length) < 0)
            return -1;
    if (key(task, "truncated") < 0 ||
        mpool_reply_bool(task, run->streams[0].truncated || run->streams[1].truncated) < 0 ||
        key(task, "timed_out") < 0 || mpool_reply_bool(task, run->timed_out) < 0)
        return -1;
    if (key(task, "cpu_ms") < 0 || mpool_reply_f64(task, (double)a->cpu_us / 1000) < 0 || key(task, "peak_kib") < 0 ||
        mpool_reply_u64(task, a->peak_kib) < 0)
        return -1;
    return key(task, "wall_ms") < 0 ? -1 : mpool_reply_i64(task, wall_ms);
}

static int finish(struct run *run, int64_t wall_ms)
{
    if (run->failed)
        return -1;
    if (run->cancelled && !run->passed_on)
        return mpool_fail(run->task, MPOOL_FAIL_FINAL, "cancelled");
    const char *error = strerror(run->answer.error);
    switch ((enum reaper_stage)run->answer.stage) {
    case REAPER_ENDED:
    case REAPER_NO_EXEC: return reply(run, wall_ms);
    case REAPER_NO_DIRECTORY:
        return mpool_fail(
            run->task, MPOOL_FAIL_FINAL, "%.*s: %s", (int)run->request.directory_length, run->request.directory, error);
    case REAPER_NO_FORK: return mpool_fail(run->task, MPOOL_FAIL_RETRYABLE, "fork: %s", error);
    case REAPER_UNFIT: break;
    }
    return mpool_fail(run->task, MPOOL_FAIL_FINAL, "%s cannot work here: %s", REAPER_PROGRAM, error);
}

/* exec.run(command, options?)
 *
 * command     [program, args…], found along PATH; or a string for `/bin/sh -c`. Strings may be str or bin everywhere,
 *             and an option of nil is none
 * options     env         map: variables over the worker's own; nil takes one away
 *             cwd         directory to start in; without it the worker's, which is / unless a module has changed it
 *             umask       of the command (022)
 *             stdin       bytes, or true: the task's own standard input; without it stdin is empty
 *             timeout     seconds, then TERM for the command's group, and KILL for everything a second later
 *             output      true: outputs go to the caller as they come, and not into the result
 *             merge       true: what it writes to stderr goes where its stdout goes, in the order in which it comes
 *             max_output  bytes kept of each output (16 MiB); the rest is read and dropped
 * result      {status: exit code or nil, signal: number or nil, stdout, stderr: binary, truncated, timed_out: bool,
 *              cpu_ms: float, peak_kib, wall_ms: integer}; CPU time is of all its processes, peak memory of the largest
 */
static int exec_run(mpool_task *task)
{
    struct run run = {
        .task = task,
        .input_fd = -1,
        .streams = {{.fd = -1, .number = STDOUT_FILENO}, {.fd = -1, .number = STDERR_FILENO}},
        .max_output = MAX_OUTPUT_DEFAULT,
        .timeout_ms = -1,
        .request.umask = UMASK_DEFAULT,
    };
    int r = read_arguments(&run);
    int64_t begin = now_ms();
    if (r == 0)
        r = start(&run);
    if (r == 0) {
        r = wait_for_end(&run);
        if (r < 0)
            exec_reaper_abandon();
    }
    if (r == 0) {
        drain(&run);
        r = finish(&run, now_ms() - begin);
    }
    close_fd(&run.input_fd);
    for (int i = 0; i < 2; i++) {
        close_fd(&run.streams[i].fd);
        free(run.streams[i].data);
    }
    return r;
}

MPOOL_MODULE("exec", "1.0.0",
    MPOOL_FN("run", exec_run, .flags = MPOOL_CANCELLABLE,
        .summary = "[program, args…] or shell text, options? → {status, signal, stdout, stderr, …}"),
    MPOOL_WORKER_FINI(exec_reaper_abandon))
