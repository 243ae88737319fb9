#include "daemon/task/conn_tasks.h"
#include "daemon/task/large_reply.h"
#include "daemon/task/nested.h"
#include "daemon/task/task.h"
#include "daemon/task/tasks.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/packet.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/workers.h"
#include "proto/scan.h"
#include "proto/tables.h"

/* How much the result's limit stays below that of a message: room for envelope and msgid. */
#define RESPONSE_MARGIN (64u << 10)

/* Tasks with at most this many bytes of arguments are allocated with one size; this many are recycled: a megabyte. */
#define TASK_ROOM_ARGS 8u
#define TASK_ROOMS_MAX 4096u
/* AddressSanitizer detects use after free only if the memory was freed, so nothing is recycled under it. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

struct task_room {
    struct task_room *next;
};

/* ---- birth ---- */

static uint64_t least_timeout(const struct task_options *o, const struct function *f)
{
    uint64_t candidates[] = {o->timeout_ms, (uint64_t)f->timeout_s * 1000, f->pool->config->timeout_ms};
    uint64_t min = 0;
    for (size_t i = 0; i < ELEMENTS(candidates); i++)
        if (candidates[i] > 0 && (min == 0 || candidates[i] < min))
            min = candidates[i];
    return min;
}

static bool is_whole(const struct tasks *tasks, const uint8_t *bytes, uint64_t size)
{
    struct wire_limits limits = {.max_bytes = tasks->config->max_payload, .max_depth = tasks->config->max_depth};
    return wire_is_whole(&limits, bytes, size);
}

/* Up to a million small tasks a second are created: recycle their memory. */
static struct task *take_room(struct tasks *tasks, size_t args)
{
    bool small = !SANITIZED && args <= TASK_ROOM_ARGS;
    struct task_room *room = tasks->rooms;
    struct task *t;
    if (small && room) {
        tasks->rooms = room->next;
        tasks->room_count--;
        t = (struct task *)(void *)room;
    } else {
        t = malloc(sizeof *t + (small ? TASK_ROOM_ARGS : args));
    }
    if (t) {
        memset(t, 0, sizeof *t);
        t->small = small;
    }
    return t;
}

static void give_room(struct tasks *tasks, struct task *t)
{
    if (!t->small || tasks->room_count >= TASK_ROOMS_MAX) {
        free(t);
        return;
    }
    struct task_room *room = (struct task_room *)(void *)t;
    room->next = tasks->rooms;
    tasks->rooms = room;
    tasks->room_count++;
}

void task_rooms_free(struct tasks *tasks)
{
    struct task_room *room;
    while ((room = tasks->rooms)) {
        tasks->rooms = room->next;
        free(room);
    }
}

struct task *task_new(struct tasks *tasks, struct caller *caller, struct function *f, const struct task_ops *ops,
    const struct task_options *options, const void *args, uint64_t args_length, int args_fd, int *ret_errno)
{
    _cleanup_(fd_close) int fd = args_fd;
    if (fd < 0 && args_length > LANE_BLOCK_MAX) {
        fd = memfd_of_bytes("mpool-args", args, (size_t)args_length);
        if (fd < 0) {
            *ret_errno = fd;
            return NULL;
        }
    }
    size_t here = args_length <= LANE_BLOCK_MAX ? (size_t)args_length : 0;
    struct task *t = take_room(tasks, here);
    if (!t) {
        *ret_errno = -ENOMEM;
        return NULL;
    }
    if (here > 0 && fd >= 0) {
        int r = !memfd_read(fd, t->args, here) ? -EIO : is_whole(tasks, t->args, here) ? 0 : -EBADMSG;
        if (r < 0) {
            give_room(tasks, t);
            *ret_errno = r;
            return NULL;
        }
        fd_close(&fd);
    } else if (here > 0) {
        memcpy(t->args, args, here);
    }
    t->args_length = args_length;
    t->args_fd = TAKE_FD(fd);
    t->caller = caller_ref(caller);
    t->function = f;
    t->ops = ops;
    t->output = options->output;
    t->submitted_ms = tasks->loop->wall_ms;
    t->core.pool = f->pool->core;
    t->core.function = &f->core;
    if (options->attempts)
        t->core.attempts = (uint32_t)options->attempts;
    else
        t->core.attempts = function_is(f, CONTROL_IDEMPOTENT) ? f->pool->config->attempts : 1;
    t->core.timeout_ms = least_timeout(options, f);
    t->core.start_ns = options->start_ns;
    t->core.expires_ns = options->expires_ns;
    t->core.grace_ms = function_is(f, CONTROL_CANCELLABLE) ? (uint32_t)tasks->config->cancel_grace_ms : 0;
    t->core.alone = t->output;
    return t;
}

void task_free(struct tasks *tasks, struct task *t)
{
    nested_end(t);
    if (t->ops->free)
        t->ops->free(t);
    core_flow_unref(t->core.flow);
    caller_unref(t->caller);
    fd_close(&t->args_fd);
    give_room(tasks, t);
}

uint64_t task_public_id(const struct task *t)
{
    return t->ops->public_id(t);
}

struct task *task_running(const struct worker *w)
{
    struct core_task *t = worker_running(w);
    return t ? task_of(t) : NULL;
}

void task_submit(struct tasks *tasks, struct task *t, const struct conn *c, bool front)
{
    tasks->loop->stats.tasks.submitted++;
    if (c && c->tasks->inside_waits)
        nested_submit(c, t, front);
    else if (front)
        core_submit_front(&t->core, tasks->loop->now_ns);
    else
        core_submit(&t->core, tasks->loop->now_ns);
}

uint64_t task_max_result(const struct tasks *tasks, const struct conn *c)
{
    if (!c || c->memfd)
        return tasks->config->max_payload;
    return tasks->config->max_message > RESPONSE_MARGIN * 2 ? tasks->config->max_message - RESPONSE_MARGIN
                                                            : RESPONSE_MARGIN;
}

void task_put_output(struct conn *c, uint32_t msgid, int stream, const void *bytes, size_t length)
{
    if (conn_is_closed(c) || length == 0)
        return;
    wire_put_notification(&c->out, "output");
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint32(&pk, msgid);
    msgpack_pack_int(&pk, stream);
    msgpack_pack_bin(&pk, length);
    msgpack_pack_bin_body(&pk, bytes, length);
    conn_touch(c);
}

/* ---- end ---- */

size_t task_error_text(const struct outcome *o, char *out, size_t size, int *ret_class)
{
    if (o->error == MPOOL_E_FAILED && o->size > 0) {
        uint8_t copy[5000]; /* copied before it is parsed, because it is in the worker's memory */
        const char *text;
        size_t length;
        if (o->size <= sizeof copy) {
            memcpy(copy, o->data, (size_t)o->size);
            struct wire_limits limits = {.max_bytes = sizeof copy, .max_depth = 2};
            if (wire_is_whole(&limits, copy, o->size) &&
                wire_read_error(copy, (size_t)o->size, ret_class, &text, &length) == 0) {
                if (length >= size)
                    length = size - 1;
                memcpy(out, text, length);
                out[length] = 0;
                return length;
            }
        }
        *ret_class = 0;
        int n = snprintf(out, size, "E_LOST: the worker's answer was damaged");
        return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    }
    const struct wire_error_info *info = wire_error_info(o->error);
    *ret_class = info->class;
    int n = snprintf(out, size, "%s: %s", info->name, o->text ? o->text : info->sentence);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static bool pass_memfd(struct conn *c, uint32_t msgid, struct outcome *o)
{
    int fd = o->memfd;
    o->memfd = -1;
    if (!conn_pass_fd(c, "memfd", msgid, o->size, fd))
        return false;
    wire_put_result(&c->out, msgid);
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_nil(&pk);
    return true;
}

void task_respond(struct conn *c, uint32_t msgid, bool no_reply, struct outcome *o)
{
    if (no_reply || conn_is_closed(c)) {
        conn_replied(c);
        return;
    }
    if (o->error != MPOOL_ERROR_NONE) {
        char text[5100];
        int class = 0;
        size_t length = task_error_text(o, text, sizeof text, &class);
        conn_put_error(c, msgid, class, text, length);
        conn_replied(c);
        return;
    }
    if (o->memfd >= 0 && c->memfd && o->size >= MEMFD_RESULT_MIN) {
        if (!pass_memfd(c, msgid, o))
            conn_reply_error(c, msgid, MPOOL_E_INTERNAL, "out of memory for a large result");
        else
            conn_replied(c);
        return;
    }
    if (o->size > task_max_result(c->tasks->all, c)) {
        conn_reply_error(c, msgid, MPOOL_E_RESULT_TOO_BIG,
            "the result has %llu bytes, this connection takes %llu; say hello with memfd: true to get larger ones",
            (unsigned long long)o->size, (unsigned long long)task_max_result(c->tasks->all, c));
        return;
    }
    if (o->memfd >= 0) {
        large_reply_start(c, msgid, o);
        return;
    }
    size_t before = wire_buf_mark(&c->out);
    wire_put_result(&c->out, msgid);
    size_t mark = wire_buf_length(&c->out);
    wire_buf_append(&c->out, o->data, (size_t)o->size);
    if (c->out.failed || !is_whole(c->tasks->all, wire_buf_at(&c->out) + mark, o->size)) {
        o->malformed = !c->out.failed;
        wire_buf_rewind(&c->out, before);
        if (o->malformed)
            conn_reply_error(c, msgid, MPOOL_E_LOST, TASK_WORKER_BROKE);
        else
            conn_reply_error(
                c, msgid, MPOOL_E_INTERNAL, "no memory for a result of %llu bytes", (unsigned long long)o->size);
        return;
    }
    conn_replied(c);
}

static void lost_text(const struct task *t, const struct verdict *v, const struct outcome *o, char *out, size_t size)
{
    char cause[96];
    if (v->broke)
        snprintf(cause, sizeof cause, "was ended because it damaged its shared memory");
    else if (v->signal)
        snprintf(cause, sizeof cause, "was killed by SIG%s", sigabbrev_np(v->signal) ? sigabbrev_np(v->signal) : "?");
    else
        snprintf(cause, sizeof cause, "exited with status %d", v->exit_status);
    snprintf(out, size, "worker %u (pid %d) %s while running %s (attempt %u of %u, %.3f s CPU, peak %llu KiB)%s",
        v->worker, (int)v->pid, cause, t->function->name, o->attempt, o->attempts, (double)v->cpu_us / 1e6,
        (unsigned long long)v->peak_kib, oom_text(v->oom));
}

static void count(struct tasks *tasks, enum mpool_state state)
{
    switch (state) {
    case MPOOL_STATE_DONE: tasks->loop->stats.tasks.done++; break;
    case MPOOL_STATE_FAILED: tasks->loop->stats.tasks.failed++; break;
    case MPOOL_STATE_LOST: tasks->loop->stats.tasks.lost++; break;
    case MPOOL_STATE_TIMEOUT: tasks->loop->stats.tasks.timeout++; break;
    case MPOOL_STATE_CANCELLED: tasks->loop->stats.tasks.cancelled++; break;
    case MPOOL_STATE_SHUTDOWN: tasks->loop->stats.tasks.shutdown++; break;
    case MPOOL_STATE_EXPIRED: tasks->loop->stats.tasks.overdue++; break;
    case MPOOL_STATE_QUEUED:
    case MPOOL_STATE_PLACED:
    case MPOOL_STATE_RUNNING:
    case MPOOL_STATE_BACKOFF:
    case MPOOL_STATE_DELAYED:
    case MPOOL_STATE_COUNT: break;
    }
}

void task_describe_stop(
    const struct task *t, enum core_why why, const struct verdict *verdict, struct outcome *o, char *text, size_t size)
{
    uint32_t attempt = o->attempt;
    o->verdict = verdict;
    o->text = text;
    o->size = 0;
    switch (why) {
    case CORE_WHY_TIMEOUT:
        o->state = MPOOL_STATE_TIMEOUT;
        o->error = MPOOL_E_TIMEOUT;
        snprintf(text, size, "%s ran longer than %llu ms (attempt %u of %u)", t->function->name,
            (unsigned long long)task_timeout_ms(t), attempt, o->attempts);
        return;
    case CORE_WHY_CANCEL:
        o->state = MPOOL_STATE_CANCELLED;
        o->error = t->removed ? MPOOL_E_NO_FUNCTION : MPOOL_E_CANCELLED;
        if (t->removed)
            snprintf(text, size, "%s was removed while the task waited", t->function->name);
        else
            snprintf(text, size, "%s was cancelled%s", t->function->name, attempt == 0 ? " before it ran" : "");
        return;
    case CORE_WHY_SHUTDOWN:
        o->state = MPOOL_STATE_SHUTDOWN;
        o->error = MPOOL_E_SHUTDOWN;
        snprintf(text, size, "the daemon is stopping%s", attempt == 0 ? "; the task has not run" : "");
        return;
    case CORE_WHY_EXPIRED:
        o->state = MPOOL_STATE_EXPIRED;
        o->error = MPOOL_E_EXPIRED;
        snprintf(text, size, "%s waited past its deadline, and has not run", t->function->name);
        return;
    case CORE_WHY_DOWN:
        o->state = MPOOL_STATE_FAILED;
        o->error = MPOOL_E_POOL_DOWN;
        pool_down_text(t->function->pool, text, size);
        return;
    case CORE_WHY_LOST:
    case CORE_WHY_RESULT: /* only with a result */
        o->state = MPOOL_STATE_LOST;
        o->error = MPOOL_E_LOST;
        if (verdict)
            lost_text(t, verdict, o, text, size);
        return;
    }
}

/* The error texts for every way in which a task may end. */
static void describe(const struct task *t, enum core_why why, const struct run_report *report, struct outcome *o,
    char *text, size_t size)
{
    const struct lane_result *r = report->result;
    if (why == CORE_WHY_RESULT && r) {
        o->data = r->data;
        o->size = r->size;
        o->items_done = r->items_done;
        if (r->memfd) {
            o->memfd = *report->result_memfd;
            *report->result_memfd = -1;
        }
        o->state = MPOOL_STATE_DONE;
        if (r->outcome == LANE_OUTCOME_OK)
            return;
        o->state = MPOOL_STATE_FAILED;
        o->error = MPOOL_E_FAILED;
        if (t->core.stop == CORE_WHY_RESULT)
            return;
        /* A function that was told to stop has given up: its own error is replaced by the reason of the stop. */
        why = (enum core_why)t->core.stop;
    }
    task_describe_stop(t, why, report->verdict, o, text, size);
}

void task_finished(struct tasks *tasks, struct core_task *core_task, enum core_why why, struct run_report *report)
{
    struct task *t = task_of(core_task);
    char text[512];
    text[0] = 0; /* only the first byte: most tasks need no text */
    struct outcome o = {.memfd = -1, .attempt = t->core.attempt, .attempts = t->core.attempts};
    if (t->ops->count_attempts)
        t->ops->count_attempts(t, report, &o);
    if (t->core.worker)
        o.generation = worker_of(t->core.worker)->generation;
    describe(t, why, report, &o, text, sizeof text);
    if (t->ops->judge)
        t->ops->judge(t, &o, text, sizeof text);
    count(tasks, o.state);
    tasks->loop->stats.tasks.retried += t->core.attempt > 1 ? t->core.attempt - 1 : 0;
    t->ops->finish(t, report, &o);
    report->malformed |= o.malformed;
    fd_close(&o.memfd);
    task_free(tasks, t);
}
