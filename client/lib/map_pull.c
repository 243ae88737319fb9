/* When does a map pull, and how do items become requests?
 *
 * Few requests are in flight, about two for each worker, each of a size that pace.h chooses; the window bounds the
 * items pulled but not yet returned, and their bytes, whatever the source or the daemon do. An item that cannot be sent
 * fails alone. Runs user code (the pull function, which may cancel or free the map or disconnect) and so checks the
 * state again after each pull.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/lib/clock.h"
#include "client/lib/map.h"
#include "client/lib/request.h"
#include "client/lib/result.h"
#include "client/lib/task.h"
#include "proto/scan.h"

#define CHUNK_BYTES    (256u << 10) /* further items go into the next request, large ones alone */
#define ARRAY_HEAD     5u
#define IN_FLIGHT_MOST 1024u
#define REQUEST_ABOVE  3u /* levels of the message above an item */

/* Leaves half of what the daemon reads ahead to other calls on this connection, and to cancels. */
static uint32_t requests_for(const mpool_client *client, uint64_t workers)
{
    uint64_t most = client->peer.in_flight / 2 < IN_FLIGHT_MOST ? client->peer.in_flight / 2 : IN_FLIGHT_MOST;
    uint64_t requests = 2 * (workers < IN_FLIGHT_MOST ? workers : IN_FLIGHT_MOST) + 2;
    requests = requests < most ? requests : most;
    return requests > 0 ? (uint32_t)requests : 1;
}

static void workers_answered(void *userdata, int code, const mpool_result *result, const char *text)
{
    mpool_map *map = userdata;
    (void)text;
    map->asking = false;
    if (code < 0)
        return;
    size_t length;
    const void *data = mpool_result_data(result, &length);
    struct wire_reader r = wire_reader(data, length);
    uint32_t count;
    uint64_t most = 0;
    if (wire_read_array(&r, &count) < 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *raw;
        size_t raw_length;
        if (wire_read_raw(&r, &raw, &raw_length) < 0)
            return;
        mpool_result *cell;
        mpool_result pool = result_view(raw, raw_length, NULL, &cell);
        const mpool_result *value;
        const void *name = NULL;
        size_t name_length = 0;
        uint64_t workers = 0;
        if (mpool_result_get(&pool, "name", &value) == 0)
            (void)mpool_result_bytes(value, &name, &name_length);
        bool ours =
            !map->pool || (name && name_length == strlen(map->pool) && memcmp(name, map->pool, name_length) == 0);
        if (ours && mpool_result_get(&pool, "max", &value) == 0 && mpool_result_u64(value, &workers) == 0 &&
            workers > most)
            most = workers;
        result_view_deinit(&pool);
    }
    if (most > 0)
        map->in_flight_max = requests_for(map->client, most);
}

void map_pull_ask_workers(mpool_map *map)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    map->in_flight_max = requests_for(map->client, cpus > 0 ? (uint64_t)cpus : 1);
    struct call call = {.done = workers_answered, .userdata = map};
    map->asking = request_send(map->client, "pools", NULL, 0, &call, &map->asking_msgid) == 0;
}

static uint64_t window_left(const mpool_map *map)
{
    uint64_t outstanding = map->pulled - map->given;
    return outstanding < map->options.window ? map->options.window - outstanding : 0;
}

/* Number of items for the next request. If the window is too small for the requests in flight, it is divided among
 * them. */
static uint32_t chunk_now(const mpool_map *map)
{
    uint32_t share = map->options.window / map->in_flight_max;
    uint32_t chunk = map->pace.fixed || map->pace.chunk < share ? map->pace.chunk : share;
    return chunk > 0 ? chunk : 1;
}

static bool may_pull(const mpool_map *map)
{
    const mpool_client *client = map->client;
    return client && !client->loss && !client->closing && !map->ended && !map->cancelled && !map->dead && !map->broken;
}

bool map_pull_wanted(const mpool_map *map)
{
    if (map->in_flight >= map->in_flight_max || map->dry) /* the usual case: checked for each item returned */
        return false;
    if (!may_pull(map) || !request_has_room(map->client))
        return false;
    if (map->bytes_in_flight + map->answers.bytes >= map->options.window_bytes)
        return false;
    uint64_t left = window_left(map);
    /* Wait for room for a whole chunk: topping up after each returned item would cost a request per item. */
    return left > 0 && (left >= chunk_now(map) || map->in_flight == 0);
}

static void keep_failure(mpool_map *map, uint64_t first, uint32_t count, int code, const char *text)
{
    if (answers_add_failure(&map->answers, first, count, code, text) < 0)
        map->broken = -ENOMEM;
}

static void answered(mpool_map *map, int taken)
{
    if (taken > 0)
        pace_answered(&map->pace, (uint64_t)taken, clock_now_ns());
    if (taken == -ENOMEM)
        map->broken = -ENOMEM;
}

static int request_items(void *userdata, uint64_t first, struct wire_reader pairs)
{
    struct map_request *request = userdata;
    mpool_map *map = request->map;
    int taken = map_request_take(request, &map->answers, first, pairs);
    answered(map, taken);
    return taken == MPOOL_EPROTOCOL ? taken : 0;
}

static void request_done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct map_request *request = userdata;
    mpool_map *map = request->map;
    if (code == 0 && request->covered < request->count && request->covered == 0) {
        /* Not streamed: all pairs at once. */
        size_t length;
        const void *data = mpool_result_data(result, &length);
        answered(map, map_request_take(request, &map->answers, 0, wire_reader(data, length)));
    }
    if (code == 0 && request->covered < request->count) {
        code = MPOOL_EPROTOCOL;
        text = "The daemon ended the map without an answer for this item.";
    }
    if (code < 0 && map_request_fail_rest(request, &map->answers, code, text) < 0)
        map->broken = -ENOMEM;
    TAILQ_REMOVE(&map->requests, request, link);
    map->in_flight--;
    map->bytes_in_flight -= request->bytes;
    free(request);
}

static void chunk_clear(mpool_map *map)
{
    static const uint8_t head[ARRAY_HEAD] = {0xdd};
    wire_buf_rewind(&map->chunk, 0);
    wire_buf_append(&map->chunk, head, sizeof(head));
}

static void chunk_set_count(mpool_map *map, uint32_t count)
{
    /* An array 32 header, which fits any count: the count is known only now. */
    uint8_t *head = map->chunk.data + map->chunk.start;
    head[1] = (uint8_t)(count >> 24);
    head[2] = (uint8_t)(count >> 16);
    head[3] = (uint8_t)(count >> 8);
    head[4] = (uint8_t)count;
}

/* Sends the chunk's `count` items, the first of which is `first`. On failure they fail. */
static void chunk_send(mpool_map *map, uint64_t first, uint32_t count)
{
    if (count == 0)
        return;
    chunk_set_count(map, count);
    size_t bytes = wire_buf_length(&map->chunk);
    /* A single item is answered by the response itself. */
    bool stream = map->client->peer.stream && count > 1;
    struct map_request *request = map_request_new(map, first, count, bytes);
    struct task task = {.method = MPOOL_METHOD_MAP,
        .function = map->function,
        .args = wire_buf_at(&map->chunk),
        .args_length = bytes,
        .options = &map->task,
        .star = map->options.star,
        .answer = stream ? TASK_ANSWER_STREAM : TASK_ANSWER_EACH,
        .chunk = map->options.chunk};
    struct call call = {.done = request_done, .items = request_items, .userdata = request};
    int r = request ? task_start(map->client, &task, &call, &request->msgid) : -ENOMEM;
    if (r < 0) {
        keep_failure(map, first, count, r, mpool_strerror(r));
        free(request);
        return;
    }
    if (map->in_flight == 0)
        pace_begin(&map->pace, clock_now_ns());
    TAILQ_INSERT_TAIL(&map->requests, request, link);
    map->in_flight++;
    map->bytes_in_flight += bytes;
}

/* → 0, or why the item cannot be sent. */
static int check_item(const mpool_map *map, const void *item, size_t length)
{
    uint64_t whole;
    if (item && length > 0 && wire_shape[*(const uint8_t *)item] == length && length < SHAPE_COUNTED)
        return map->options.star ? -EINVAL : 0; /* a scalar, as most are */
    uint32_t depth = map->client->peer.depth > REQUEST_ABOVE ? map->client->peer.depth - REQUEST_ABOVE : 1;
    struct wire_limits limits = {.max_bytes = length, .max_depth = depth};
    if (!item || length == 0)
        return -EINVAL;
    switch (wire_scan_value(&limits, item, length, &whole)) {
    case WIRE_SCAN_WHOLE: break;
    case WIRE_SCAN_TOO_DEEP: return MPOOL_ETOO_DEEP;
    case WIRE_SCAN_MORE:
    case WIRE_SCAN_BAD_BYTE:
    case WIRE_SCAN_TOO_BIG: return -EINVAL;
    }
    struct wire_reader r = wire_reader(item, length);
    return whole != length || (map->options.star && wire_peek(&r) != WIRE_TYPE_ARRAY) ? -EINVAL : 0;
}

static const char *item_text(int code)
{
    return code == -EINVAL ? "The item is not one MessagePack value of the right shape." : mpool_strerror(code);
}

/* Pulls once. → whether there was an item. */
static bool pull_one(mpool_map *map, const void **ret_item, size_t *ret_length)
{
    *ret_item = NULL;
    *ret_length = 0;
    int r = map->pull(map->userdata, ret_item, ret_length);
    if (r > 0) {
        map->pulled++;
        return true;
    }
    if (r == -EAGAIN) {
        map->dry = true;
        return false;
    }
    map->ended = true;
    map->end_code = r;
    return false;
}

static void pull_chunk(mpool_map *map)
{
    uint64_t left = window_left(map), first = map->pulled;
    uint32_t chunk = chunk_now(map), most = left < chunk ? (uint32_t)left : chunk, count = 0;
    const void *item;
    size_t length;
    chunk_clear(map);
    while (
        count < most && wire_buf_length(&map->chunk) < CHUNK_BYTES && may_pull(map) && pull_one(map, &item, &length)) {
        uint64_t index = map->pulled - 1;
        int r = check_item(map, item, length);
        if (r < 0 || (count > 0 && length > CHUNK_BYTES)) {
            chunk_send(map, first, count);
            chunk_clear(map);
            first = index;
            count = 0;
            most = 1;
        }
        if (r == 0 && wire_buf_append(&map->chunk, item, length) < 0)
            r = -ENOMEM;
        if (r < 0) {
            keep_failure(map, index, 1, r, item_text(r));
            return;
        }
        count++;
    }
    if (map->cancelled || !map->client || map->client->loss) {
        /* The last pull cancelled the map: do not send its item. */
        if (count > 0)
            keep_failure(map, first, count, -ECANCELED, mpool_strerror(-ECANCELED));
        return;
    }
    chunk_send(map, first, count);
    wire_buf_trim(&map->chunk, 2 * CHUNK_BYTES);
}

void map_pull(mpool_map *map)
{
    while (map_pull_wanted(map))
        pull_chunk(map);
}
