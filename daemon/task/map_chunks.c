#include "daemon/task/conn_tasks.h"
#include "daemon/task/map_chunks.h"
#include "daemon/task/tasks.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/conn.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/task/map.h"
#include "proto/reader.h"
#include "proto/scan.h"

#define CHUNK_AIM_NS     (2 * NS_PER_MS) /* target run time of a chunk, by its function's mean */
#define CHUNK_BUDGET_US  5000u           /* after this time a worker hands the rest of a chunk back */
#define CHUNK_ITEMS_MAX  4096u
#define CHUNK_BYTES_MAX  (256u << 10)
#define CHUNKS_AHEAD_MAX 256u

static uint64_t public_id(const struct task *t)
{
    return t->chunk.map->id;
}

static struct conn *reader(const struct task *t)
{
    return t->chunk.map->conn;
}

static void output(struct task *t, int stream, const void *bytes, size_t length)
{
    const struct map *m = t->chunk.map;
    if (m->conn && !m->no_reply)
        task_put_output(m->conn, m->msgid, stream, bytes, length);
}

static void fill_job(const struct task *t, struct run_request *ret)
{
    const struct map *m = t->chunk.map;
    struct lane_job *job = ret->job;
    job->flags |= LANE_JOB_CHUNK | (m->each || m->stream ? LANE_JOB_PAIRS : 0) | (m->star ? LANE_JOB_STAR : 0);
    job->items = t->chunk.count;
    job->budget_us = m->options.chunk && t->core.timeout_ms == 0 ? 0 : CHUNK_BUDGET_US;
    job->attempt = t->chunk.item_attempt + 1;
    job->max_result = task_max_result(m->tasks, m->conn);
    ret->header[0] = 0xdd; /* array32 */
    for (int i = 0; i < 4; i++)
        ret->header[1 + i] = (uint8_t)(t->chunk.count >> (24 - 8 * i));
    ret->pieces[0] = (struct iovec){ret->header, sizeof ret->header};
    ret->pieces[1] = (struct iovec){(void *)(uintptr_t)(m->items + t->chunk.offset), t->chunk.length};
    ret->count = 2;
}

/* A chunk ends as a run of one of its items. */
static void count_attempts(const struct task *t, const struct run_report *report, struct outcome *o)
{
    if (o->attempt == 0)
        return;
    o->attempt = (report->partial_items == 0 ? t->chunk.item_attempt : 0) + 1;
    o->attempts = t->chunk.map->attempts;
}

static const struct task_ops chunk_ops = {
    .public_id = public_id,
    .reader = reader,
    .output = output,
    .fill_job = fill_job,
    .count_attempts = count_attempts,
    .finish = map_chunk_finished,
};

static const uint8_t one_item[] = {0xdd, 0, 0, 0, 1}; /* as the head of every chunk: array32 */

/* fd: of a large item, as an array of one (taken); or -1. */
static int add_chunk(struct map *m, const struct map_rest *what, int fd, bool front)
{
    int error;
    struct tasks *tasks = m->tasks;
    struct task *t = task_new(tasks, m->caller, m->function, &chunk_ops, &m->options, NULL, 0, -1, &error);
    if (!t) {
        fd_close(&fd);
        return error;
    }
    t->core.flow = core_flow_ref(m->flow);
    t->core.chunk = true;
    t->args_fd = fd;
    t->args_length = fd >= 0 ? what->length + sizeof one_item : 0;
    t->id = tasks->next_attached_id++;
    t->chunk.map = m;
    t->chunk.first = what->first;
    t->chunk.count = what->count;
    t->chunk.offset = what->offset;
    t->chunk.length = what->length;
    t->chunk.item_attempt = what->item_attempt;
    t->core.attempts = 1; /* a chunk is never retried as a whole: its items are judged one by one */
    t->chunk.timeout_ms = t->core.timeout_ms;
    if (t->core.timeout_ms > 0)
        t->core.timeout_ms += CHUNK_BUDGET_US / 1000; /* the last item starts within the budget */
    TAILQ_INSERT_TAIL(&m->chunks, t, chunk.every);
    m->chunk_count++;
    task_submit(tasks, t, m->conn, front);
    return 0;
}

size_t map_skip_items(const struct map *m, size_t offset, uint32_t count)
{
    struct wire_reader r = wire_reader(m->items + offset, m->items_length - offset);
    (void)wire_skip_many(&r, count); /* all of it has been scanned */
    return (size_t)(r.at - m->items);
}

static uint32_t chunk_size(const struct map *m, uint32_t workers)
{
    uint32_t left = m->count - m->next;
    if (m->options.chunk)
        return m->options.chunk < left ? (uint32_t)m->options.chunk : left;
    uint64_t mean = m->function->item_mean_ns;
    uint64_t n = mean ? CHUNK_AIM_NS / mean : 1;
    uint64_t fair = left / (2 * (uint64_t)workers) + 1; /* towards the end all workers should be busy */
    if (n > fair)
        n = fair;
    if (n > CHUNK_ITEMS_MAX)
        n = CHUNK_ITEMS_MAX;
    return n > 0 ? (uint32_t)n : 1;
}

/* Keeps a few chunks in the core's queue, so that other callers' tasks get their turn between them; only one if the
 * queue is full, so that many maps do not make it grow without bound. */
static void feed(struct map *m)
{
    uint32_t workers = m->function->pool->config->max;
    uint32_t ahead = workers * 2 < CHUNKS_AHEAD_MAX ? workers * 2 : CHUNKS_AHEAD_MAX;
    struct core_pool_counts counts;
    core_pool_counts(m->function->pool->core, &counts);
    if (counts.queued >= m->function->pool->config->max_queue)
        ahead = 1;
    while (!m->ended && !m->coming && m->next < m->count && m->chunk_count < ahead) {
        const uint8_t *begin = m->items + m->next_offset;
        size_t left = m->items_length - m->next_offset;
        struct wire_reader r = wire_reader(begin, left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX);
        uint32_t n = wire_skip_many(&r, chunk_size(m, workers));
        if (n == 0) { /* a large item travels alone */
            m->coming = malloc(sizeof *m->coming);
            if (!m->coming)
                map_fail(m, MPOOL_E_INTERNAL, "out of memory for a chunk");
            else
                *m->coming = (struct map_rest){.first = m->next, .count = 1, .offset = m->next_offset};
            return;
        }
        struct map_rest what = {
            .first = m->next, .count = n, .offset = m->next_offset, .length = (size_t)(r.at - begin)};
        int error = add_chunk(m, &what, -1, false);
        if (error < 0) {
            if (m->chunk_count == 0)
                map_fail(m, MPOOL_E_INTERNAL, strerror(-error));
            return;
        }
        m->next += n;
        m->next_offset += what.length;
    }
}

/* ---- large items: found and copied into a memfd, one step per pass ---- */

static bool is_large(const struct map_rest *rest)
{
    return rest->length + sizeof one_item > LANE_BLOCK_MAX;
}

/* → true: not found yet. */
static bool look_for_its_end(struct map *m)
{
    const uint8_t *begin = m->items + m->coming->offset;
    size_t max = m->items_length - m->coming->offset;
    /* The message has already been scanned: only the end of the item is needed. */
    struct wire_limits limits = {.max_bytes = max, .max_depth = WIRE_DEPTH_ROOM};
    if (!m->item_scan) {
        m->item_scan = malloc(sizeof *m->item_scan);
        if (!m->item_scan) {
            map_fail(m, MPOOL_E_INTERNAL, "out of memory for a chunk");
            return true;
        }
        wire_scan_init(m->item_scan);
    }
    size_t left = max - (size_t)m->item_scan->at;
    if (wire_scan_feed(m->item_scan, &limits, begin, m->item_scan->at + (left < STEP_BYTES ? left : STEP_BYTES)) !=
        WIRE_SCAN_WHOLE)
        return true;
    m->coming->length = (size_t)m->item_scan->at;
    free(m->item_scan);
    m->item_scan = NULL;
    m->next++;
    m->next_offset += m->coming->length;
    return is_large(m->coming); /* the copy is another step */
}

/* → 1: complete; 0: there is more to copy; -errno. */
static int copy_item(struct map *m)
{
    size_t done = 0, left;
    int error = 0;
    if (!memfd_fill_is_on(&m->item)) {
        error = memfd_fill_begin(&m->item, "mpool-item");
        if (error == 0)
            error = memfd_fill_add(&m->item, one_item, sizeof one_item);
    }
    if (error < 0)
        return error;
    done = (size_t)m->item.size - sizeof one_item;
    left = m->coming->length - done;
    error = memfd_fill_add(&m->item, m->items + m->coming->offset + done, left < STEP_BYTES ? left : STEP_BYTES);
    return error < 0 ? error : left <= STEP_BYTES;
}

/* One step. */
static void bring(struct map *m)
{
    int fd = -1, r = 1;
    if (m->coming->length == 0 ? look_for_its_end(m) : (r = copy_item(m)) == 0) {
        if (!m->ended) {
            loop_defer(m->tasks->loop);
            map_touch(m);
        }
        return;
    }
    if (r > 0 && memfd_fill_is_on(&m->item))
        r = fd = memfd_fill_end(&m->item);
    if (r >= 0)
        r = add_chunk(m, m->coming, fd, m->coming->item_attempt > 0);
    free(m->coming);
    m->coming = NULL;
    if (r < 0)
        map_fail(m, MPOOL_E_INTERNAL, strerror(-r));
    map_touch(m);
}

/* The rests of chunks go before items that have not been in any chunk. One large item at a time is prepared. */
static void feed_rests(struct map *m)
{
    struct map_rest *rest, *next;
    for (rest = TAILQ_FIRST(&m->rests); rest && !m->ended; rest = next) {
        next = TAILQ_NEXT(rest, link);
        if (is_large(rest) && m->coming)
            continue;
        TAILQ_REMOVE(&m->rests, rest, link);
        if (is_large(rest)) {
            m->coming = rest;
            continue;
        }
        if (add_chunk(m, rest, -1, true) < 0)
            map_fail(m, MPOOL_E_INTERNAL, "out of memory for a chunk");
        free(rest);
    }
}

void map_hand_out(struct map *m)
{
    feed_rests(m);
    if (!m->ended)
        feed(m);
    if (!m->ended && m->coming)
        bring(m);
}

void map_chunks_free(struct map *m)
{
    struct map_rest *rest;
    while ((rest = TAILQ_FIRST(&m->rests))) {
        TAILQ_REMOVE(&m->rests, rest, link);
        free(rest);
    }
    free(m->coming);
    free(m->item_scan);
    memfd_fill_drop(&m->item);
}
