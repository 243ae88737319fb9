/* Tasks as requests: see task.h. */
#include "client/lib/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "client/lib/cancel.h"
#include "client/lib/memfd.h"
#include "client/lib/request.h"
#include "client/lib/schedule.h"
#include "client/lib/sized.h"
#include "proto/message.h"
#include "proto/tables.h"

static int check(mpool_client *client, const struct task *task, const mpool_options *o)
{
    if (!task->function || !*task->function)
        return handle_fail(client, -EINVAL, "No function is named.");
    if (o->timeout_ms < 0)
        return handle_fail(client, -EINVAL, "The options hold a negative time-out.");
    if (o->on_output && task->method == MPOOL_METHOD_SUBMIT)
        return handle_fail(client, -EINVAL, "A submitted task has nobody to hear its output.");
    if (o->stdin_fd && task->method != MPOOL_METHOD_CALL)
        return handle_fail(client, -EINVAL, "Only a call has a standard input.");
    int r = schedule_check(client, o);
    if (r < 0 || !task->args)
        return r;
    r = request_check_array(client, task->args, task->args_length, 2);
    return r < 0 ? handle_fail(client, r, r == -EINVAL ? "The arguments are not one MessagePack array." : NULL) : 0;
}

static bool keeps_result(const struct task *task)
{
    return task->method == MPOOL_METHOD_SUBMIT || task->method == MPOOL_METHOD_SPAWN;
}

/* The number of options to send. */
static size_t count_options(const struct task *task, const mpool_options *o, uint64_t memfd_bytes)
{
    return (size_t) !!o->pool + !!o->name + (o->timeout_ms > 0) + !!o->attempts + (keeps_result(task) && o->ttl_s) +
           !!o->on_output + !!o->stdin_fd + task->lives_on + task->star + (task->answer == TASK_ANSWER_EACH) +
           (task->answer == TASK_ANSWER_STREAM) + !!task->chunk + !!memfd_bytes + schedule_count(o);
}

static void pack_options(
    struct wire_buf *out, const struct task *task, const mpool_options *o, size_t count, uint64_t memfd_bytes)
{
    uint32_t ttl_s = keeps_result(task) ? o->ttl_s : 0;
    bool each = task->answer == TASK_ANSWER_EACH, stream = task->answer == TASK_ANSWER_STREAM;
    msgpack_packer pk = wire_packer(out);

    msgpack_pack_map(&pk, count);
    if (o->pool)
        wire_pack_key_text(&pk, "pool", o->pool);
    if (o->name)
        wire_pack_key_text(&pk, "name", o->name);
    if (o->timeout_ms > 0)
        wire_pack_key_i64(&pk, "timeout_ms", o->timeout_ms);
    if (o->attempts)
        wire_pack_key_u64(&pk, "attempts", o->attempts);
    schedule_pack(&pk, o);
    if (ttl_s)
        wire_pack_key_u64(&pk, "ttl_s", ttl_s);
    if (o->on_output)
        wire_pack_key_bool(&pk, "output", true);
    if (o->stdin_fd)
        wire_pack_key_bool(&pk, "stdin", true);
    if (task->lives_on)
        wire_pack_key_bool(&pk, "daemonic", false);
    if (task->star)
        wire_pack_key_bool(&pk, "star", true);
    if (each)
        wire_pack_key_bool(&pk, "each", true);
    if (stream)
        wire_pack_key_bool(&pk, "stream", true);
    if (task->chunk)
        wire_pack_key_u64(&pk, "chunk", task->chunk);
    if (memfd_bytes)
        wire_pack_key_u64(&pk, "args_memfd", memfd_bytes);
}

int task_start(mpool_client *client, const struct task *task, const struct call *call, uint32_t *ret_msgid)
{
    NOT_CANCELLED;
    static const mpool_options defaults = MPOOL_OPTIONS_INIT;
    const mpool_options *o = task->options ? task->options : &defaults;
    mpool_options other; /* of a program with another version of the header */
    int r = 0;
    if (o->size != sizeof(other)) {
        other = defaults;
        r = sized_read(client, &other, sizeof(other), o);
        o = &other;
    }
    if (r == 0)
        r = check(client, task, o);
    if (r < 0)
        return r;
    struct call with_output = *call;
    with_output.output = o->on_output;
    with_output.output_userdata = o->userdata;
    struct request request;
    r = request_open(client, wire_method_info(task->method)->name, &with_output, &request);
    if (r < 0)
        return r;

    int fd = -1;
    bool aside =
        task->args_length > MEMFD_FROM_BYTES && client->peer.memfd && !o->stdin_fd; /* at most one memfd per request */
    if (aside && task->args_length > client->peer.memfd_bytes) {
        request_drop(client, &request);
        return handle_fail(client, MPOOL_ETOO_BIG, "The arguments are larger than the daemon takes.");
    }
    if (aside) {
        fd = memfd_from_bytes(task->args, task->args_length);
        /* If no memfd can be made (RLIMIT_FSIZE, no descriptor), send them through the socket if they fit into a
         * message. */
        if (fd < 0 && task->args_length >= client->peer.message_bytes) {
            request_drop(client, &request);
            return handle_fail(client, fd, NULL);
        }
        aside = fd >= 0;
    }
    if (o->stdin_fd) {
        fd = fcntl(*o->stdin_fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0) {
            int error = errno;
            request_drop(client, &request);
            return handle_fail(client, -error, NULL);
        }
    }
    struct wire_buf *out = &client->io.out;
    msgpack_packer pk = wire_packer(out);
    uint64_t memfd_bytes = aside ? task->args_length : 0;
    size_t pairs = count_options(task, o, memfd_bytes);
    msgpack_pack_array(&pk, pairs > 0 ? 3 : 2);
    wire_pack_text(&pk, task->function);
    if (!task->args || aside)
        msgpack_pack_nil(&pk);
    else
        wire_buf_append(out, task->args, task->args_length);
    if (pairs > 0)
        pack_options(out, task, o, pairs, memfd_bytes);
    r = request_close(client, &request, fd);
    if (r < 0)
        return r;
    *ret_msgid = request.msgid;
    return 0;
}
