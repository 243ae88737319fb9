#include "daemon/supervisor/map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/packet.h"
#include "daemon/lane/contract.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/pool.h"
#include "proto/reader.h"
#include "proto/scan.h"

#define CHUNK_AIM_NS     (2 * NS_PER_MS) /* how long a chunk is to run, by its function's mean */
#define CHUNK_BUDGET_US  5000u           /* after this long a worker hands the rest of a chunk back */
#define CHUNK_ITEMS_MAX  4096u
#define CHUNK_BYTES_MAX  (256u << 10)
#define CHUNKS_AHEAD_MAX 256u
#define SCAN_BYTES       (1u << 20) /* of a mapping, scanned in one pass */

struct map_part {
    uint32_t first, count;
    uint8_t *bytes; /* elements without a header; owned */
    size_t length;
};

void map_touch(struct map *m)
{
    struct supervisor *s = m->supervisor;
    if (!m->in_dirty) {
        m->in_dirty = true;
        TAILQ_INSERT_TAIL(&s->dirty_maps, m, dirty);
    }
    s->again = true;
}

int map_start(struct conn *c, uint32_t msgid, bool no_reply, struct function *f, const struct task_options *options,
    const uint8_t *items, size_t length, uint32_t count, void *mapping, size_t mapping_length)
{
    struct supervisor *s = c->supervisor;
    struct map *m = calloc(1, sizeof *m);
    if (m && mapping) {
        m->items = (uint8_t *)(uintptr_t)items;
    } else if (m) {
        m->items = malloc(length ? length : 1);
        if (m->items)
            memcpy(m->items, items, length);
    }
    if (m && mapping) {
        m->scan = malloc(sizeof *m->scan);
        if (m->scan)
            wire_scan_init(m->scan);
    }
    if (!m || !m->items || (mapping && !m->scan)) {
        free(m);
        if (mapping)
            munmap(mapping, mapping_length);
        return -ENOMEM;
    }
    m->supervisor = s;
    m->mapping = mapping;
    m->mapping_length = mapping_length;
    m->items_length = length;
    m->count = count;
    m->conn = c;
    m->msgid = msgid;
    m->no_reply = no_reply;
    m->function = f;
    m->id = s->next_attached_id++;
    m->each = options->each;
    m->stream = options->stream;
    m->star = options->star;
    m->options = *options;
    m->options.name = m->options.pool = NULL;
    if (options->name)
        m->name = strndup(options->name, options->name_length);
    m->attempts = options->attempts                     ? (uint32_t)options->attempts
                  : function_is(f, CONTRACT_IDEMPOTENT) ? f->pool->config->attempts
                                                        : 1;
    m->uid = c->uid;
    m->submitted_ms = s->wall_ms;
    TAILQ_INIT(&m->chunks);
    TAILQ_INSERT_HEAD(&s->maps, m, every);
    attached_add(&s->attached_maps, &m->by_id, m->id);
    LIST_INSERT_HEAD(&c->maps, m, of_conn);
    conn_hold(c, length);
    map_touch(m);
    return 0;
}

static void map_free(struct map *m)
{
    struct supervisor *s = m->supervisor;
    TAILQ_REMOVE(&s->maps, m, every);
    attached_remove(&m->by_id);
    if (m->in_dirty)
        TAILQ_REMOVE(&s->dirty_maps, m, dirty);
    for (size_t i = 0; i < m->part_count; i++)
        free(m->parts[i].bytes);
    free(m->parts);
    free(m->scan);
    if (m->mapping)
        munmap(m->mapping, m->mapping_length);
    else
        free(m->items);
    free(m->name);
    free(m);
}

/* The map is answered, or nobody waits for it: what runs is cancelled in the next step, outside of the heart. */
static void end(struct map *m)
{
    if (m->ended)
        return;
    m->ended = true;
    if (m->conn) {
        struct conn *c = m->conn;
        LIST_REMOVE(m, of_conn);
        conn_let_go(c, m->items_length);
        m->conn = NULL;
        conn_touch(c);
    }
    map_touch(m);
}

static void fail(struct map *m, enum mpool_error error, const char *text)
{
    if (m->ended)
        return;
    if (m->no_reply)
        conn_replied(m->conn);
    else
        conn_reply_error(m->conn, m->msgid, error, "%s", text);
    end(m);
}

void map_fail(struct supervisor *s, struct map *m, enum mpool_error error, const char *text)
{
    (void)s;
    fail(m, error, text);
}

void map_cancel(struct supervisor *s, struct map *m)
{
    (void)s;
    char text[160];
    snprintf(text, sizeof text, "the map of %.100s was cancelled", m->function->name);
    fail(m, MPOOL_E_CANCELLED, text);
}

struct map *map_find(const struct conn *c, uint32_t msgid)
{
    struct map *m;
    LIST_FOREACH(m, &c->maps, of_conn)
    if (m->msgid == msgid && !m->ended && !m->no_reply)
        return m;
    return NULL;
}

/* ---- chunks
 * ------------------------------------------------------------------------------------------------------------------ */

void map_job(const struct map *m, const struct task *t, struct lane_job *ret)
{
    ret->flags |= LANE_JOB_CHUNK | (m->each || m->stream ? LANE_JOB_PAIRS : 0) | (m->star ? LANE_JOB_STAR : 0);
    ret->items = t->chunk.count;
    ret->budget_us = m->options.chunk && t->core.timeout_ms == 0 ? 0 : CHUNK_BUDGET_US;
    ret->attempt = t->chunk.item_attempt + 1;
    ret->max_result = task_max_result(m->supervisor, m->conn);
}

static int add_chunk(
    struct map *m, uint32_t first, uint32_t count, size_t offset, size_t length, uint32_t item_attempt, bool front)
{
    int error;
    struct supervisor *s = m->supervisor;
    struct task *t = task_new(s, m->function, TASK_CHUNK, &m->options, NULL, 0, -1, &error);
    if (!t)
        return error;
    t->id = s->next_attached_id++;
    t->chunk.map = m;
    t->chunk.first = first;
    t->chunk.count = count;
    t->chunk.offset = offset;
    t->chunk.length = length;
    t->chunk.item_attempt = item_attempt;
    t->core.attempts = 1; /* a chunk is never run again as a whole: its items are judged one by one */
    if (t->core.timeout_ms > 0)
        t->core.timeout_ms += CHUNK_BUDGET_US / 1000; /* the last item begins within the budget */
    TAILQ_INSERT_TAIL(&m->chunks, t, chunk.every);
    m->chunk_count++;
    task_submit(s, t, front);
    return 0;
}

static size_t skip_items(const struct map *m, size_t offset, uint32_t count)
{
    struct wire_reader r = wire_reader(m->items + offset, m->items_length - offset);
    for (uint32_t i = 0; i < count; i++)
        if (wire_skip(&r) < 0)
            break; /* cannot be: all of it was scanned */
    return (size_t)(r.at - m->items);
}

static uint32_t chunk_size(const struct map *m, uint32_t workers)
{
    uint32_t left = m->count - m->next;
    if (m->options.chunk)
        return m->options.chunk < left ? (uint32_t)m->options.chunk : left;
    uint64_t mean = m->function->item_mean_ns;
    uint64_t n = mean ? CHUNK_AIM_NS / mean : 1;
    uint64_t fair = left / (2 * (uint64_t)workers) + 1; /* the end is to find all workers busy */
    if (n > fair)
        n = fair;
    if (n > CHUNK_ITEMS_MAX)
        n = CHUNK_ITEMS_MAX;
    return n > 0 ? (uint32_t)n : 1;
}

/* Looks at some more of a mapping, so that a gigabyte of items holds up nobody. */
static void scan_on(struct map *m)
{
    struct wire_limits limits = {.max_bytes = m->mapping_length, .max_depth = m->supervisor->config->max_depth};
    uint64_t left = m->mapping_length - m->scan->at;
    uint64_t upto = m->scan->at + (left < SCAN_BYTES ? left : SCAN_BYTES);
    enum wire_scan_result verdict = wire_scan_feed(m->scan, &limits, m->mapping, upto);
    if (verdict == WIRE_SCAN_MORE && upto < m->mapping_length) {
        map_touch(m);
        return;
    }
    bool whole = verdict == WIRE_SCAN_WHOLE && m->scan->at == m->mapping_length;
    free(m->scan);
    m->scan = NULL;
    if (!whole)
        fail(m, MPOOL_E_BAD_PARAMS, "args_memfd: it does not hold one whole MessagePack value");
}

/* Keeps a few chunks with the heart, so that other callers' tasks find their turn between them; just one in a full
 * queue, so that many maps do not make it boundless. */
static void feed(struct map *m)
{
    uint32_t workers = m->function->pool->config->max;
    uint32_t ahead = workers * 2 < CHUNKS_AHEAD_MAX ? workers * 2 : CHUNKS_AHEAD_MAX;
    struct core_pool_counts counts;
    core_pool_counts(m->function->pool->core, &counts);
    if (counts.queued >= m->function->pool->config->max_queue)
        ahead = 1;
    while (!m->ended && m->next < m->count && m->chunk_count < ahead) {
        uint32_t want = chunk_size(m, workers), n = 0;
        struct wire_reader r = wire_reader(m->items + m->next_offset, m->items_length - m->next_offset);
        size_t length = 0;
        while (n < want && wire_skip(&r) == 0) {
            size_t end_at = (size_t)(r.at - m->items) - m->next_offset;
            if (n > 0 && end_at > CHUNK_BYTES_MAX)
                break;
            length = end_at;
            n++;
        }
        int error = add_chunk(m, m->next, n, m->next_offset, length, 0, false);
        if (error < 0) {
            if (m->chunk_count == 0)
                fail(m, MPOOL_E_INTERNAL, strerror(-error));
            return;
        }
        m->next += n;
        m->next_offset += length;
    }
}

/* ---- results
 * -------------------------------------------------------------------------------------------------------------------
 */

static int add_part(struct map *m, uint32_t first, uint32_t count, uint8_t *bytes, size_t length)
{
    if (m->part_count == m->part_size) {
        size_t size = m->part_size ? m->part_size * 2 : 16;
        struct map_part *grown = realloc(m->parts, size * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        m->parts = grown;
        m->part_size = size;
    }
    m->parts[m->part_count++] = (struct map_part){first, count, bytes, length};
    m->parts_bytes += length;
    return 0;
}

static int by_first(const void *a, const void *b)
{
    uint32_t x = ((const struct map_part *)a)->first, y = ((const struct map_part *)b)->first;
    return x < y ? -1 : x > y;
}

static void answer(struct map *m)
{
    struct conn *c = m->conn;
    struct outcome o = {.state = MPOOL_STATE_DONE, .memfd = -1};
    struct wire_buf whole = {0};
    msgpack_packer pk = wire_packer(&whole);
    if (m->stream) {
        msgpack_pack_array(&pk, 2);
        msgpack_pack_uint32(&pk, m->count - m->failed);
        msgpack_pack_uint32(&pk, m->failed);
    } else {
        if (m->part_count > 0)
            qsort(m->parts, m->part_count, sizeof *m->parts, by_first);
        msgpack_pack_array(&pk, m->count);
        for (size_t i = 0; i < m->part_count; i++) {
            wire_buf_append(&whole, m->parts[i].bytes, m->parts[i].length);
            free(m->parts[i].bytes);
            m->parts[i].bytes = NULL;
        }
    }
    o.data = wire_buf_at(&whole);
    o.size = wire_buf_length(&whole);
    if (whole.failed) {
        o.error = MPOOL_E_INTERNAL;
        o.text = "out of memory for the results of a map";
    } else if (c->memfd && o.size > (512u << 10)) {
        o.memfd = memfd_of_bytes("mpool-map", o.data, (size_t)o.size);
        if (o.memfd < 0)
            o.memfd = -1; /* then through the socket, if it fits */
    }
    task_respond(c, m->msgid, m->no_reply, &o);
    fd_close(&o.memfd);
    wire_buf_reset(&whole);
    end(m);
}

/* Is [error, result] in pairs a failure? Moves past the pair. */
static int pair_failed(struct wire_reader *r, bool *ret)
{
    uint32_t two;
    if (wire_read_array(r, &two) < 0 || two != 2)
        return -EBADMSG;
    *ret = wire_peek(r) != WIRE_TYPE_NIL;
    return wire_skip(r) < 0 || wire_skip(r) < 0 ? -EBADMSG : 0;
}

/* `count` results from item `first` on; bytes: their elements, taken. Checked here: they come from a worker. */
static int take_results(struct map *m, uint32_t first, uint32_t count, uint8_t *bytes, size_t length)
{
    const struct config *config = m->supervisor->config;
    bool pairs = m->each || m->stream;
    struct wire_reader r = wire_reader(bytes, length);
    struct wire_limits limits = {.max_bytes = config->max_payload, .max_depth = config->max_depth + 2};
    uint32_t failed = 0;
    if (m->ended) {
        free(bytes);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t whole;
        bool bad = false;
        const uint8_t *at = r.at;
        if (wire_scan_value(&limits, at, (uint64_t)(r.end - at), &whole) != WIRE_SCAN_WHOLE)
            goto damaged;
        if (pairs && pair_failed(&r, &bad) < 0)
            goto damaged;
        r.at = at + whole;
        failed += bad;
    }
    if (r.at != r.end)
        goto damaged;
    m->answered += count;
    m->failed += failed;
    m->supervisor->stats.tasks.items += count;
    if (!m->stream) {
        if (m->parts_bytes + length > task_max_result(m->supervisor, m->conn)) {
            free(bytes);
            fail(m, MPOOL_E_RESULT_TOO_BIG, "the results of the map together are too large; use stream: true");
        } else if (add_part(m, first, count, bytes, length) < 0) {
            free(bytes);
            fail(m, MPOOL_E_INTERNAL, "out of memory for the results of a map");
        }
        return 0;
    }
    if (!m->no_reply && !m->conn->closed) {
        struct wire_buf *out = &m->conn->out;
        wire_put_notification(out, "items");
        msgpack_packer pk = wire_packer(out);
        msgpack_pack_array(&pk, 3);
        msgpack_pack_uint32(&pk, m->msgid);
        msgpack_pack_uint32(&pk, first);
        msgpack_pack_array(&pk, count);
        wire_buf_append(out, bytes, length);
        conn_touch(m->conn);
    }
    free(bytes);
    return 0;
damaged:
    free(bytes);
    return -EBADMSG;
}

/* One item ends with an error of ours. */
static void item_error(struct map *m, uint32_t item, struct outcome *o)
{
    char text[5100];
    int class = 0;
    if (m->ended)
        return;
    size_t length = task_error_text(o, text, sizeof text, &class);
    if (!m->each && !m->stream) { /* the first bad item ends it all */
        char whole[5200];
        int n = snprintf(whole, sizeof whole, "%.*s (item %u)", (int)length, text, item);
        if (!m->no_reply && n > 0)
            wire_put_error_text(&m->conn->out, m->msgid, class, whole, (size_t)n);
        conn_replied(m->conn);
        end(m);
        return;
    }
    struct wire_buf pair = {0};
    msgpack_packer pk = wire_packer(&pair);
    msgpack_pack_array(&pk, 2);
    wire_put_error_value(&pair, class, text, length);
    msgpack_pack_nil(&pk);
    if (pair.failed || take_results(m, item, 1, pair.data, pair.end) < 0)
        fail(m, MPOOL_E_INTERNAL, "out of memory for the results of a map");
}

/* The results of the first `items` of a chunk, without their array's header. → owned copy, or NULL. */
static uint8_t *copy_results(const struct outcome *o, const uint8_t *data, uint64_t size, size_t *ret_length)
{
    uint8_t head[5];
    if (size < sizeof head)
        return NULL;
    size_t length = (size_t)size - sizeof head;
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy)
        return NULL;
    if (o->memfd >= 0) {
        for (size_t done = 0; done < length;) {
            ssize_t n = pread(o->memfd, copy + done, length - done, (off_t)(done + sizeof head));
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0) {
                free(copy);
                return NULL;
            }
            done += (size_t)n;
        }
    } else {
        memcpy(copy, data + sizeof head, length);
    }
    *ret_length = length;
    return copy;
}

static void requeue(struct map *m, const struct task *t, uint32_t from, uint32_t count, uint32_t item_attempt)
{
    if (m->ended || count == 0)
        return;
    size_t skip = skip_items(m, t->chunk.offset, from);
    /* Mostly it is all that is left: a long rest is not walked each time that a bit of it is done. */
    bool to_the_end = from + count == t->chunk.count;
    size_t stop = to_the_end ? t->chunk.offset + t->chunk.length : skip_items(m, skip, count);
    struct map_rest *rest = malloc(sizeof *rest);
    if (!rest) {
        fail(m, MPOOL_E_INTERNAL, "out of memory for a chunk");
        return;
    }
    *rest = (struct map_rest){.first = t->chunk.first + from,
        .count = count,
        .offset = skip,
        .length = stop - skip,
        .item_attempt = item_attempt};
    SLIST_INSERT_HEAD(&m->rests, rest, link);
    map_touch(m);
}

/* A function that was told to stop and gave up: its item, the last one, ends with the reason of the stop. → whether so.
 */
static bool last_item_obeyed(
    const struct map *m, const struct task *t, uint32_t *done, const uint8_t *copy, size_t *length)
{
    struct wire_reader r = wire_reader(copy, *length);
    bool failed = false;
    if (t->core.stop == CORE_WHY_RESULT || (!m->each && !m->stream))
        return false;
    for (uint32_t i = 0; i + 1 < *done; i++)
        if (wire_skip(&r) < 0)
            return false;
    size_t before = (size_t)(r.at - copy);
    if (pair_failed(&r, &failed) < 0 || !failed)
        return false;
    *length = before;
    (*done)--;
    return true;
}

static void chunk_done(struct map *m, struct task *t, struct outcome *o)
{
    size_t length = 0;
    uint32_t done = o->items_done;
    uint8_t *copy = done >= 1 && done <= t->chunk.count ? copy_results(o, o->data, o->size, &length) : NULL;
    bool obeyed = copy && last_item_obeyed(m, t, &done, copy, &length);
    if (!copy || take_results(m, t->chunk.first, done, copy, length) < 0) {
        o->broke = true;
        struct outcome lost = {.error = MPOOL_E_LOST, .text = "the worker's answer was damaged", .memfd = -1};
        for (uint32_t i = 0; i < t->chunk.count; i++)
            item_error(m, t->chunk.first + i, &lost);
        return;
    }
    if (obeyed) {
        char text[512];
        struct outcome stopped = {.memfd = -1, .attempt = o->attempt, .attempts = o->attempts};
        task_describe_stop(t, (enum core_why)t->core.stop, &stopped, text, sizeof text);
        item_error(m, t->chunk.first + done, &stopped);
        done++;
    }
    const struct lane_result *r = task_context.result;
    if (r) {
        struct function *f = m->function;
        uint64_t mean = r->run_ns / done;
        /* The same weight as the heart's averages: an eighth, so that a few odd items do not swing it. */
        f->item_mean_ns = f->item_mean_ns ? f->item_mean_ns - f->item_mean_ns / 8 + mean / 8 : mean;
        if (f->item_mean_ns == 0)
            f->item_mean_ns = 1;
        f->calls += done - 1;
    }
    requeue(m, t, done, t->chunk.count - done, 0);
}

/* Its worker died, or was killed for it: the finished items keep their results, the running one is judged. */
static void chunk_died(struct map *m, struct task *t, struct outcome *o)
{
    uint32_t done = task_context.partial_items < t->chunk.count ? task_context.partial_items : t->chunk.count;
    size_t length;
    if (done > 0) {
        uint8_t *copy = copy_results(o, task_context.partial, task_context.partial_size, &length);
        if (!copy || take_results(m, t->chunk.first, done, copy, length) < 0) {
            /* They ran, but what came of them is gone. */
            for (uint32_t i = 0; i < done; i++)
                item_error(m, t->chunk.first + i, o);
        }
    }
    if (done == t->chunk.count)
        return;
    uint32_t item = t->chunk.first + done, attempt = (done == 0 ? t->chunk.item_attempt : 0) + 1;
    requeue(m, t, done + 1, t->chunk.count - done - 1, 0);
    if (o->state == MPOOL_STATE_LOST && attempt < m->attempts) {
        m->supervisor->stats.tasks.retried++;
        requeue(m, t, done, 1, attempt);
    } else {
        item_error(m, item, o);
    }
}

void map_chunk_finished(struct supervisor *s, struct task *t, struct outcome *o)
{
    struct map *m = t->chunk.map;
    (void)s;
    TAILQ_REMOVE(&m->chunks, t, chunk.every);
    m->chunk_count--;
    map_touch(m);
    if (m->ended)
        return;
    switch (o->state) {
    case MPOOL_STATE_DONE: chunk_done(m, t, o); break;
    case MPOOL_STATE_LOST:
    case MPOOL_STATE_TIMEOUT:
        if (o->verdict) {
            chunk_died(m, t, o);
            break;
        }
        __attribute__((fallthrough));
    case MPOOL_STATE_FAILED:
        if (!m->each && !m->stream && o->items_done < t->chunk.count) {
            item_error(m, t->chunk.first + o->items_done, o);
            break;
        }
        for (uint32_t i = 0; i < t->chunk.count; i++)
            item_error(m, t->chunk.first + i, o);
        break;
    case MPOOL_STATE_CANCELLED:
    case MPOOL_STATE_SHUTDOWN:
    case MPOOL_STATE_QUEUED:
    case MPOOL_STATE_PLACED:
    case MPOOL_STATE_RUNNING:
    case MPOOL_STATE_BACKOFF:
    case MPOOL_STATE_COUNT: fail(m, o->error, o->text ? o->text : ""); break;
    }
}

void maps_run(struct supervisor *s)
{
    struct map *m, *last = TAILQ_LAST(&s->dirty_maps, map_list);
    bool was_last = !last;
    while (!was_last && (m = TAILQ_FIRST(&s->dirty_maps))) {
        was_last = m == last; /* those that are touched while this goes on wait for the next pass */
        TAILQ_REMOVE(&s->dirty_maps, m, dirty);
        m->in_dirty = false;
        if (s->stopping)
            fail(m, MPOOL_E_SHUTDOWN, "the daemon is stopping");
        struct map_rest *rest;
        while ((rest = SLIST_FIRST(&m->rests))) {
            SLIST_REMOVE_HEAD(&m->rests, link);
            if (!m->ended &&
                add_chunk(m, rest->first, rest->count, rest->offset, rest->length, rest->item_attempt, true) < 0)
                fail(m, MPOOL_E_INTERNAL, "out of memory for a chunk");
            free(rest);
        }
        if (!m->ended && m->scan)
            scan_on(m);
        if (!m->ended && !m->scan && m->answered == m->count)
            answer(m);
        if (!m->ended) {
            if (!m->scan)
                feed(m);
            continue;
        }
        struct task *t, *next;
        for (t = TAILQ_FIRST(&m->chunks); t; t = next) {
            next = TAILQ_NEXT(t, chunk.every);
            core_cancel(s->core, &t->core, CORE_WHY_CANCEL, s->now_ns);
        }
        if (m->chunk_count == 0)
            map_free(m);
        else if (m->in_dirty) { /* chunks that ended from inside have touched it: only running ones are left */
            TAILQ_REMOVE(&s->dirty_maps, m, dirty);
            m->in_dirty = false;
        }
    }
}
