/* Pipelined puts, and items kept for later: see queue_ahead.h. */
#include "client/lib/queue_ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/loop.h"
#include "client/lib/result.h"
#include "proto/buf.h"
#include "proto/reader.h"

struct queue_ahead {
    uint32_t limit;
    uint32_t on_way;     /* puts not yet answered */
    int code;            /* error of the first put that failed; 0: none */
    bool late;           /* a get was abandoned by its caller and is not answered yet */
    mpool_client *asked; /* the connection of that get */
    bool released;       /* only the pending answers still refer to this block */
    char text[HANDLE_TEXT_BYTES];

    mpool_result *kept; /* a list of items, or NULL */
    size_t at;          /* in its bytes: the next item */
    uint32_t left;      /* of its items */
};

int queue_ahead_set(struct queue_ahead **ahead, uint32_t limit)
{
    if (!*ahead && limit == 0)
        return 0;
    if (!*ahead)
        *ahead = calloc(1, sizeof(**ahead));
    if (!*ahead)
        return -ENOMEM;
    (*ahead)->limit = limit;
    return 0;
}

static void free_if_done(struct queue_ahead *ahead)
{
    if (ahead->released && ahead->on_way == 0 && !ahead->late)
        free(ahead);
}

void queue_ahead_release(struct queue_ahead *ahead)
{
    if (!ahead)
        return;
    mpool_result_free(ahead->kept);
    ahead->kept = NULL;
    ahead->released = true;
    free_if_done(ahead);
}

uint32_t queue_ahead_limit(const struct queue_ahead *ahead)
{
    return ahead ? ahead->limit : 0;
}

/* ---- puts ---- */

static void answered(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct queue_ahead *ahead = userdata;
    (void)result;
    ahead->on_way--;
    if (code < 0 && ahead->code == 0) {
        ahead->code = code;
        size_t length = text ? strnlen(text, sizeof(ahead->text) - 1) : 0;
        memcpy(ahead->text, text ? text : "", length);
        ahead->text[length] = 0;
    }
    free_if_done(ahead);
}

struct call queue_ahead_call(struct queue_ahead *ahead)
{
    return (struct call){.done = answered, .userdata = ahead};
}

void queue_ahead_sent(struct queue_ahead *ahead)
{
    ahead->on_way++;
}

static int turn_until(struct queue_ahead *ahead, mpool_client *client, uint32_t most, uint64_t deadline_ns)
{
    while (ahead->on_way > most) {
        int r = loop_wait(client, deadline_ns);
        if (r == -ENOTCONN)
            return r; /* the handle is gone, and perhaps this block too */
        if (r < 0 && ahead->on_way > most)
            return handle_fail(client, r, r == -ETIMEDOUT ? "Not every item has gone in yet." : NULL);
    }
    int code = ahead->code;
    ahead->code = 0;
    return code < 0 ? handle_fail(client, code, ahead->text) : 0;
}

int queue_ahead_room(struct queue_ahead *ahead, mpool_client *client)
{
    /* At the limit, wait until half of them are answered: one sleep and one wake-up for many puts. */
    uint32_t most = ahead->on_way >= ahead->limit ? ahead->limit / 2 : ahead->on_way;
    return turn_until(ahead, client, most, CLOCK_NEVER);
}

int queue_ahead_flush(struct queue_ahead *ahead, mpool_client *client, uint64_t deadline_ns)
{
    return ahead ? turn_until(ahead, client, 0, deadline_ns) : 0;
}

/* ---- gets ---- */

/* items: a list, taken. */
static void keep(struct queue_ahead *ahead, mpool_result *items)
{
    size_t length;
    const uint8_t *bytes = mpool_result_data(items, &length);
    struct wire_reader in = wire_reader(bytes, length);
    if (wire_read_array(&in, &ahead->left) < 0)
        ahead->left = 0;
    ahead->at = (size_t)(in.at - bytes);
    ahead->kept = items;
    if (ahead->left == 0) {
        mpool_result_free(items);
        ahead->kept = NULL;
    }
}

/* The next n of the kept items, as a list of their own. */
static int slice(struct queue_ahead *ahead, uint32_t n, mpool_result **ret)
{
    size_t length;
    const uint8_t *bytes = mpool_result_data(ahead->kept, &length);
    struct wire_reader in = wire_reader(bytes + ahead->at, length - ahead->at);
    if (wire_skip_many(&in, n) != n)
        return -EBADMSG;
    size_t end = (size_t)(in.at - bytes);
    struct wire_buf list = {0};
    msgpack_packer pk = wire_packer(&list);
    msgpack_pack_array(&pk, n);
    wire_buf_append(&list, bytes + ahead->at, end - ahead->at);
    mpool_result *cell;
    mpool_result view = result_view(wire_buf_at(&list), wire_buf_length(&list), NULL, &cell);
    *ret = list.failed ? NULL : mpool_result_keep(&view);
    wire_buf_reset(&list);
    if (!*ret)
        return -ENOMEM;
    ahead->at = end;
    ahead->left -= n;
    return 0;
}

static int hand_out(struct queue_ahead *ahead, mpool_client *client, uint32_t max, mpool_result **ret)
{
    uint32_t n = ahead->left < max ? ahead->left : max;
    if (ahead->kept->payload) { /* one large item, and alone */
        ahead->left = 0;
        *ret = ahead->kept;
        ahead->kept = NULL;
        return (int)n;
    }
    int r = slice(ahead, n, ret);
    if (r < 0)
        return handle_fail(client, r, NULL);
    if (ahead->left == 0) {
        mpool_result_free(ahead->kept);
        ahead->kept = NULL;
    }
    return (int)n;
}

int queue_ahead_keep(
    struct queue_ahead *ahead, mpool_client *client, mpool_result *items, uint32_t max, mpool_result **ret)
{
    keep(ahead, items);
    return hand_out(ahead, client, max, ret);
}

int queue_ahead_take(
    struct queue_ahead *ahead, mpool_client *client, uint32_t max, uint64_t deadline_ns, mpool_result **ret)
{
    while (ahead && ahead->late) {
        int r = loop_wait(client, deadline_ns);
        if (r == -ENOTCONN)
            return r;
        if (r < 0 && ahead->late)
            return handle_fail(
                client, r, r == -ETIMEDOUT ? "The daemon has not answered yet what it was asked before." : NULL);
    }
    return ahead && ahead->kept ? hand_out(ahead, client, max, ret) : 0;
}

/* The answer to a get that its caller has abandoned. */
static void came_late(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct queue_ahead *ahead = userdata;
    mpool_result *items = code == 0 && !ahead->released ? mpool_result_keep(result) : NULL;
    (void)text;
    ahead->late = false;
    ahead->asked->refused = code == 0 && !items;
    if (items)
        keep(ahead, items);
    free_if_done(ahead);
}

int queue_ahead_adopt(struct queue_ahead **ahead, mpool_client *client, uint32_t msgid)
{
    struct call *call = pending_find(&client->pending, msgid);
    if (!call)
        return -ENOENT;
    if (!*ahead)
        *ahead = calloc(1, sizeof(**ahead));
    if (!*ahead) {
        pending_abandon(&client->pending, msgid);
        return -ENOMEM;
    }
    (*ahead)->late = true;
    (*ahead)->asked = client;
    call->done = came_late;
    call->userdata = *ahead;
    return 0;
}
