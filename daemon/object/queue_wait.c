/* Blocked queue requests and their replies: see queue_wait.h. */
#include "daemon/object/clients.h"
#include "daemon/object/queue_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/conn.h"
#include "daemon/object/queue.h"
#include "daemon/object/queue_memfd.h"

#define GIVE_BYTES (1u << 20) /* no more items are added to an answer beyond this size */
#define ITEM_HEAD  10u        /* [ticket, … */

/* ---- birth and end ---- */

struct queue_wait *queue_wait_new(struct queue_user *u, uint32_t msgid, bool no_reply)
{
    struct queue_wait *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->user = u;
    w->conn = u->conn;
    w->msgid = msgid;
    w->no_reply = no_reply;
    return w;
}

int queue_wait_start(struct queue_wait *w, struct channel *ch, enum channel_want want, uint64_t at_ns)
{
    int r = w->conn->client->queue_wait_count >= QUEUE_WAITS_OF_CONN
                ? -EBUSY
                : channel_wait(ch, &w->wait, want, &w->user->client, at_ns);
    if (r < 0) {
        channel_log_deinit(&w->wait.rest, ch->options.dispose);
        free(w);
        return r;
    }
    LIST_INSERT_HEAD(&w->user->waits, w, of_user);
    LIST_INSERT_HEAD(&w->conn->client->queue_waits, w, of_conn);
    w->conn->client->queue_wait_count++;
    if (w->bytes > 0)
        conn_hold(w->conn, w->bytes);
    return 0;
}

void queue_wait_free(struct queue_wait *w)
{
    channel_leave(&w->wait);
    if (w->bytes > 0)
        conn_let_go(w->conn, w->bytes);
    LIST_REMOVE(w, of_user);
    LIST_REMOVE(w, of_conn);
    w->conn->client->queue_wait_count--;
    free(w);
}

/* ---- replies ---- */

static void answer_count(struct conn *c, const struct queue_wait *w)
{
    wire_put_result(&c->out, w->msgid);
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_uint64(&pk, (uint64_t)w->before + w->wait.in);
    conn_replied(c);
}

static void answer_true(struct conn *c, const struct queue_wait *w)
{
    wire_put_result(&c->out, w->msgid);
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_true(&pk);
    conn_replied(c);
}

static void answer_end(struct conn *c, uint32_t msgid)
{
    wire_put_result(&c->out, msgid);
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_array(&pk, 0);
    conn_replied(c);
}

/* The size of an array's head for a count that is not known yet, but at most `most`. */
static size_t head_size(uint32_t max)
{
    return max < 16 ? 1 : max <= UINT16_MAX ? 3 : 5;
}

static void put_head(uint8_t *at, size_t size, uint32_t count)
{
    switch (size) {
    case 1: at[0] = (uint8_t)(0x90 | count); break;
    case 3:
        at[0] = 0xdc;
        at[1] = (uint8_t)(count >> 8);
        at[2] = (uint8_t)count;
        break;
    default:
        at[0] = 0xdd;
        for (int i = 0; i < 4; i++)
            at[1 + i] = (uint8_t)(count >> (24 - 8 * i));
    }
}

/* Writes one item behind the others, then takes it: in this order, so that nothing is lost when out of memory. */
static bool give_one(struct queue_user *u, struct channel *ch, struct wire_buf *out, const struct channel_item *item)
{
    size_t mark = wire_buf_mark(out), length = item->length;
    bool tickets = ch->options.at_least_once;
    uint8_t *to = wire_buf_reserve(out, length + ITEM_HEAD);
    uint64_t ticket;
    if (!to) {
        wire_buf_rewind(out, mark);
        return false;
    }
    memcpy(to + (tickets ? ITEM_HEAD : 0), item->bytes, length);
    if (channel_take(ch, &u->client, false, &ticket) < 0)
        return false;
    if (tickets) {
        to[0] = 0x92;
        to[1] = 0xcf;
        for (int i = 0; i < 8; i++)
            to[2 + i] = (uint8_t)(ticket >> (56 - 8 * i));
        length += ITEM_HEAD;
    }
    wire_buf_commit(out, length);
    return true;
}

void queue_give(struct queue_user *u, uint32_t msgid, uint32_t max, bool lease)
{
    struct channel *ch = queue_takes_from(u);
    struct conn *c = u->conn;
    struct wire_buf *out = &c->out;
    size_t mark = wire_buf_mark(out), given_bytes = 0;
    struct channel_item item;
    uint32_t count = 0;
    if (channel_first(ch, &item) && item.token) {
        queue_memfd_give(u, msgid, &item, lease);
        return;
    }
    if (max > channel_items(ch))
        max = channel_items(ch);
    wire_put_result(out, msgid);
    size_t head = wire_buf_length(out), size = head_size(max);
    if (wire_buf_reserve(out, size))
        wire_buf_commit(out, size);
    while (!out->failed && count < max && channel_first(ch, &item)) {
        if (item.token || (count > 0 && given_bytes + item.length > GIVE_BYTES) || !give_one(u, ch, out, &item))
            break;
        given_bytes += item.length;
        count++;
    }
    if (count == 0) {
        wire_buf_rewind(out, mark);
        conn_reply_error(c, msgid, MPOOL_E_INTERNAL, "out of memory for the items");
        return;
    }
    put_head(out->data + out->start + head, size, count);
    conn_replied(c);
}

static void answer_late(struct conn *c, const struct queue_wait *w)
{
    static const char *const what[] = {
        [CHANNEL_PUT] = "there was no room in the queue",
        [CHANNEL_GET] = "no item came",
        [CHANNEL_JOIN] = "not every item was done",
    };
    const struct channel *to = w->wait.want == CHANNEL_PUT ? queue_puts_to(w->user) : NULL;
    if (w->before + w->wait.in > 0)
        answer_count(c, w);
    else if (to && to->is_short)
        conn_reply_error(c, w->msgid, MPOOL_E_NOT_READY, QUEUE_OWNER_FULL, (unsigned long long)to->options.purse->max);
    else
        conn_reply_error(c, w->msgid, MPOOL_E_NOT_READY, "%s within the time", what[w->wait.want]);
}

static void answer_finished(struct conn *c, const struct queue_wait *w)
{
    if (w->wait.want == CHANNEL_GET)
        answer_end(c, w->msgid);
    else if (w->before + w->wait.in > 0)
        answer_count(c, w);
    else
        conn_reply_error(c, w->msgid, MPOOL_E_FINISHED, "it takes no more items");
}

static void answer_ready(struct conn *c, const struct queue_wait *w)
{
    switch (w->wait.want) {
    case CHANNEL_PUT: answer_count(c, w); break;
    case CHANNEL_GET: queue_give(w->user, w->msgid, w->max, w->lease); break;
    case CHANNEL_JOIN: answer_true(c, w); break;
    }
}

void queue_wait_ended(struct channel_wait *ended, enum channel_end end)
{
    struct queue_wait *w = CONTAINER_OF(ended, struct queue_wait, wait);
    struct conn *c = w->conn;
    if (w->no_reply) {
        conn_replied(c);
    } else if (!conn_is_closed(c)) { /* otherwise the items stay for a live client */
        switch (end) {
        case CHANNEL_READY: answer_ready(c, w); break;
        case CHANNEL_LATE: answer_late(c, w); break;
        case CHANNEL_FINISHED: answer_finished(c, w); break;
        }
    }
    queue_wait_free(w);
}

void queue_wait_end_cancelled(struct queue_wait *w)
{
    struct conn *c = w->conn;
    struct channel *ch = w->wait.channel;
    if (w->no_reply)
        conn_replied(c);
    else if (w->before + w->wait.in > 0)
        answer_count(c, w);
    else
        conn_reply_error(c, w->msgid, MPOOL_E_CANCELLED, "it was cancelled while it waited");
    queue_wait_free(w);
    channel_settle(ch);
}

bool queue_wait_cancel(struct conn *c, uint32_t msgid)
{
    struct queue_wait *w;
    if (!c->client)
        return false;
    LIST_FOREACH (w, &c->client->queue_waits, of_conn)
        if (w->msgid == msgid && !w->no_reply)
            break;
    if (!w)
        return false;
    queue_wait_end_cancelled(w);
    return true;
}
