/* The methods of queues and pipes: put, get, confirm, done, join, finish.
 *
 * Params are read and checked here; what can be done at once is done and answered, other requests wait (queue_wait.h).
 * Items are passed on as the bytes in which they came, which have passed the scan of the message. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/conn/conn.h"
#include "daemon/object/queue.h"
#include "daemon/object/queue_memfd.h"
#include "daemon/object/queue_objects.h"
#include "daemon/object/queue_wait.h"
#include "daemon/rpc/rpc.h"
#include "daemon/task/nested.h"

#define ITEM_MARGIN 64u /* overhead around an item in the message to its taker */
#define ASK_MAX     CHANNEL_ITEMS_MAX

/* The queue or pipe that this connection has opened, by the id of its use. → NULL: answered. */
static struct queue_user *find_user(struct rpc *r, uint64_t id)
{
    struct object_use *use = objects_find_use(r->service->objects, r->conn, id);
    if (!use)
        rpc_fail(r, MPOOL_E_NO_OBJECT, "this connection has no open object with the id %llu", (unsigned long long)id);
    else if (use->object->ops != &queue_object_ops)
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "object %llu is of kind %s, not a queue or pipe", (unsigned long long)id,
            wire_kind_info(use->object->handle.kind)->name);
    else
        return use->data;
    return NULL;
}

/* The handle that the first parameter names. → NULL: answered. */
static struct queue_user *read_user(struct rpc *r)
{
    uint64_t id;
    return rpc_read_u64(r, "id", 1, UINT64_MAX, &id) ? find_user(r, id) : NULL;
}

/* The time-out as parameter number `at` (from 0), as a deadline; none or nil: indefinitely. → false: answered. */
static bool read_deadline(struct rpc *r, uint32_t at, uint64_t *ret_at_ns, bool *ret_waits)
{
    uint64_t ms;
    *ret_at_ns = UINT64_MAX;
    *ret_waits = true;
    if (r->count <= at || wire_read_nil(&r->params) == 0)
        return true;
    if (!rpc_read_u64(r, "timeout_ms", 0, RPC_TIMEOUT_MAX_MS, &ms))
        return false;
    *ret_waits = ms > 0;
    *ret_at_ns = r->service->loop->now_ns + ms * NS_PER_MS;
    return true;
}

static enum rpc_result wrong_way(struct rpc *r, const char *does)
{
    return rpc_fail(r, MPOOL_E_DENIED, "this end of a one-way pipe does not %s", does);
}

static enum rpc_result wait_or_fail(
    struct rpc *r, struct queue_wait *w, struct channel *ch, enum channel_want want, uint64_t at_ns)
{
    uint32_t before = w->before;
    if (queue_wait_start(w, ch, want, at_ns) == 0) {
        if (!r->no_reply)
            nested_waits(r->conn);
        return RPC_ANSWERED;
    }
    if (before > 0)
        return rpc_answer_u64(r, before);
    return rpc_fail(r, MPOOL_E_BUSY, "too many wait at this queue, or on this connection (%u and %u)", QUEUE_WAITS_MAX,
        QUEUE_WAITS_OF_CONN);
}

/* ---- putting ---- */

/* The error for a put of which not a single item was accepted. */
static enum rpc_result not_put(struct rpc *r, const struct channel *ch, int why, uint64_t length)
{
    switch (why) {
    case -EPIPE: return rpc_fail(r, MPOOL_E_FINISHED, "it takes no more items");
    case -EAGAIN: return rpc_fail(r, MPOOL_E_NOT_READY, "there is no room in the queue");
    case -EDQUOT: return rpc_fail(r, MPOOL_E_NOT_READY, QUEUE_OWNER_FULL, (unsigned long long)ch->options.purse->max);
    case -EMSGSIZE:
        return rpc_fail(r, MPOOL_E_TOO_BIG,
            "an item of %llu bytes is larger than the queue takes (size %llu, max_message %llu, "
            "max_user_object_bytes %llu)",
            (unsigned long long)length, (unsigned long long)ch->options.max_bytes,
            (unsigned long long)r->service->config->max_message, (unsigned long long)ch->options.purse->max);
    default: return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory for the item");
    }
}

/* A request that is all or nothing must be small enough to fit at all. → 0; -EMSGSIZE with *ret_length. */
static int check_items(
    const struct rpc *r, const struct channel *ch, struct wire_reader items, uint32_t count, size_t *ret_length)
{
    uint64_t max = r->service->config->max_message - ITEM_MARGIN;
    const uint8_t *item;
    if ((size_t)(items.end - items.at) <= max && channel_may_hold(ch, (size_t)(items.end - items.at)))
        return 0; /* then so does each of them */
    for (uint32_t i = 0; i < count; i++)
        if (wire_read_raw(&items, &item, ret_length) < 0 || *ret_length > max || !channel_may_hold(ch, *ret_length))
            return -EMSGSIZE;
    return 0;
}

/* Is the channel, or its owner's budget, full? */
static bool is_full(int error)
{
    return error == -EAGAIN || error == -EDQUOT;
}

static int put_one(struct channel *ch, const struct channel_item *item)
{
    int error = channel_put(ch, item);
    if (!is_full(error) || TAILQ_EMPTY(&ch->gets) || channel_items(ch) == 0)
        return error;
    channel_settle(ch); /* waiting gets make room */
    return channel_put(ch, item);
}

/* May a waiting request hold this many more bytes? A connection beyond its limit is not read, and the client that waits
 * may be the very one that would take items. */
static bool may_hold(const struct rpc *r, uint64_t bytes)
{
    const struct conn *c = r->conn;
    return conn_may_hold(c, bytes) && (c->args_bytes == 0 || c->args_bytes + bytes < CONN_ARGS_MAX);
}

static enum rpc_result held_too_much(struct rpc *r)
{
    return rpc_fail(
        r, MPOOL_E_BUSY, "the daemon, or this connection, holds as many bytes as it may for those who wait");
}

/* The items that were not put at once wait, in a copy of their own. */
static enum rpc_result wait_to_put(struct rpc *r, struct queue_user *u, struct channel *ch, struct wire_reader items,
    uint32_t left, uint32_t before, uint64_t at_ns)
{
    struct queue_wait *w = queue_wait_new(u, r->msgid, r->no_reply);
    uint64_t bytes = (uint64_t)(items.end - items.at);
    const uint8_t *raw;
    size_t length;
    int error = w ? channel_log_reserve(&w->wait.rest, left, bytes) : -ENOMEM;
    for (uint32_t i = 0; error == 0 && i < left; i++) {
        wire_read_raw(&items, &raw, &length); /* has been skipped before */
        struct channel_item item = channel_item_of(raw, length);
        error = channel_log_add(&w->wait.rest, &item);
    }
    if (error < 0) {
        if (w)
            channel_log_deinit(&w->wait.rest, NULL);
        free(w);
        return before > 0 ? rpc_answer_u64(r, before) : not_put(r, ch, error, 0);
    }
    w->bytes = bytes;
    w->before = before;
    return wait_or_fail(r, w, ch, CHANNEL_PUT, at_ns);
}

/* Puts the items of a list: one MessagePack array, which has passed the scan. */
static enum rpc_result put_list(
    struct rpc *r, struct queue_user *u, struct channel *ch, struct wire_reader items, uint64_t at_ns, bool waits)
{
    struct wire_reader ahead;
    const uint8_t *at;
    size_t length;
    uint32_t count, in = 0;
    wire_read_array(&items, &count);
    if (count > CHANNEL_ITEMS_MAX) /* more than any queue can hold: they would take long, and wait in memory */
        return rpc_fail(
            r, MPOOL_E_TOO_BIG, "%u items are more than one request may put (%u)", count, CHANNEL_ITEMS_MAX);
    if (check_items(r, ch, items, count, &length) < 0)
        return not_put(r, ch, -EMSGSIZE, length);
    int error = count > 0 || !ch->finished ? 0 : -EPIPE;
    while (in < count) {
        ahead = items;
        wire_read_raw(&ahead, &at, &length);
        struct channel_item item = channel_item_of(at, length);
        error = put_one(ch, &item);
        if (error < 0)
            break;
        items = ahead;
        in++;
    }
    channel_settle(ch);
    if (is_full(error) && waits && may_hold(r, (size_t)(items.end - items.at)))
        return wait_to_put(r, u, ch, items, count - in, in, at_ns);
    if (is_full(error) && waits && in == 0)
        return held_too_much(r);
    return error < 0 && in == 0 ? not_put(r, ch, error, 0) : rpc_answer_u64(r, in);
}

/* The memfd waits with its request. */
static enum rpc_result wait_to_put_memfd(
    struct rpc *r, struct queue_user *u, struct channel *ch, const struct channel_item *item, uint64_t at_ns)
{
    struct queue_wait *w = queue_wait_new(u, r->msgid, r->no_reply);
    if (!w || channel_log_add(&w->wait.rest, item) < 0) {
        free(w);
        queue_memfd_dispose(item->bytes, item->length);
        return not_put(r, ch, -ENOMEM, 0);
    }
    w->bytes = item->weight;
    return wait_or_fail(r, w, ch, CHANNEL_PUT, at_ns);
}

/* Puts one item in a memfd. items: the parameter in its place. fd: taken. */
static enum rpc_result put_memfd(struct rpc *r, struct queue_user *u, int given)
{
    _cleanup_(fd_close) int fd = given;
    struct queue_memfd token;
    struct channel_item item;
    uint64_t at_ns, size;
    bool waits;
    if (wire_read_nil(&r->params) < 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "items: must be nil, as the item comes in a memfd");
    if (!read_deadline(r, 2, &at_ns, &waits))
        return RPC_ANSWERED;
    if (!rpc_read_u64(r, "memfd_size", 1, UINT64_MAX, &size))
        return RPC_ANSWERED;
    struct channel *ch = queue_puts_to(u);
    if (!ch)
        return wrong_way(r, "send");
    if (!rpc_check_memfd(r, "memfd_size", fd, size))
        return RPC_ANSWERED;
    if (!channel_may_hold(ch, size))
        return not_put(r, ch, -EMSGSIZE, size);
    int kept;
    if (size < QUEUE_MEMFD_MIN) {
        const uint8_t *list;
        kept = queue_memfd_read(u->queue, fd, size, &list);
        if (kept == 0)
            return put_list(r, u, ch, wire_reader(list, (size_t)size), at_ns, waits);
    } else {
        kept = queue_memfd_keep(u->queue, fd, size, &token, &item);
    }
    switch (kept) {
    case -EBUSY:
        return rpc_fail(
            r, MPOOL_E_BUSY, "the queues of their owner hold as many memfds as they may (%u)", QUEUE_MEMFDS_OF_OWNER);
    case -EINVAL: return rpc_fail(r, MPOOL_E_BAD_PARAMS, "memfd_size: the memfd does not hold a list of one item");
    }
    TAKE_FD(fd);
    int error = put_one(ch, &item);
    channel_settle(ch);
    if (is_full(error) && waits && may_hold(r, size))
        return wait_to_put_memfd(r, u, ch, &item, at_ns);
    if (error == 0)
        return rpc_answer_u64(r, 1);
    queue_memfd_dispose(item.bytes, item.length);
    return is_full(error) && waits ? held_too_much(r) : not_put(r, ch, error, size);
}

static bool names_memfd(const struct rpc *r)
{
    struct wire_reader in = r->params;
    return r->count > 3 && wire_skip_many(&in, 3) == 3 && wire_read_nil(&in) < 0;
}

enum rpc_result rpc_put(struct rpc *r)
{
    /* A request that names a descriptor consumes one, whatever else is wrong with it. */
    bool memfd = names_memfd(r);
    int fd = memfd ? conn_take_fd(r->conn) : -1;
    struct queue_user *u = read_user(r);
    if (memfd && u)
        return put_memfd(r, u, fd);
    fd_close(&fd);
    if (!u)
        return RPC_ANSWERED;
    const uint8_t *raw;
    size_t length;
    uint64_t at_ns;
    bool waits;
    if (rpc_read_array(r, &raw, &length) < 0)
        return rpc_wrong_type(r, "items", "an array");
    if (!read_deadline(r, 2, &at_ns, &waits))
        return RPC_ANSWERED;
    struct channel *ch = queue_puts_to(u);
    if (!ch)
        return wrong_way(r, "send");
    return put_list(r, u, ch, wire_reader(raw, length), at_ns, waits);
}

/* ---- taking ---- */

enum rpc_result rpc_get(struct rpc *r)
{
    struct queue_user *u = read_user(r);
    uint64_t max = 1, at_ns;
    bool waits, lease = false;
    if (!u)
        return RPC_ANSWERED;
    if (r->count > 1 && wire_read_nil(&r->params) < 0 && !rpc_read_u64(r, "max", 1, ASK_MAX, &max))
        return RPC_ANSWERED;
    if (!read_deadline(r, 2, &at_ns, &waits))
        return RPC_ANSWERED;
    if (r->count > 3 && wire_read_nil(&r->params) < 0 && wire_read_bool(&r->params, &lease) < 0)
        return rpc_wrong_type(r, "lease", "a bool");
    struct channel *ch = queue_takes_from(u);
    if (!ch)
        return wrong_way(r, "receive");
    if (r->no_reply) /* nobody would receive them */
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "a get must be a request");
    if (channel_items(ch) > 0) { /* then no request waits for items */
        queue_give(u, r->msgid, (uint32_t)max, lease);
        channel_settle(ch);
        return RPC_ANSWERED;
    }
    if (channel_at_end(ch, &u->client)) {
        msgpack_packer pk = rpc_begin(r);
        msgpack_pack_array(&pk, 0);
        return rpc_end(r);
    }
    if (!waits)
        return rpc_fail(r, MPOOL_E_NOT_READY, "there is no item in the queue");
    struct queue_wait *w = queue_wait_new(u, r->msgid, false);
    if (!w)
        return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory");
    w->max = (uint32_t)max;
    w->lease = lease;
    return wait_or_fail(r, w, ch, CHANNEL_GET, at_ns);
}

enum rpc_result rpc_confirm(struct rpc *r)
{
    struct queue_user *u = read_user(r);
    const uint8_t *raw;
    size_t length;
    uint32_t count;
    uint64_t done = 0;
    bool taken = true;
    if (!u)
        return RPC_ANSWERED;
    struct channel *ch = queue_takes_from(u);
    if (!ch || (!ch->options.at_least_once && u->client.held_count == 0))
        return rpc_fail(r, MPOOL_E_DENIED,
            "its items need no confirmation: it was not made with at_least_once, and none was taken with a lease");
    if (rpc_read_array(r, &raw, &length) < 0)
        return rpc_wrong_type(r, "tickets", "an array");
    if (r->count > 2 && wire_read_nil(&r->params) < 0 && wire_read_bool(&r->params, &taken) < 0)
        return rpc_wrong_type(r, "taken", "a bool");
    struct wire_reader tickets = wire_reader(raw, length);
    wire_read_array(&tickets, &count);
    if (count > CHANNEL_ITEMS_MAX)
        return rpc_fail(
            r, MPOOL_E_TOO_BIG, "%u tickets are more than items that a queue may have (%u)", count, CHANNEL_ITEMS_MAX);
    r->params = tickets;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t ticket;
        if (!rpc_read_u64(r, "tickets", 0, UINT64_MAX, &ticket)) {
            channel_settle(ch);
            return RPC_ANSWERED;
        }
        done += (taken ? channel_confirm : channel_give_back)(ch, &u->client, ticket) == 0;
    }
    channel_settle(ch);
    return rpc_answer_u64(r, done);
}

enum rpc_result rpc_done(struct rpc *r)
{
    struct queue_user *u = read_user(r);
    uint64_t n = 1;
    if (!u)
        return RPC_ANSWERED;
    if (r->count > 1 && wire_read_nil(&r->params) < 0 && !rpc_read_u64(r, "n", 0, UINT32_MAX, &n))
        return RPC_ANSWERED;
    struct channel *ch = queue_takes_from(u);
    if (!ch || (!ch->options.joinable && !ch->options.at_least_once))
        return rpc_fail(r, MPOOL_E_DENIED, "done is for a joinable_queue, or one with at_least_once");
    if (channel_done(ch, &u->client, (uint32_t)n) < 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "n: %llu items are more than you have taken and not done (%u)",
            (unsigned long long)n, channel_owed(ch, &u->client));
    channel_settle(ch);
    return rpc_answer_bool(r, true);
}

/* ---- ends ---- */

enum rpc_result rpc_join(struct rpc *r)
{
    struct queue_user *u = read_user(r);
    uint64_t at_ns;
    bool waits;
    if (!u || !read_deadline(r, 1, &at_ns, &waits))
        return RPC_ANSWERED;
    struct channel *ch = queue_takes_from(u);
    if (!ch || !ch->options.joinable)
        return rpc_fail(r, MPOOL_E_DENIED, "join is for a joinable_queue");
    if (ch->unfinished == 0)
        return rpc_answer_bool(r, true);
    if (!waits)
        return rpc_fail(r, MPOOL_E_NOT_READY, "%llu items are not done", (unsigned long long)ch->unfinished);
    struct queue_wait *w = queue_wait_new(u, r->msgid, r->no_reply);
    if (!w)
        return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory");
    return wait_or_fail(r, w, ch, CHANNEL_JOIN, at_ns);
}

/* For a pipe: this end sends no more. */
enum rpc_result rpc_finish(struct rpc *r)
{
    struct queue_user *u = read_user(r);
    if (!u)
        return RPC_ANSWERED;
    struct channel *ch = queue_puts_to(u);
    if (!ch)
        return wrong_way(r, "send");
    bool first = !ch->finished;
    channel_finish(ch);
    return rpc_answer_bool(r, first);
}
