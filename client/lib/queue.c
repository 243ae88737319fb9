/* Queues and pipes: thin requests about an object in the daemon. The daemon enforces the time-outs; we wait slightly
 * longer than that, so that a stopped daemon cannot block the caller forever. */
#include <mpool/queue.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

#include "client/lib/args.h"
#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/loop.h"
#include "client/lib/object.h"
#include "client/lib/queue_ahead.h"
#include "client/lib/request.h"
#include "client/lib/result.h"
#include "client/lib/sized.h"
#include "proto/message.h"

#define GRACE_MS 5000

#define TIMEOUT_MOST_MS (INT64_MAX >> 20) /* the daemon's limit; centuries are as good as forever */

static bool is_queue(const mpool_object *object)
{
    return object && (object->kind == MPOOL_KIND_QUEUE || object->kind == MPOOL_KIND_JOINABLE_QUEUE ||
                         object->kind == MPOOL_KIND_PIPE);
}

static int check(const mpool_object *queue)
{
    if (!queue)
        return -EINVAL;
    int r = is_queue(queue) ? object_check(queue) : -EINVAL;
    if (r == 0 && !queue->client)
        r = -ECONNRESET;
    if (r == 0 || !queue->client)
        return r;
    return handle_fail(queue->client, r, r == -EINVAL ? "It is not a queue or pipe." : NULL);
}

/* Begins a call: the sentence of the last one is forgotten. → as check(). */
static int begin_call(const mpool_object *queue)
{
    if (queue && queue->client)
        queue->client->text[0] = '\0';
    return check(queue);
}

static void unpin(mpool_object **object)
{
    object_unpin(*object);
}

/* Pins the queue until the end of the function: see object_pin(). After callbacks may have run, check the queue again
 * before the next request: it may have been closed, and its handle released. */
#define PINNED(queue) __attribute__((cleanup(unpin), unused)) mpool_object *pinned = (object_pin(queue), (queue))

static void pack_timeout(msgpack_packer *pk, int64_t timeout_ms)
{
    if (timeout_ms < 0 || timeout_ms > TIMEOUT_MOST_MS)
        msgpack_pack_nil(pk);
    else
        msgpack_pack_int64(pk, timeout_ms);
}

/* Begins params with the id; `more` params follow. */
static msgpack_packer begin(struct wire_buf *params, const mpool_object *queue, size_t more)
{
    msgpack_packer pk = wire_packer(params);
    msgpack_pack_array(&pk, 1 + more);
    msgpack_pack_uint64(&pk, queue->id);
    return pk;
}

static uint64_t deadline_of(int64_t timeout_ms)
{
    return timeout_ms < 0 || timeout_ms > INT64_MAX - GRACE_MS ? CLOCK_NEVER : clock_deadline(timeout_ms + GRACE_MS);
}

/* Checks that this call may wait, and waits for room for its request. The queue is pinned. */
static int check_waiting(const mpool_object *queue, int64_t timeout_ms)
{
    int r = check(queue);
    if (r == 0)
        r = handle_check_waiting(queue->client);
    if (r == 0)
        r = request_wait_room(queue->client, deadline_of(timeout_ms));
    return r == 0 ? check(queue) : r;
}

/* → 0 with *ret; -ETIMEDOUT: the daemon says that the time-out has expired; -EINPROGRESS: it says nothing, and the
 * outcome is unknown. */
static int await(struct waiter *waiter, uint32_t msgid, int64_t timeout_ms, mpool_result **ret)
{
    mpool_client *client = waiter->client;
    int r = waiter_wait(waiter, msgid, deadline_of(timeout_ms), ret);
    return r == -ETIMEDOUT && !waiter->done ? handle_fail(client, -EINPROGRESS, NULL) : r;
}

/* Sends the request and waits. → as above. */
static int ask(const mpool_object *queue, const char *method, const struct wire_buf *params, int64_t timeout_ms,
    mpool_result **ret)
{
    mpool_client *client = queue->client;
    struct waiter waiter;
    struct call call = waiter_call(&waiter, client);
    call.timed = true;
    uint32_t msgid;
    int r = check_waiting(queue, timeout_ms);
    if (r == 0 && params->failed)
        r = handle_fail(client, -ENOMEM, NULL);
    if (r == 0)
        r = request_send(client, method, wire_buf_at(params), wire_buf_length(params), &call, &msgid);
    return r < 0 ? r : await(&waiter, msgid, timeout_ms, ret);
}

/* Reads the number in the answer. result: freed. ret: may be NULL. */
static int number_of(const mpool_object *queue, mpool_result *result, uint32_t *ret)
{
    uint64_t number;
    int r = 0;
    if (mpool_result_u64(result, &number) < 0 || number > UINT32_MAX)
        r = handle_fail(queue->client, MPOOL_EPROTOCOL, "The daemon answered with no number.");
    else if (ret)
        *ret = (uint32_t)number;
    mpool_result_free(result);
    return r;
}

/* ---- put ---- */

/* Should this be sent as a memfd, which we write once and the receiver maps? Only for one large item. */
static bool goes_aside(const mpool_object *queue, const void *items, size_t length)
{
    const struct peer *peer = &queue->client->peer;
    return length > MEMFD_FROM_BYTES && peer->memfd && length <= peer->memfd_bytes &&
           *(const uint8_t *)items == WIRE_LIST_OF_ONE;
}

/* put(id, items, timeout_ms) straight into the send buffer, or put(id, nil, timeout_ms, size) with a memfd. */
static int send_put(const mpool_object *queue, const void *items, size_t length, int64_t timeout_ms,
    const struct call *call, uint32_t *ret_msgid)
{
    mpool_client *client = queue->client;
    struct request request = {0};
    int fd = -1;
    int r = items ? request_check_array(client, items, length, 2) : -EINVAL;
    if (r < 0)
        return handle_fail(client, r, r == -EINVAL ? "The items are not one MessagePack array." : NULL);
    r = request_open(client, "put", call, &request);
    if (r < 0)
        return r;
    /* If no memfd can be made (RLIMIT_FSIZE, no descriptor), send it through the socket like any other item. */
    bool aside = goes_aside(queue, items, length) && (fd = memfd_from_bytes(items, length)) >= 0;
    msgpack_packer pk = begin(&client->io.out, queue, aside ? 3 : 2);
    if (aside)
        msgpack_pack_nil(&pk);
    else
        wire_buf_append(&client->io.out, items, length);
    pack_timeout(&pk, timeout_ms);
    if (aside)
        msgpack_pack_uint64(&pk, length);
    r = request_close(client, &request, aside ? fd : -1);
    *ret_msgid = request.msgid;
    return r;
}

int mpool_queue_put_all(mpool_object *queue, const void *items, size_t length, int64_t timeout_ms, uint32_t *ret_count)
{
    struct waiter waiter;
    mpool_result *result;
    uint32_t msgid;
    int r = begin_call(queue);
    if (r < 0)
        return r;
    PINNED(queue);
    r = check_waiting(queue, timeout_ms);
    if (r < 0)
        return r;
    struct call call = waiter_call(&waiter, queue->client);
    call.timed = true;
    r = send_put(queue, items, length, timeout_ms, &call, &msgid);
    if (r == 0)
        r = await(&waiter, msgid, timeout_ms, &result);
    return r < 0 ? r : number_of(queue, result, ret_count);
}

/* Sends it at once, so that the receiver gets it soon, but does not wait for the answer. */
static int put_ahead(mpool_object *queue, const void *items, size_t length)
{
    PINNED(queue);
    mpool_client *client = queue->client;
    uint32_t msgid;
    int r = check_waiting(queue, -1);
    if (r == 0)
        r = queue_ahead_room(queue->ahead, client);
    if (r == 0)
        r = check(queue);
    if (r < 0)
        return r;
    struct call call = queue_ahead_call(queue->ahead);
    r = send_put(queue, items, length, -1, &call, &msgid);
    if (r < 0)
        return r;
    queue_ahead_sent(queue->ahead);
    io_flush(&client->io); /* the rest is sent in the next turn */
    return 0;
}

int(mpool_queue_put)(mpool_object *queue, int64_t timeout_ms, const char *format, ...)
{
    OWN_BUF items = {0};
    struct args_list list;
    uint32_t count;
    int r = begin_call(queue);
    if (r < 0)
        return r;
    va_start(list.ap, format);
    r = args_pack(&items, format, &list);
    va_end(list.ap);
    struct wire_reader in = wire_reader(wire_buf_at(&items), wire_buf_length(&items));
    if (r < 0)
        handle_fail(queue->client, r, list.why);
    else if (wire_read_array(&in, &count) < 0 || count != 1)
        r = handle_fail(queue->client, -EINVAL, "The format is not of one value.");
    else if (timeout_ms < 0 && queue_ahead_limit(queue->ahead) > 0)
        r = put_ahead(queue, wire_buf_at(&items), wire_buf_length(&items));
    else
        r = mpool_queue_put_all(queue, wire_buf_at(&items), wire_buf_length(&items), timeout_ms, NULL);
    return r;
}

int mpool_queue_put_start(mpool_object *queue, mpool_call_id *ret_id, const void *items, size_t length,
    int64_t timeout_ms, mpool_call_fn *callback, void *userdata)
{
    struct call call = {.done = callback, .userdata = userdata, .timed = true};
    uint32_t msgid = 0;
    int r = begin_call(queue);
    if (r < 0)
        return r;
    if (!callback)
        return handle_fail(queue->client, -EINVAL, "A request needs a callback.");
    r = send_put(queue, items, length, timeout_ms, &call, &msgid);
    if (r == 0 && ret_id)
        *ret_id = msgid;
    return r;
}

int mpool_queue_set_ahead(mpool_object *queue, uint32_t n)
{
    int r = begin_call(queue);
    if (r < 0)
        return r;
    if (n > MPOOL_QUEUE_AHEAD_MAX)
        return handle_fail(queue->client, -EINVAL, "ahead: at most MPOOL_QUEUE_AHEAD_MAX.");
    r = queue_ahead_set(&queue->ahead, n);
    return r < 0 ? handle_fail(queue->client, r, NULL) : 0;
}

int mpool_queue_flush(mpool_object *queue, int64_t timeout_ms)
{
    int r = begin_call(queue);
    if (r < 0)
        return r;
    PINNED(queue);
    r = handle_check_waiting(queue->client);
    return r < 0 ? r : queue_ahead_flush(queue->ahead, queue->client, clock_deadline(timeout_ms));
}

/* ---- get ---- */

/* get(id, max, timeout_ms, lease) */
static void get_params(const mpool_object *queue, struct wire_buf *params, uint32_t max, int64_t timeout_ms)
{
    bool lease = queue->client->peer.lease;
    msgpack_packer pk = begin(params, queue, lease ? 3 : 2);
    msgpack_pack_uint32(&pk, max);
    pack_timeout(&pk, timeout_ms);
    if (lease)
        msgpack_pack_true(&pk);
}

/* Marks a call as a `get`, so that its items are confirmed or returned to the queue. */
static struct call as_get(const mpool_object *queue, struct call call)
{
    call.queue = queue->id;
    call.timed = true;
    call.tickets = queue->at_least_once;
    call.lease = !queue->at_least_once;
    return call;
}

static int count_of(const mpool_result *items, uint32_t *ret_count, struct wire_reader *ret_in)
{
    size_t length;
    const void *data = mpool_result_data(items, &length);
    *ret_in = wire_reader(data, length);
    return wire_read_array(ret_in, ret_count);
}

/* A `get` whose answer is awaited. */
struct get {
    mpool_object *queue; /* NULL: over */
    uint32_t msgid;
};

/* The caller waits no longer, or its thread was cancelled. The daemon is asked to drop the request; items that arrive
 * anyway are kept for the next get. */
static void leave(const struct get *get)
{
    mpool_object *queue = get->queue;
    if (!queue)
        return;
    (void)queue_ahead_adopt(&queue->ahead, queue->client, get->msgid);
    (void)request_cancel(queue->client, get->msgid, 0);
    (void)io_flush(&queue->client->io);
}

/* Asks for at most `most` items. → the number received, with *ret_items; 0: end of file. Items that arrive too late are
 * kept for the next get. */
static int ask_for_items(mpool_object *queue, uint32_t most, int64_t timeout_ms, mpool_result **ret_items)
{
    mpool_client *client = queue->client;
    OWN_BUF params = {0};
    struct waiter waiter;
    struct call call = as_get(queue, waiter_call(&waiter, client));
    struct wire_reader in;
    uint32_t msgid = 0, count;
    int r = check_waiting(queue, timeout_ms);
    get_params(queue, &params, most, timeout_ms);
    if (r == 0)
        r = params.failed ? handle_fail(client, -ENOMEM, NULL)
                          : request_send(client, "get", wire_buf_at(&params), wire_buf_length(&params), &call, &msgid);
    if (r < 0)
        return r;
    __attribute__((cleanup(leave))) struct get get = {.queue = queue, .msgid = msgid};
    r = loop_until(client, &waiter.done, deadline_of(timeout_ms));
    get.queue = NULL;
    if (r < 0)
        mpool_result_free(waiter.result);
    if (r == -ETIMEDOUT || r == -EINTR) {
        get.queue = queue;
        return handle_fail(client, r, r == -ETIMEDOUT ? "The daemon did not answer in time." : NULL);
    }
    if (r == 0)
        r = waiter_wait(&waiter, msgid, 0, ret_items);
    if (r < 0)
        return r;
    if (count_of(*ret_items, &count, &in) == 0 && count <= most) {
        if (count == 0)
            mpool_result_free(*ret_items);
        return (int)count;
    }
    mpool_result_free(*ret_items);
    return handle_fail(client, MPOOL_EPROTOCOL, "The daemon answered a get with no items.");
}

int mpool_queue_get(mpool_object *queue, uint32_t max, int64_t timeout_ms, mpool_result **ret_items)
{
    mpool_result *items = NULL;
    int r = begin_call(queue);
    if (r < 0)
        return r;
    if (!ret_items)
        return handle_fail(queue->client, -EINVAL, NULL);
    PINNED(queue);
    r = handle_check_waiting(queue->client);
    if (r < 0)
        return r;
    if (max > 0)
        r = queue_ahead_take(queue->ahead, queue->client, max, clock_deadline(timeout_ms), ret_items);
    if (r != 0)
        return r;
    uint32_t ahead = queue_ahead_limit(queue->ahead);
    r = ask_for_items(queue, max > 0 && max < ahead ? ahead : max, timeout_ms, &items);
    if (r > (int)max)
        return queue_ahead_keep(queue->ahead, queue->client, items, max, ret_items);
    if (r > 0)
        *ret_items = items;
    return r;
}

int mpool_queue_get_start(mpool_object *queue, mpool_call_id *ret_id, uint32_t max, int64_t timeout_ms,
    mpool_call_fn *callback, void *userdata)
{
    OWN_BUF params = {0};
    uint32_t msgid;
    int r = begin_call(queue);
    if (r < 0)
        return r;
    if (queue_ahead_limit(queue->ahead) > 0)
        return handle_fail(
            queue->client, -EINVAL, "A queue that works ahead keeps items: take them with mpool_queue_get.");
    if (!callback)
        return handle_fail(queue->client, -EINVAL, "A request needs a callback.");
    struct call call = as_get(queue, (struct call){.done = callback, .userdata = userdata});
    get_params(queue, &params, max, timeout_ms);
    r = params.failed
            ? handle_fail(queue->client, -ENOMEM, NULL)
            : request_send(queue->client, "get", wire_buf_at(&params), wire_buf_length(&params), &call, &msgid);
    if (r == 0 && ret_id)
        *ret_id = msgid;
    return r;
}

int mpool_queue_next(const mpool_object *queue, const mpool_result *items, size_t *at, mpool_queue_item *ret_item)
{
    struct wire_reader in;
    uint32_t count;
    mpool_queue_item item = {0};
    const uint8_t *data;
    if (!is_queue(queue) || !items || !at || !ret_item || ret_item->size < sizeof(size_t))
        return -EINVAL;
    if (count_of(items, &count, &in) < 0)
        return -EBADMSG;
    size_t length;
    const uint8_t *first = mpool_result_data(items, &length);
    if (*at > 0) {
        if (*at > length)
            return -EINVAL;
        in = wire_reader(first + *at, length - *at);
    }
    if (in.at == in.end)
        return 0;
    if (items->payload)
        item.ticket = items->ticket; /* one large item; its ticket is kept in the list */
    else if (queue->at_least_once &&
             (wire_read_array(&in, &count) < 0 || count != 2 || wire_read_u64(&in, &item.ticket) < 0))
        return -EBADMSG;
    if (wire_read_raw(&in, &data, &item.length) < 0)
        return -EBADMSG;
    item.data = data;
    if (ret_item->size == sizeof(item)) {
        item.size = sizeof(item);
        *ret_item = item;
    } else {
        sized_write(ret_item, &item, sizeof(item));
    }
    *at = (size_t)(in.at - first);
    return 1;
}

int mpool_queue_confirm(mpool_object *queue, const uint64_t *tickets, size_t count, uint32_t *ret_confirmed)
{
    OWN_BUF params = {0};
    int r = begin_call(queue);
    if (r == 0 && (count > UINT32_MAX || (count > 0 && !tickets)))
        r = handle_fail(queue->client, -EINVAL, NULL);
    if (r < 0)
        return r;
    PINNED(queue);
    msgpack_packer pk = begin(&params, queue, 1);
    msgpack_pack_array(&pk, count);
    for (size_t i = 0; i < count; i++)
        msgpack_pack_uint64(&pk, tickets[i]);
    mpool_result *result;
    r = ask(queue, "confirm", &params, -1, &result);
    return r < 0 ? r : number_of(queue, result, ret_confirmed);
}

/* ---- done, join, finish ---- */

int mpool_queue_done(mpool_object *queue, uint32_t n)
{
    OWN_BUF params = {0};
    int r = begin_call(queue);
    if (r < 0)
        return r;
    PINNED(queue);
    msgpack_packer pk = begin(&params, queue, 1);
    msgpack_pack_uint32(&pk, n);
    return ask(queue, "done", &params, -1, NULL);
}

int mpool_queue_join(mpool_object *queue, int64_t timeout_ms)
{
    OWN_BUF params = {0};
    int r = begin_call(queue);
    if (r < 0)
        return r;
    PINNED(queue);
    msgpack_packer pk = begin(&params, queue, 1);
    pack_timeout(&pk, timeout_ms);
    return ask(queue, "join", &params, timeout_ms, NULL);
}

int mpool_queue_finish(mpool_object *queue, bool *ret_first)
{
    OWN_BUF params = {0};
    mpool_result *result;
    bool first;
    int r = begin_call(queue);
    if (r < 0)
        return r;
    PINNED(queue);
    r = mpool_queue_flush(queue, -1);
    if (r < 0)
        return r;
    begin(&params, queue, 0);
    r = ask(queue, "finish", &params, -1, &result);
    if (r < 0)
        return r;
    if (mpool_result_bool(result, &first) < 0)
        r = handle_fail(queue->client, MPOOL_EPROTOCOL, "The daemon answered a finish with neither yes nor no.");
    else if (ret_first)
        *ret_first = first;
    mpool_result_free(result);
    return r;
}
