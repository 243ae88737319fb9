#include "daemon/supervisor/task.h"

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
#include "daemon/lane/contract.h"
#include "daemon/supervisor/caller.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/kept.h"
#include "daemon/supervisor/large_reply.h"
#include "daemon/supervisor/map.h"
#include "daemon/supervisor/nested.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/process.h"
#include "daemon/supervisor/supervisor.h"
#include "proto/scan.h"
#include "proto/tables.h"

/* A response of this much more than its result fits a message: envelope and msgid. */
#define RESPONSE_MARGIN (64u << 10)

/* Tasks with so few bytes of arguments have rooms of one size, of which so many are kept: a megabyte. */
#define TASK_ROOM_ARGS 8u
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif
#define TASK_ROOMS_MAX (SANITIZED ? 0u : 4096u) /* it is to see what is used after its end */

struct task_room {
    struct task_room *next;
};

struct task_context task_context;

/* ---- birth
 * ---------------------------------------------------------------------------------------------------------------- */

static uint64_t least_timeout(const struct task_options *o, const struct function *f)
{
    uint64_t candidates[] = {o->timeout_ms, (uint64_t)f->timeout_s * 1000, f->pool->config->timeout_ms};
    uint64_t least = 0;
    for (size_t i = 0; i < ELEMENTS(candidates); i++)
        if (candidates[i] > 0 && (least == 0 || candidates[i] < least))
            least = candidates[i];
    return least;
}

static bool is_whole(const struct supervisor *s, const uint8_t *bytes, uint64_t size)
{
    struct wire_limits limits = {.max_bytes = s->config->max_payload, .max_depth = s->config->max_depth};
    uint64_t whole;
    return wire_scan_value(&limits, bytes, size, &whole) == WIRE_SCAN_WHOLE && whole == size;
}

/* Small tasks come and go a million times a second: their room is kept for the next one. */
static struct task *take_room(struct supervisor *s, size_t args)
{
    bool small = args <= TASK_ROOM_ARGS;
    struct task_room *room = s->task_rooms;
    struct task *t;
    if (small && room) {
        s->task_rooms = room->next;
        s->task_room_count--;
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

static void give_room(struct supervisor *s, struct task *t)
{
    if (!t->small || s->task_room_count >= TASK_ROOMS_MAX) {
        free(t);
        return;
    }
    struct task_room *room = (struct task_room *)(void *)t;
    room->next = s->task_rooms;
    s->task_rooms = room;
    s->task_room_count++;
}

void task_rooms_free(struct supervisor *s)
{
    struct task_room *room;
    while ((room = s->task_rooms)) {
        s->task_rooms = room->next;
        free(room);
    }
}

struct task *task_new(struct supervisor *s, struct caller *caller, struct function *f, enum task_kind kind,
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
    struct task *t = take_room(s, here);
    if (!t) {
        *ret_errno = -ENOMEM;
        return NULL;
    }
    if (here > 0 && fd >= 0) {
        int r = !memfd_read(fd, t->args, here) ? -EIO : is_whole(s, t->args, here) ? 0 : -EBADMSG;
        if (r < 0) {
            give_room(s, t);
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
    t->kind = kind;
    if (kind == TASK_CALL)
        t->call.stdin_fd = -1;
    t->output = options->output;
    t->submitted_ms = s->wall_ms;
    t->core.pool = f->pool->core;
    t->core.function = &f->core;
    if (options->attempts)
        t->core.attempts = (uint32_t)options->attempts;
    else
        t->core.attempts = function_is(f, CONTRACT_IDEMPOTENT) ? f->pool->config->attempts : 1;
    t->core.timeout_ms = least_timeout(options, f);
    t->core.grace_ms = function_is(f, CONTRACT_CANCELLABLE) ? (uint32_t)s->config->cancel_grace_ms : 0;
    t->core.alone = t->output;
    t->core.chunk = kind == TASK_CHUNK;
    return t;
}

void task_free(struct supervisor *s, struct task *t)
{
    nested_end(t);
    if (t->kind == TASK_CALL) {
        free(t->call.name);
        fd_close(&t->call.stdin_fd);
    }
    caller_unref(t->caller);
    fd_close(&t->args_fd);
    give_room(s, t);
}

uint64_t task_public_id(const struct task *t)
{
    return t->kind == TASK_CHUNK ? t->chunk.map->id : t->id;
}

static struct conn *caller_of(const struct task *t)
{
    switch (t->kind) {
    case TASK_CALL: return t->call.conn;
    case TASK_CHUNK: return t->chunk.map->conn;
    case TASK_DETACHED: break;
    }
    return t->kept->process ? t->kept->process->reader : NULL;
}

void task_submit(struct supervisor *s, struct task *t, bool front)
{
    s->stats.tasks.submitted++;
    const struct conn *c = t->kind == TASK_DETACHED ? NULL : caller_of(t);
    if (c && c->inside_waits)
        nested_submit(c, t, front);
    else if (front)
        core_submit_front(s->core, &t->core, s->now_ns);
    else
        core_submit(s->core, &t->core, s->now_ns);
}

uint64_t task_max_result(const struct supervisor *s, const struct conn *c)
{
    if (!c || c->memfd)
        return s->config->max_payload;
    return s->config->max_message > RESPONSE_MARGIN * 2 ? s->config->max_message - RESPONSE_MARGIN : RESPONSE_MARGIN;
}

int task_job(const struct supervisor *s, struct task *t, struct lane_job *ret, struct iovec pieces[2],
    uint8_t header[5], int *ret_memfd)
{
    int count = 0;
    *ret = (struct lane_job){.task_id = t->id, .attempt = t->core.attempt + 1};
    ret->flags = t->output ? LANE_JOB_OUTPUT : 0;
    if (t->kind == TASK_CHUNK) {
        const struct map *m = t->chunk.map;
        map_job(m, t, ret);
        header[0] = 0xdd; /* array32 */
        for (int i = 0; i < 4; i++)
            header[1 + i] = (uint8_t)(t->chunk.count >> (24 - 8 * i));
        pieces[count++] = (struct iovec){header, 5};
        pieces[count++] = (struct iovec){(void *)(uintptr_t)(m->items + t->chunk.offset), t->chunk.length};
    } else {
        ret->max_result = task_max_result(s, t->kind == TASK_CALL ? t->call.conn : NULL);
        ret->flags |= t->kind == TASK_CALL && t->call.stdin_fd >= 0 ? LANE_JOB_STDIN : 0;
        pieces[count++] = (struct iovec){t->args, (size_t)t->args_length};
    }
    if (t->args_fd >= 0) {
        ret->flags |= LANE_JOB_MEMFD;
        ret->args_size = t->args_length;
        *ret_memfd = t->args_fd;
        count = 0;
    }
    return count;
}

bool task_caller_is_full(const struct task *t)
{
    const struct conn *c = caller_of(t);
    return t->output && c && !c->closed && conn_is_full(c);
}

void task_output(struct task *t, int stream, const void *bytes, size_t length)
{
    struct conn *c = caller_of(t);
    if (t->kind == TASK_DETACHED) {
        process_output(t->kept->process, stream, bytes, length);
        return;
    }
    bool answered = t->kind == TASK_CALL ? !t->no_reply : t->kind == TASK_CHUNK && !t->chunk.map->no_reply;
    if (!c || c->closed || length == 0 || !answered)
        return;
    wire_put_notification(&c->out, "output");
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint32(&pk, t->kind == TASK_CALL ? t->call.msgid : t->chunk.map->msgid);
    msgpack_pack_int(&pk, stream);
    msgpack_pack_bin(&pk, length);
    msgpack_pack_bin_body(&pk, bytes, length);
    conn_touch(c);
}

void task_drop_absent(struct supervisor *s, struct pool *pool)
{
    struct task *t, *next;
    struct kept *k, *next_kept;
    struct map *m;
    pool->drop_wanted = false;
    for (t = TAILQ_FIRST(&s->calls); t; t = next) {
        next = TAILQ_NEXT(t, call.every);
        if (t->function->pool == pool && !t->function->present && t->core.state != MPOOL_STATE_PLACED) {
            t->removed = true;
            core_cancel(s->core, &t->core, CORE_WHY_CANCEL, s->now_ns);
        }
    }
    for (k = TAILQ_FIRST(&s->kept); k; k = next_kept) {
        next_kept = TAILQ_NEXT(k, link);
        t = k->task;
        if (t && t->function->pool == pool && !t->function->present && t->core.state != MPOOL_STATE_PLACED) {
            t->removed = true;
            core_cancel(s->core, &t->core, CORE_WHY_CANCEL, s->now_ns);
        }
    }
    TAILQ_FOREACH (m, &s->maps, every)
        if (m->function->pool == pool && !m->function->present)
            map_fail(m, MPOOL_E_NO_FUNCTION, "the function was removed while its items waited");
}

/* ---- end
 * --------------------------------------------------------------------------------------------------------------------
 */

size_t task_error_text(const struct outcome *o, char *out, size_t size, int *ret_class)
{
    if (o->error == MPOOL_E_FAILED && o->size > 0) {
        uint8_t copy[5000]; /* copied before it is looked at: it lies in the worker's memory */
        const char *text;
        size_t length;
        if (o->size <= sizeof copy) {
            memcpy(copy, o->data, (size_t)o->size);
            struct wire_limits limits = {.max_bytes = sizeof copy, .max_depth = 2};
            uint64_t whole;
            if (wire_scan_value(&limits, copy, o->size, &whole) == WIRE_SCAN_WHOLE && whole == o->size &&
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
    if (no_reply || c->closed) {
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
    if (o->size > task_max_result(c->supervisor, c)) {
        conn_reply_error(c, msgid, MPOOL_E_RESULT_TOO_BIG,
            "the result has %llu bytes, this connection takes %llu; say hello with memfd: true to get larger ones",
            (unsigned long long)o->size, (unsigned long long)task_max_result(c->supervisor, c));
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
    if (c->out.failed || !is_whole(c->supervisor, wire_buf_at(&c->out) + mark, o->size)) {
        o->broke = !c->out.failed;
        wire_buf_rewind(&c->out, before);
        if (o->broke)
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

static void count(struct supervisor *s, enum mpool_state state)
{
    switch (state) {
    case MPOOL_STATE_DONE: s->stats.tasks.done++; break;
    case MPOOL_STATE_FAILED: s->stats.tasks.failed++; break;
    case MPOOL_STATE_LOST: s->stats.tasks.lost++; break;
    case MPOOL_STATE_TIMEOUT: s->stats.tasks.timeout++; break;
    case MPOOL_STATE_CANCELLED: s->stats.tasks.cancelled++; break;
    case MPOOL_STATE_SHUTDOWN: s->stats.tasks.shutdown++; break;
    case MPOOL_STATE_QUEUED:
    case MPOOL_STATE_PLACED:
    case MPOOL_STATE_RUNNING:
    case MPOOL_STATE_BACKOFF:
    case MPOOL_STATE_COUNT: break;
    }
}

void task_describe_stop(const struct task *t, enum core_why why, struct outcome *o, char *text, size_t size)
{
    uint32_t attempt = o->attempt;
    o->verdict = task_context.verdict;
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
    case CORE_WHY_DOWN:
        o->state = MPOOL_STATE_FAILED;
        o->error = MPOOL_E_POOL_DOWN;
        pool_down_text(t->function->pool, text, size);
        return;
    case CORE_WHY_LOST:
    case CORE_WHY_RESULT: /* only with a result */
        o->state = MPOOL_STATE_LOST;
        o->error = MPOOL_E_LOST;
        if (task_context.verdict)
            lost_text(t, task_context.verdict, o, text, size);
        return;
    }
}

/* The words for every way in which a task may end. */
static void describe(const struct task *t, enum core_why why, struct outcome *o, char *text, size_t size)
{
    const struct lane_result *r = task_context.result;
    if (why == CORE_WHY_RESULT && r) {
        o->data = r->data;
        o->size = r->size;
        o->items_done = r->items_done;
        if (r->memfd) {
            o->memfd = *task_context.result_memfd;
            *task_context.result_memfd = -1;
        }
        o->state = MPOOL_STATE_DONE;
        if (r->outcome == LANE_OUTCOME_OK)
            return;
        o->state = MPOOL_STATE_FAILED;
        o->error = MPOOL_E_FAILED;
        if (t->core.stop == CORE_WHY_RESULT)
            return;
        /* A function that was told to stop and gave up has obeyed: what it says of it matters no more. */
        why = (enum core_why)t->core.stop;
    }
    task_describe_stop(t, why, o, text, size);
}

void task_finished(void *context, struct core_task *core_task, enum core_why why)
{
    struct supervisor *s = context;
    struct task *t = task_of(core_task);
    char text[512];
    text[0] = 0; /* and no more: most have nothing to say */
    struct outcome o = {.memfd = -1, .attempt = t->core.attempt, .attempts = t->core.attempts};
    if (t->kind == TASK_CHUNK && o.attempt > 0) { /* what ends is a run of one of its items */
        o.attempt = (task_context.partial_items == 0 ? t->chunk.item_attempt : 0) + 1;
        o.attempts = t->chunk.map->attempts;
    }
    if (t->core.worker)
        o.generation = worker_of(t->core.worker)->generation;
    describe(t, why, &o, text, sizeof text);
    if (t->kind == TASK_DETACHED && t->kept->process)
        process_judge(t->kept->process, &o, text, sizeof text);
    count(s, o.state);
    s->stats.tasks.retried += t->core.attempt > 1 ? t->core.attempt - 1 : 0;
    switch (t->kind) {
    case TASK_CALL: {
        struct conn *c = t->call.conn;
        TAILQ_REMOVE(&s->calls, t, call.every);
        attached_remove(&t->call.by_id);
        conn_remove_call(c, t);
        task_respond(c, t->call.msgid, t->no_reply, &o);
        break;
    }
    case TASK_DETACHED: kept_finished(s, t->kept, &o); break;
    case TASK_CHUNK: map_chunk_finished(s, t, &o); break;
    }
    task_context.broke |= o.broke;
    fd_close(&o.memfd);
    task_free(s, t);
}
