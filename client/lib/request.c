/* Requests in the send buffer, and waiting for them: see request.h. */
#include "client/lib/request.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/loop.h"
#include "proto/message.h"

bool request_has_room(const mpool_client *client)
{
    return io_unsent(&client->io) < REQUEST_UNSENT_MAX && client->io.out_fds_count < IO_FDS_MAX;
}

int request_wait_room(mpool_client *client, uint64_t deadline_ns)
{
    while (!client->loss && !request_has_room(client)) {
        int r = loop_wait(client, deadline_ns);
        if (r == -ENOTCONN)
            return r;
        if (r < 0 && !request_has_room(client))
            return handle_fail(
                client, r, r == -ETIMEDOUT ? "Timed out: the daemon does not read what it is sent." : NULL);
    }
    return 0;
}

int request_open(mpool_client *client, const char *method, const struct call *call, struct request *ret_request)
{
    int r = handle_check(client);
    if (r < 0)
        return r;
    if (!request_has_room(client))
        return handle_fail(client, -EAGAIN, "Too much is unsent: dispatch or flush first.");
    uint32_t msgid;
    r = pending_add(&client->pending, call, &msgid);
    if (r < 0)
        return handle_fail(client, r, r == -EAGAIN ? "Too many calls wait for an answer." : NULL);
    *ret_request = (struct request){.mark = wire_buf_length(&client->io.out), .msgid = msgid};
    wire_put_request(&client->io.out, msgid, method);
    return 0;
}

void request_drop(mpool_client *client, const struct request *request)
{
    struct call call;
    wire_buf_rewind(&client->io.out, request->mark);
    pending_remove(&client->pending, request->msgid, &call);
}

static void tell_unsent(const mpool_client *client, size_t before)
{
    if (before == 0 && client->on_unsent && !client->running) {
        NOT_CANCELLED;
        client->on_unsent(client->on_unsent_userdata);
    }
}

static void close_fd(int fd)
{
    NOT_CANCELLED;
    if (fd >= 0)
        close(fd);
}

int request_close(mpool_client *client, const struct request *request, int fd)
{
    int r = 0;
    if (client->io.out.failed)
        r = -ENOMEM;
    else if (wire_buf_length(&client->io.out) - request->mark > client->peer.message_bytes)
        r = MPOOL_ETOO_BIG;
    else if (fd >= 0)
        r = io_attach_fd(&client->io, request->mark, fd);
    if (r < 0) {
        close_fd(fd);
        request_drop(client, request);
        return handle_fail(client, r, r == -EAGAIN ? "Too many descriptors are unsent." : NULL);
    }
    tell_unsent(client, request->mark);
    return 0;
}

int request_check_array(const mpool_client *client, const void *bytes, size_t length, uint32_t above)
{
    uint32_t depth = client->peer.depth > above ? client->peer.depth - above : 1;
    struct wire_limits limits = {.max_bytes = length, .max_depth = depth < WIRE_DEPTH_CAP ? depth : WIRE_DEPTH_CAP};
    struct wire_reader first = wire_reader(bytes, length);
    uint64_t whole;
    if (wire_peek(&first) != WIRE_TYPE_ARRAY)
        return -EINVAL;
    switch (wire_scan_value(&limits, bytes, length, &whole)) {
    case WIRE_SCAN_WHOLE: return whole == length ? 0 : -EINVAL;
    case WIRE_SCAN_TOO_DEEP: return MPOOL_ETOO_DEEP;
    case WIRE_SCAN_MORE:
    case WIRE_SCAN_BAD_BYTE:
    case WIRE_SCAN_TOO_BIG: break;
    }
    return -EINVAL;
}

/* The same with a descriptor to send along, or -1; taken in any case. */
static int request_send_with_fd(mpool_client *client, const char *method, const void *params, size_t length, int fd,
    const struct call *call, uint32_t *ret_msgid)
{
    static const uint8_t no_params[] = {0x90};
    if (!params) {
        params = no_params;
        length = sizeof(no_params);
    }
    int r = request_check_array(client, params, length, 1);
    if (r < 0)
        handle_fail(client, r, r == -EINVAL ? "The parameters are not one MessagePack array." : NULL);
    struct request request;
    if (r == 0)
        r = request_open(client, method, call, &request);
    if (r < 0) {
        close_fd(fd);
        return r;
    }
    wire_buf_append(&client->io.out, params, length);
    r = request_close(client, &request, fd);
    if (r < 0)
        return r;
    *ret_msgid = request.msgid;
    return 0;
}

int request_send(mpool_client *client, const char *method, const void *params, size_t length, const struct call *call,
    uint32_t *ret_msgid)
{
    return request_send_with_fd(client, method, params, length, -1, call, ret_msgid);
}

int request_cancel(mpool_client *client, uint32_t msgid, int number)
{
    struct call *call = pending_find(&client->pending, msgid);
    if (!call)
        return -ENOENT;
    if (call->cancelling || client->loss)
        return 0;
    struct wire_buf *out = &client->io.out;
    size_t mark = wire_buf_length(out);
    msgpack_packer pk = wire_packer(out);
    wire_put_notification(out, "cancel");
    msgpack_pack_array(&pk, 1 + (size_t)(number > 0));
    msgpack_pack_map(&pk, 1);
    wire_pack_key_u64(&pk, "msgid", msgid);
    if (number > 0) {
        msgpack_pack_map(&pk, 1);
        wire_pack_key_u64(&pk, "signal", (uint64_t)number);
    }
    if (out->failed) {
        wire_buf_rewind(out, mark);
        return -ENOMEM;
    }
    call->cancelling = true;
    tell_unsent(client, mark);
    return 0;
}

int request_notify(mpool_client *client, const char *method, const void *params, size_t length)
{
    if (client->loss)
        return client->loss;
    struct wire_buf *out = &client->io.out;
    size_t mark = wire_buf_length(out);
    wire_put_notification(out, method);
    if (wire_buf_append(out, params, length) < 0) {
        wire_buf_rewind(out, mark);
        return -ENOMEM;
    }
    if (io_flush(&client->io) != 0)
        tell_unsent(client, mark);
    return 0;
}

static void waiter_done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct waiter *waiter = userdata;
    waiter->done = true;
    waiter->code = code;
    if (code == 0) {
        waiter->result = mpool_result_keep(result);
        if (!waiter->result) {
            waiter->code = -ENOMEM;
            waiter->client->refused = true;
        }
    }
    if (waiter->code < 0)
        snprintf(waiter->text, sizeof(waiter->text), "%s", text);
}

struct call waiter_call(struct waiter *waiter, mpool_client *client)
{
    waiter->client = client;
    waiter->done = false;
    waiter->code = 0;
    waiter->result = NULL;
    waiter->text[0] = '\0';
    return (struct call){.done = waiter_done, .userdata = waiter};
}

/* The caller no longer waits for this call: asks the daemon to cancel it, and drops an answer that comes anyway. */
static void request_leave(mpool_client *client, uint32_t msgid)
{
    (void)request_cancel(client, msgid, 0); /* if this fails, the daemon only does some unneeded work */
    pending_abandon(&client->pending, msgid);
    if (!client->loss)
        (void)io_flush(&client->io);
}

struct stay {
    struct waiter *waiter; /* NULL: over */
    uint32_t msgid;
};

static void leave(const struct stay *stay)
{
    if (stay->waiter)
        request_leave(stay->waiter->client, stay->msgid);
}

int waiter_wait(struct waiter *waiter, uint32_t msgid, uint64_t deadline_ns, mpool_result **ret_result)
{
    __attribute__((cleanup(leave))) struct stay stay = {.waiter = waiter, .msgid = msgid};
    int r = loop_until(waiter->client, &waiter->done, deadline_ns);
    stay.waiter = NULL;
    if (r == -ETIMEDOUT || r == -EINTR) {
        request_leave(waiter->client, msgid);
        return handle_fail(waiter->client, r, r == -ETIMEDOUT ? "The daemon did not answer in time." : NULL);
    }
    if (r == 0)
        r = waiter->code < 0 ? handle_fail(waiter->client, waiter->code, waiter->text) : 0;
    if (r == 0 && ret_result)
        *ret_result = waiter->result;
    else
        mpool_result_free(waiter->result);
    return r;
}
