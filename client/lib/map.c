/* The map that callers see: start, next, cancel, free.
 *
 * Every item pulled is returned exactly once: with the daemon's answer, with the failure of its request, or with the
 * loss of the connection. A map outlives its connection until it is freed. If its own pull function frees it, the
 * release is deferred.
 */
#include "client/lib/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/loop.h"
#include "client/lib/request.h"
#include "client/lib/sized.h"

#define WINDOW_DEFAULT       65536u
#define WINDOW_BYTES_DEFAULT ((size_t)64 << 20)

static mpool_map *map_of(struct source *source)
{
    return (mpool_map *)(void *)((char *)source - offsetof(mpool_map, source));
}

/* Leaves the connection; answers to what is in flight are dropped. */
static void detach(mpool_map *map)
{
    mpool_client *client = map->client;
    struct map_request *request;
    bool ours = handle_is_ours(client);
    while ((request = TAILQ_FIRST(&map->requests))) {
        if (ours)
            (void)request_cancel(client, request->msgid, 0);
        pending_abandon(&client->pending, request->msgid);
        TAILQ_REMOVE(&map->requests, request, link);
        free(request);
    }
    map->in_flight = 0;
    map->bytes_in_flight = 0;
    if (map->asking)
        pending_abandon(&client->pending, map->asking_msgid);
    handle_remove_source(client, &map->source);
    map->client = NULL;
}

static void release(mpool_map *map)
{
    if (map->client)
        detach(map);
    answers_deinit(&map->answers);
    wire_buf_reset(&map->chunk);
    free(map->function);
    free(map->pool);
    free(map->name);
    free(map);
}

static void source_pump(struct source *source)
{
    mpool_map *map = map_of(source);
    if (!map->dead) {
        /* Only mpool_dispatch() asks a dry source again; the turns of a waiting call would ask it over and over. */
        if (map->client->dispatching)
            map->dry = false;
        map->busy++;
        map_pull(map);
        map->busy--;
    }
    if (map->dead && map->busy == 0)
        release(map);
}

static void source_gone(struct source *source, int why)
{
    mpool_map *map = map_of(source);
    /* No requests are left if the handle has completed its calls. In a forked child it has not. */
    if (!TAILQ_EMPTY(&map->requests))
        map->broken = why;
    detach(map);
    if (!map->ended && !map->cancelled)
        map->end_code = why;
    map->ended = true;
    if (map->dead && map->busy == 0)
        release(map);
}

static char *copy(const char *text, bool *failed)
{
    char *made = text ? strdup(text) : NULL;
    *failed |= text && !made;
    return made;
}

int mpool_map_start(mpool_client *client, mpool_map **ret_map, const char *function, mpool_pull_fn *pull,
    void *userdata, const mpool_map_options *options)
{
    int r = handle_check(client);
    if (r < 0)
        return r;
    mpool_map_options o = MPOOL_MAP_OPTIONS_INIT;
    mpool_options task = MPOOL_OPTIONS_INIT;
    r = sized_read(client, &o, sizeof(o), options);
    if (r == 0)
        r = sized_read(client, &task, sizeof(task), o.task);
    if (r < 0)
        return r;
    if (!ret_map || !function || !*function || !pull)
        return handle_fail(client, -EINVAL, "A map needs a place for its handle, a function and a source.");

    mpool_map *map = calloc(1, sizeof(*map));
    if (!map)
        return handle_fail(client, -ENOMEM, NULL);
    bool failed = false;
    map->options = o;
    map->task = task;
    map->options.task = &map->task;
    map->function = copy(function, &failed);
    map->task.pool = map->pool = copy(task.pool, &failed);
    map->task.name = map->name = copy(task.name, &failed);
    if (map->options.window == 0)
        map->options.window = WINDOW_DEFAULT;
    if (map->options.window_bytes == 0)
        map->options.window_bytes = WINDOW_BYTES_DEFAULT;
    map->pull = pull;
    map->userdata = userdata;
    pace_init(&map->pace, o.chunk);
    answers_init(&map->answers, !o.unordered);
    TAILQ_INIT(&map->requests);
    if (failed) {
        release(map);
        return handle_fail(client, -ENOMEM, NULL);
    }
    map->client = client;
    map->source.pump = source_pump;
    map->source.gone = source_gone;
    handle_add_source(client, &map->source);
    map_pull_ask_workers(map);
    client->pump_wanted = true;
    *ret_map = map;
    return 0;
}

/* Every pulled item has been returned, and no more will be pulled. As every item had its own answer, a lost connection
 * is reported only if it cut the source short. */
static bool is_over(const mpool_map *map, int *ret_code)
{
    if (map->broken) {
        *ret_code = map->broken;
        return true;
    }
    int loss = map->client ? map->client->loss : 0;
    if (map->given < map->pulled || (map->client && !map->ended && !map->cancelled && !loss))
        return false;
    *ret_code = map->ended ? map->end_code : loss;
    return true;
}

/* Waiting for the connection is pointless: only the source can give this map something to do. */
static bool is_dry(const mpool_map *map)
{
    return map->dry && map->in_flight == 0;
}

/* code: -ETIMEDOUT or -EINTR. → it. */
static int stop_waiting(const mpool_map *map, int code)
{
    return handle_fail(
        map->client, code, code == -ETIMEDOUT ? "Timed out waiting for the next result of the map." : NULL);
}

static int next(mpool_map *map, mpool_item *ret_item, uint64_t deadline_ns)
{
    bool looked = false, begun = false;
    int waited = 0;
    if (map->client && !map->client->running)
        map->dry = false;
    for (;;) {
        if (map->client && !handle_is_ours(map->client))
            return handle_fail(map->client, -ECHILD, NULL);
        if (map->client && !map->client->running && map_pull_wanted(map))
            (void)loop_pump(map->client);
        if (map->dead)
            return -ENOTCONN;
        int over;
        if (!map->broken && answers_next(&map->answers, ret_item)) {
            map->given++;
            return 1;
        }
        /* The item returned last is freed only now; its bytes may have filled the window. */
        if (map->client && !map->client->running && map_pull_wanted(map))
            continue;
        if (is_over(map, &over))
            return over < 0 && map->client ? handle_fail(map->client, over, NULL) : over;
        if (map->client->running)
            return deadline_ns == 0 ? stop_waiting(map, -ETIMEDOUT) : handle_fail(map->client, -EDEADLK, NULL);
        /* Run a turn even when dry: a lost connection, or answers to other calls, may be waiting to be read. */
        bool dry = is_dry(map);
        if (dry && looked)
            return -EAGAIN;
        looked = dry;
        if (waited < 0)
            return stop_waiting(map, waited);
        if (!begun)
            map->client->until_ns = clock_deadline(map->client->call_timeout_ms);
        begun = true;
        if (dry)
            (void)loop_turn(map->client, 0);
        else
            waited = loop_wait(map->client, deadline_ns); /* what came meanwhile is given first */
    }
}

/* The thread was cancelled. No callback, which might free the map, runs where that can happen. */
static void not_busy(mpool_map *const *map)
{
    if (*map)
        (*map)->busy--;
}

int mpool_map_next(mpool_map *map, mpool_item *ret_item, int64_t timeout_ms)
{
    if (!map || !ret_item)
        return -EINVAL;
    if (map->client)
        map->client->text[0] = '\0';
    if (ret_item->size < sizeof(size_t))
        return handle_fail(map->client, -EINVAL, "The item is not initialised: its size is 0.");
    __attribute__((cleanup(not_busy))) mpool_map *busy = map;
    mpool_item own, *item = ret_item->size == sizeof(own) ? ret_item : &own; /* all but the size is filled */
    map->busy++;
    int r = next(map, item, timeout_ms == 0 ? 0 : clock_deadline(timeout_ms));
    busy = NULL;
    map->busy--;
    if (map->dead && map->busy == 0) {
        release(map);
        return -ENOTCONN;
    }
    if (r > 0 && item == &own)
        sized_write(ret_item, &own, sizeof(own));
    return handle_end(map->client, r);
}

void mpool_map_cancel(mpool_map *map)
{
    mpool_map_cancel_by(map, 0);
}

void mpool_map_cancel_by(mpool_map *map, int signal)
{
    if (!map)
        return;
    map->cancelled = true;
    if (!map->client || !handle_is_ours(map->client))
        return;
    struct map_request *request;
    TAILQ_FOREACH (request, &map->requests, link)
        (void)request_cancel(map->client, request->msgid, signal);
}

void mpool_map_progress(const mpool_map *map, uint64_t *ret_pulled, uint64_t *ret_given)
{
    if (ret_pulled)
        *ret_pulled = map ? map->pulled : 0;
    if (ret_given)
        *ret_given = map ? map->given : 0;
}

void mpool_map_free(mpool_map *map)
{
    if (!map)
        return;
    if (map->busy == 0 && !(map->client && handle_is_ours(map->client) && map->client->running)) {
        release(map);
        return;
    }
    map->dead = true;
    mpool_map_cancel(map);
    if (map->client)
        map->client->pump_wanted = true;
}
