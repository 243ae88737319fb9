/* The calls of <mpool/module.h>, as a function sees them. Whatever a function does with them, at worst its task fails
 * with an error message: the first reported failure counts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/worker/host_private.h"
#include "proto/io.h"
#include "proto/text.h"

static struct host *host_of(mpool_task *task)
{
    return CONTAINER_OF(task, struct host, task);
}

/* ---- arguments ---- */

_Static_assert((int)WIRE_TYPE_END == (int)MPOOL_NOTHING && (int)WIRE_TYPE_STR == (int)MPOOL_STR &&
                   (int)WIRE_TYPE_EXT == (int)MPOOL_EXT,
    "enum mpool_type and enum wire_type name the same types in the same order");

static uint32_t call_arg_count(mpool_task *task)
{
    return host_of(task)->arguments.count;
}

static int call_arg(mpool_task *task, uint32_t index, mpool_value *ret)
{
    struct host *h = host_of(task);
    if (index >= h->arguments.count)
        return host_fail(h, MPOOL_E_BAD_ARGS, false, "argument %u is missing: %u given", index + 1, h->arguments.count);
    struct wire_reader value;
    if (arguments_get(&h->arguments, index, &value) < 0)
        return host_fail(h, MPOOL_E_BAD_ARGS, false, "argument %u is not valid MessagePack", index + 1);
    *ret = (mpool_value){value.at, value.end};
    return 0;
}

static struct wire_reader reader_of(const mpool_value *v)
{
    return (struct wire_reader){v->at, v->end};
}

static int call_value_type(const mpool_value *v)
{
    struct wire_reader r = reader_of(v);
    return (int)wire_peek(&r);
}

/* A value was not of the type that the function expected. `expected` may be several words. */
static int mismatch(mpool_task *task, const mpool_value *v, const char *expected)
{
    struct host *h = host_of(task);
    struct wire_reader r = reader_of(v), top;
    char got[WIRE_DESCRIBED_MAX];
    wire_describe(&r, got);
    ssize_t index = arguments_locate(&h->arguments, v->at);
    if (index < 0)
        return host_fail(h, MPOOL_E_BAD_ARGS, false, "expected %s, got %s", expected, got);
    bool whole = arguments_get(&h->arguments, (uint32_t)index, &top) == 0 && top.at == v->at;
    return host_fail(h, MPOOL_E_BAD_ARGS, false, "%sargument %zd: expected %s, got %s", whole ? "" : "in ", index + 1,
        expected, got);
}

static int call_read_bool(mpool_task *task, mpool_value *v, int *ret)
{
    struct wire_reader r = reader_of(v);
    bool value;
    if (wire_read_bool(&r, &value) < 0)
        return mismatch(task, v, "bool");
    *ret = value;
    v->at = r.at;
    return 0;
}

static int call_read_i64(mpool_task *task, mpool_value *v, int64_t *ret)
{
    struct wire_reader r = reader_of(v);
    int64_t value;
    if (wire_read_i64(&r, &value) < 0)
        return mismatch(task, v, wire_peek(&r) == WIRE_TYPE_INT ? "integer below 2^63" : "integer");
    *ret = value;
    v->at = r.at;
    return 0;
}

static int call_read_u64(mpool_task *task, mpool_value *v, uint64_t *ret)
{
    struct wire_reader r = reader_of(v);
    uint64_t value;
    if (wire_read_u64(&r, &value) < 0)
        return mismatch(task, v, "integer of 0 or more");
    *ret = value;
    v->at = r.at;
    return 0;
}

static int call_read_f64(mpool_task *task, mpool_value *v, double *ret)
{
    struct wire_reader r = reader_of(v);
    double value;
    if (wire_read_f64(&r, &value) < 0)
        return mismatch(task, v, "number");
    *ret = value;
    v->at = r.at;
    return 0;
}

static int call_read_str(mpool_task *task, mpool_value *v, const char **ret, size_t *ret_length)
{
    struct wire_reader r = reader_of(v);
    const char *text;
    size_t length;
    if (wire_read_text(&r, &text, &length) < 0)
        return mismatch(task, v, "string");
    *ret = text;
    *ret_length = length;
    v->at = r.at;
    return 0;
}

static int call_read_bin(mpool_task *task, mpool_value *v, const void **ret, size_t *ret_length)
{
    struct wire_reader r = reader_of(v);
    const char *bytes;
    size_t length;
    if (wire_read_text(&r, &bytes, &length) < 0)
        return mismatch(task, v, "binary or string");
    *ret = bytes;
    *ret_length = length;
    v->at = r.at;
    return 0;
}

static int call_read_array(mpool_task *task, mpool_value *v, uint32_t *ret_count)
{
    struct wire_reader r = reader_of(v);
    uint32_t count;
    if (wire_read_array(&r, &count) < 0)
        return mismatch(task, v, "array");
    *ret_count = count;
    v->at = r.at;
    return 0;
}

static int call_read_map(mpool_task *task, mpool_value *v, uint32_t *ret_pairs)
{
    struct wire_reader r = reader_of(v);
    uint32_t pairs;
    if (wire_read_map(&r, &pairs) < 0)
        return mismatch(task, v, "map");
    *ret_pairs = pairs;
    v->at = r.at;
    return 0;
}

static int call_skip(mpool_task *task, mpool_value *v)
{
    struct wire_reader r = reader_of(v);
    if (wire_skip(&r) < 0)
        return mismatch(task, v, "a value");
    v->at = r.at;
    return 0;
}

static int call_read_raw(mpool_task *task, mpool_value *v, const void **ret, size_t *ret_length)
{
    struct wire_reader r = reader_of(v);
    const uint8_t *raw;
    size_t length;
    if (wire_read_raw(&r, &raw, &length) < 0)
        return mismatch(task, v, "a value");
    *ret = raw;
    *ret_length = length;
    v->at = r.at;
    return 0;
}

/* ---- the reply ---- */

int host_reply_result(struct host *host, int error)
{
    switch (-error) {
    case 0: return 0;
    case EFBIG:
        if (host->result.beyond_file)
            return host_fail(host, MPOOL_E_RESULT_TOO_BIG, false,
                "the result is larger than the worker may write to a file (RLIMIT_FSIZE)");
        return host_fail(host, MPOOL_E_RESULT_TOO_BIG, false, "the result is larger than %llu bytes",
            (unsigned long long)host->result.limit);
    case EEXIST: return host_fail(host, MPOOL_E_FAILED, false, "the function replied with more than one value");
    case ELOOP:
        return host_fail(host, MPOOL_E_FAILED, false, "the reply is nested deeper than %u", host->reply.max_depth);
    case EILSEQ:
        return host_fail(
            host, MPOOL_E_FAILED, false, "the function replied with a string that is not UTF-8 (binary would do)");
    case EBADMSG:
        return host_fail(
            host, MPOOL_E_FAILED, false, "the function replied with bytes that are not one MessagePack value");
    default: return host_fail(host, MPOOL_E_FAILED, true, "no room for the result: %s", strerror(-error));
    }
}

/* Does a reply still count? After a failure nothing is built any more. */
#define REPLY(task, call)                                                                                              \
    __extension__({                                                                                                    \
        struct host *reply_host_ = host_of(task);                                                                      \
        struct reply *r = &reply_host_->reply;                                                                         \
        reply_host_->failed ? -1 : host_reply_result(reply_host_, call);                                               \
    })

static int call_reply_nil(mpool_task *task)
{
    return REPLY(task, reply_nil(r));
}

static int call_reply_bool(mpool_task *task, int value)
{
    return REPLY(task, reply_bool(r, value != 0));
}

static int call_reply_i64(mpool_task *task, int64_t value)
{
    return REPLY(task, reply_i64(r, value));
}

static int call_reply_u64(mpool_task *task, uint64_t value)
{
    return REPLY(task, reply_u64(r, value));
}

static int call_reply_f64(mpool_task *task, double value)
{
    return REPLY(task, reply_f64(r, value));
}

static int call_reply_str(mpool_task *task, const char *text, size_t length)
{
    return REPLY(task, reply_str(r, text, length));
}

static int call_reply_bin(mpool_task *task, const void *bytes, size_t length)
{
    return REPLY(task, reply_bin(r, bytes, length));
}

static int call_reply_array(mpool_task *task, uint32_t count)
{
    return REPLY(task, reply_array(r, count));
}

static int call_reply_map(mpool_task *task, uint32_t pairs)
{
    return REPLY(task, reply_map(r, pairs));
}

static int call_reply_raw(mpool_task *task, const void *msgpack, size_t length)
{
    return REPLY(task, reply_raw(r, msgpack, length));
}

static void *call_reply_bin_reserve(mpool_task *task, size_t length)
{
    void *at = NULL;
    return REPLY(task, reply_bin_reserve(r, length, &at)) < 0 ? NULL : at;
}

/* ---- the rest ---- */

__attribute__((format(printf, 3, 0))) static int call_fail(
    mpool_task *task, unsigned flags, const char *format, va_list ap)
{
    return host_vfail(host_of(task), MPOOL_E_FAILED, (flags & MPOOL_FAIL_RETRYABLE) != 0, format, ap);
}

static void call_progress(mpool_task *task, uint64_t done, uint64_t total)
{
    struct host *h = host_of(task);
    h->ops.progress(h->user, done, total);
}

static void drain(int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) > 0)
        ;
}

void host_watch_no_cancel(struct host *host)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, CONTROL_CANCEL_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    host->cancel_watched = false;
}

static int call_cancelled(mpool_task *task)
{
    struct host *h = host_of(task);
    int how = h->ops.cancelled(h->user);
    if (how || !h->cancel_watched)
        return how;
    /* A signal that was meant for an earlier task would keep the descriptor readable, and its poller spinning. The word
     * is set before the signal is sent: so look at it again after the signals have been drained. */
    drain(h->cancel_fd);
    return h->ops.cancelled(h->user);
}

static int call_cancel_fd(mpool_task *task)
{
    struct host *h = host_of(task);
    if (h->cancel_watched)
        return h->cancel_fd;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, CONTROL_CANCEL_SIGNAL);
    if (h->cancel_fd < 0) {
        h->cancel_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (h->cancel_fd < 0)
            return host_fail(h, MPOOL_E_FAILED, true, "no descriptor to wait for a cancel: %s", strerror(errno));
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    h->cancel_watched = true;
    /* Drains signals of earlier tasks; if this task's own one was among them, it is sent again. */
    drain(h->cancel_fd);
    if (h->ops.cancelled(h->user))
        raise(CONTROL_CANCEL_SIGNAL);
    return h->cancel_fd;
}

__attribute__((format(printf, 3, 0))) static void call_log(mpool_task *task, int level, const char *format, va_list ap)
{
    struct host *h = host_of(task);
    char text[HOST_TEXT_MAX + 8];
    int said = vsnprintf(text, sizeof text, format, ap);
    if (said < 0)
        return;
    size_t n = (size_t)said < sizeof text ? (size_t)said : sizeof text - 1;
    n = wire_utf8_cut(text, n, HOST_TEXT_MAX);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    wire_utf8_scrub(text, n);
    text[n] = 0;
    if (level < MPOOL_LOG_ERROR)
        level = MPOOL_LOG_ERROR;
    if (level > MPOOL_LOG_DEBUG)
        level = MPOOL_LOG_DEBUG;
    h->ops.log(h->user, h->job->position, level, text, n);
}

static void *call_alloc(mpool_task *task, size_t size)
{
    struct host *h = host_of(task);
    void *p = arena_alloc(&h->arena, size);
    if (!p)
        host_fail(h, MPOOL_E_FAILED, true, "no memory for %zu bytes", size);
    return p;
}

static uint64_t call_task_id(mpool_task *task)
{
    return host_of(task)->job->job.task_id;
}

static uint32_t call_attempt(mpool_task *task)
{
    return host_of(task)->job->job.attempt;
}

static int call_output(mpool_task *task, int stream, const void *bytes, size_t length)
{
    struct host *h = host_of(task);
    if (stream != STDOUT_FILENO && stream != STDERR_FILENO)
        return host_fail(h, MPOOL_E_FAILED, false, "the function wrote to output stream %d: there are 1 and 2", stream);
    int error = 0;
    if (h->job->job.flags & LANE_JOB_OUTPUT) {
        for (size_t at = 0; at < length && error == 0;) {
            size_t piece = length - at < HOST_OUTPUT_MAX ? length - at : HOST_OUTPUT_MAX;
            error = h->ops.output(h->user, h->job->position, stream, (const char *)bytes + at, piece);
            at += piece;
        }
    } else {
        fflush(stream == STDOUT_FILENO ? stdout : stderr); /* keep it in order with what was printed before */
        error = io_write_all(stream, bytes, length);
    }
    if (error < 0)
        return host_fail(h, MPOOL_E_FAILED, true, "output could not be written: %s", strerror(-error));
    return 0;
}

const struct mpool_host host_calls = {
    .size = sizeof(struct mpool_host),
    .abi_major = MPOOL_ABI_MAJOR,
    .abi_minor = MPOOL_ABI_MINOR,
    .arg_count = call_arg_count,
    .arg = call_arg,
    .value_type = call_value_type,
    .read_bool = call_read_bool,
    .read_i64 = call_read_i64,
    .read_u64 = call_read_u64,
    .read_f64 = call_read_f64,
    .read_str = call_read_str,
    .read_bin = call_read_bin,
    .read_array = call_read_array,
    .read_map = call_read_map,
    .skip = call_skip,
    .read_raw = call_read_raw,
    .reply_nil = call_reply_nil,
    .reply_bool = call_reply_bool,
    .reply_i64 = call_reply_i64,
    .reply_u64 = call_reply_u64,
    .reply_f64 = call_reply_f64,
    .reply_str = call_reply_str,
    .reply_bin = call_reply_bin,
    .reply_array = call_reply_array,
    .reply_map = call_reply_map,
    .reply_raw = call_reply_raw,
    .reply_bin_reserve = call_reply_bin_reserve,
    .fail = call_fail,
    .progress = call_progress,
    .cancelled = call_cancelled,
    .cancel_fd = call_cancel_fd,
    .log = call_log,
    .alloc = call_alloc,
    .task_id = call_task_id,
    .attempt = call_attempt,
    .output = call_output,
};
