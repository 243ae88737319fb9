/* Delivery of messages: see inbox.h. */
#include "client/lib/inbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/process.h"
#include "client/lib/result.h"
#include "client/lib/text.h"
#include "client/lib/tickets.h"
#include "proto/message.h"
#include "proto/reader.h"

static bool is_nil(const uint8_t *value, size_t length)
{
    return length == 1 && value[0] == 0xc0;
}

/* → 0 when it is nil, else the code, with its sentence in text. */
static int read_error(const struct wire_message *message, char *text, size_t text_size)
{
    int class;
    const char *sentence;
    size_t length;
    int r = wire_read_error(message->error, message->error_length, &class, &sentence, &length);
    if (r == -ENODATA)
        return 0;
    if (r < 0) {
        snprintf(text, text_size, "The peer reported an error in a shape of its own.");
        return MPOOL_EREMOTE;
    }
    if (length >= text_size)
        length = text_size - 1;
    memcpy(text, sentence, length);
    text[length] = '\0';
    return text_code(sentence, length);
}

static int deliver_response(mpool_client *client, const struct wire_message *message)
{
    struct call call;
    if (!pending_remove(&client->pending, message->msgid, &call))
        return 0;
    if (call.abandoned) {
        payload_unref(call.payload);
        if (call.queue)
            tickets_settle(client, &call, message, false, 0);
        return 0;
    }
    char text[HANDLE_TEXT_BYTES];
    text[0] = 0; /* only the first byte: most answers have no text */
    int code = read_error(message, text, sizeof(text));
    if (code == -EAGAIN && call.timed)
        code = -ETIMEDOUT;
    if (code == 0 && call.payload_error) {
        code = call.payload_error;
        snprintf(text, sizeof(text), "It came in a memfd that could not be taken: %s", mpool_strerror(code));
    }
    client->refused = false;
    if (code < 0) {
        call.done(call.userdata, code, NULL, text);
    } else {
        const uint8_t *data = message->result;
        size_t length = message->result_length;
        uint64_t ticket = 0;
        if (call.payload && (is_nil(data, length) || tickets_is_one(data, length, &ticket)))
            data = payload_bytes(call.payload, &length);
        mpool_result *cell;
        bool mapped = call.payload && data != message->result;
        mpool_result view = result_view(data, length, mapped ? call.payload : NULL, &cell);
        view.ticket = call.lease ? 0 : ticket; /* a lease is confirmed on the caller's behalf */
        call.done(call.userdata, 0, &view, "");
        result_view_deinit(&view);
    }
    payload_unref(call.payload);
    if (call.queue)
        tickets_settle(client, &call, message, code == 0 && !client->refused, code);
    return 1;
}

/* params of a notification that concerns a call: [msgid, …]. → 0 with the id; MPOOL_EPROTOCOL. */
static int read_msgid(struct wire_reader *params, uint32_t *ret_msgid)
{
    uint64_t msgid;
    if (wire_read_u64(params, &msgid) < 0 || msgid > UINT32_MAX)
        return MPOOL_EPROTOCOL;
    *ret_msgid = (uint32_t)msgid;
    return 0;
}

/* [msgid, size], with a descriptor. → 0 with all three, *ret_fd perhaps -EMFILE; MPOOL_EPROTOCOL. */
static int take_fd(
    mpool_client *client, struct wire_reader params, struct call **ret_call, uint64_t *ret_size, int *ret_fd)
{
    uint32_t msgid;
    if (read_msgid(&params, &msgid) < 0 || wire_read_u64(&params, ret_size) < 0)
        return MPOOL_EPROTOCOL;
    *ret_fd = io_claim_fd(&client->io);
    *ret_call = pending_find(&client->pending, msgid);
    return *ret_fd == -ENODATA ? MPOOL_EPROTOCOL : 0;
}

/* The result of a call in a memfd. The answer that follows is nil, or the ticket if it is a queue item. */
static int take_memfd(mpool_client *client, struct wire_reader params)
{
    struct call *call;
    uint64_t size;
    int fd, r = take_fd(client, params, &call, &size, &fd);
    if (r < 0)
        return r;
    if (call && (call->payload || call->payload_error))
        r = MPOOL_EPROTOCOL;
    else if (call && !call->abandoned)
        call->payload_error = fd < 0 ? fd : payload_map(fd, size, &call->payload);
    if (fd >= 0)
        close(fd);
    return r;
}

/* The page of a shared object; the answer that describes it follows. */
static int take_object(mpool_client *client, struct wire_reader params)
{
    struct call *call;
    uint64_t size;
    int fd, r = take_fd(client, params, &call, &size, &fd);
    if (r < 0)
        return r;
    if (call && !call->abandoned && call->object && call->object->fd == -ENODATA) {
        *call->object = (struct call_object){.fd = fd, .size = size};
        return 0;
    }
    if (fd >= 0)
        close(fd);
    return call && call->object && !call->abandoned ? MPOOL_EPROTOCOL : 0;
}

/* [msgid, stream, bytes] */
static int take_output(mpool_client *client, struct wire_reader params, int *ran)
{
    uint32_t msgid;
    int64_t stream;
    const char *bytes;
    size_t length;
    if (read_msgid(&params, &msgid) < 0 || wire_read_i64(&params, &stream) < 0 || stream < 1 || stream > 2 ||
        wire_read_text(&params, &bytes, &length) < 0)
        return MPOOL_EPROTOCOL;
    const struct call *call = pending_find(&client->pending, msgid);
    if (call && !call->abandoned && call->output) {
        call->output(call->output_userdata, (int)stream, bytes, length);
        ++*ran;
    }
    return 0;
}

/* [id, stream, bytes] */
static int take_process_output(mpool_client *client, struct wire_reader params, int *ran)
{
    uint64_t id;
    int64_t stream;
    const char *bytes;
    size_t length;
    if (wire_read_u64(&params, &id) < 0 || wire_read_i64(&params, &stream) < 0 || stream < 1 || stream > 2 ||
        wire_read_text(&params, &bytes, &length) < 0)
        return MPOOL_EPROTOCOL;
    *ran += process_deliver_output(client, id, (int)stream, bytes, length);
    return 0;
}

/* [msgid, first_index, pairs] */
static int take_items(mpool_client *client, struct wire_reader params, int *ran)
{
    uint32_t msgid;
    uint64_t first;
    if (read_msgid(&params, &msgid) < 0 || wire_read_u64(&params, &first) < 0)
        return MPOOL_EPROTOCOL;
    const struct call *call = pending_find(&client->pending, msgid);
    if (!call || call->abandoned || !call->items)
        return 0;
    ++*ran;
    return call->items(call->userdata, first, params);
}

/* [[class, text]]: why the daemon is about to close the connection. Calls lost with the connection fail for this
 * reason. */
static int take_farewell(mpool_client *client, struct wire_reader params)
{
    int class;
    const char *sentence;
    size_t length;
    if (wire_read_error(params.at, (size_t)(params.end - params.at), &class, &sentence, &length) < 0)
        return MPOOL_EPROTOCOL;
    char text[HANDLE_TEXT_BYTES];
    snprintf(text, sizeof(text), "%.*s", (int)length, sentence);
    handle_lose(client, text_code(sentence, length), text);
    return 0;
}

static int deliver_notification(mpool_client *client, const struct wire_message *message, int *ran)
{
    struct wire_reader params = wire_reader(message->params, message->params_length);
    /* The parameter counts are checked here, so that a reader never runs into the bytes of the next message. */
    static const struct {
        const char *name;
        uint32_t count;
    } known[] = {{"memfd", 2}, {"output", 3}, {"process_output", 3}, {"items", 3}, {"object", 2}, {"error", 1}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) != message->method_length ||
            memcmp(known[i].name, message->method, message->method_length) != 0)
            continue;
        if (message->params_count < known[i].count)
            return MPOOL_EPROTOCOL;
        switch (i) {
        case 0: return take_memfd(client, params);
        case 1: return take_output(client, params, ran);
        case 2: return take_process_output(client, params, ran);
        case 3: return take_items(client, params, ran);
        case 4: return take_object(client, params);
        default: return take_farewell(client, params);
        }
    }
    return 0; /* unknown notification, from a newer daemon */
}

static int deliver(mpool_client *client, const struct wire_message *message, int *ran)
{
    switch (message->kind) {
    case WIRE_RESPONSE: *ran += deliver_response(client, message); return 0;
    case WIRE_NOTIFICATION: return deliver_notification(client, message, ran);
    case WIRE_REQUEST: break; /* clients serve no requests, as the daemon knows */
    }
    return MPOOL_EPROTOCOL;
}

int inbox_deliver(mpool_client *client)
{
    struct wire_buf *in = &client->io.in;
    int ran = 0;
    while (!client->closing && !client->loss && wire_buf_length(in) > 0) {
        struct wire_message message;
        size_t length;
        /* Usually it is a small result. A message that the scan has started stays with the scan. */
        if (client->scan.at > 0 || !wire_message_quick(wire_buf_at(in), wire_buf_length(in), &message, &length)) {
            enum wire_scan_result scanned =
                wire_scan_feed(&client->scan, &client->in_limits, wire_buf_at(in), wire_buf_length(in));
            if (scanned == WIRE_SCAN_MORE)
                break;
            if (scanned != WIRE_SCAN_WHOLE) {
                handle_lose(
                    client, MPOOL_EPROTOCOL, "The daemon sent bytes that are no message, or too large a message.");
                break;
            }
            length = (size_t)client->scan.at;
            const char *why;
            if (wire_message_parse(wire_buf_at(in), length, &message, &why) < 0) {
                handle_lose(client, MPOOL_EPROTOCOL, why);
                break;
            }
        }
        if (deliver(client, &message, &ran) < 0) {
            handle_lose(client, MPOOL_EPROTOCOL, "The daemon sent a message that breaks the protocol.");
            break;
        }
        if (client->loss) /* it was a farewell, and the buffer has been freed */
            break;
        wire_buf_consume(in, length);
        wire_scan_init(&client->scan);
    }
    return ran;
}
