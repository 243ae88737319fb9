#include "daemon/task/conn_tasks.h"
#include "daemon/task/map.h"
#include "daemon/task/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/task/map_chunks.h"
#include "daemon/task/map_results.h"
#include "proto/reader.h"
#include "proto/scan.h"
#include "proto/text.h"

#define ITEMS_COPIED_MAX (64u << 10) /* items larger than this keep the memory of their message */
#define UNMAP_BYTES      (16u << 20) /* of a mapping, unmapped in one pass */

void map_touch(struct map *m)
{
    struct tasks *tasks = m->tasks;
    if (!m->in_dirty) {
        m->in_dirty = true;
        TAILQ_INSERT_TAIL(&tasks->dirty_maps, m, dirty);
    }
    tasks->loop->again = true;
}

int map_start(struct conn *c, uint32_t msgid, bool no_reply, struct function *f, const struct task_options *options,
    const uint8_t *items, size_t length, uint32_t count, void *mapping, size_t mapping_length)
{
    struct tasks *tasks = c->tasks->all;
    struct map *m = calloc(1, sizeof *m);
    if (m && !(m->flow = conn_tasks_flow(c, f->pool->core, options->priority))) {
        free(m);
        m = NULL;
    }
    if (m && mapping) {
        m->items = items;
    } else if (m && length > ITEMS_COPIED_MAX) {
        m->memory = conn_take_message(c);
        m->items = m->memory ? items : NULL;
    } else if (m) {
        m->items = m->memory = malloc(length ? length : 1);
        if (m->memory)
            memcpy(m->memory, items, length);
    }
    if (m && mapping) {
        m->scan = malloc(sizeof *m->scan);
        if (m->scan)
            wire_scan_init(m->scan);
    }
    if (!m || !m->items || (mapping && !m->scan)) {
        if (m)
            core_flow_unref(m->flow);
        free(m);
        if (mapping)
            munmap(mapping, mapping_length);
        return -ENOMEM;
    }
    m->tasks = tasks;
    m->mapping = mapping;
    m->mapping_length = mapping_length;
    m->items_length = length;
    m->count = count;
    m->conn = c;
    m->msgid = msgid;
    m->no_reply = no_reply;
    m->function = f;
    m->id = tasks->next_attached_id++;
    m->each = options->each;
    m->stream = options->stream;
    m->star = options->star;
    m->options = *options;
    m->options.name = m->options.pool = (struct option_text){0};
    if (options->name.at)
        m->name = wire_label(options->name.at, options->name.length);
    m->attempts = options->attempts                    ? (uint32_t)options->attempts
                  : function_is(f, CONTROL_IDEMPOTENT) ? f->pool->config->attempts
                                                       : 1;
    m->caller = caller_ref(c->caller);
    m->submitted_ms = tasks->loop->wall_ms;
    TAILQ_INIT(&m->chunks);
    TAILQ_INIT(&m->rests);
    TAILQ_INIT(&m->large);
    m->item = MEMFD_FILL_NONE;
    map_list_init(&m->list, count);
    TAILQ_INSERT_HEAD(&tasks->maps, m, every);
    attached_add(&tasks->attached_maps, &m->by_id, m->id);
    LIST_INSERT_HEAD(&c->tasks->maps, m, of_conn);
    conn_hold(c, length);
    map_touch(m);
    return 0;
}

/* The map and its chunks have ended: frees some of what it holds. → there is more. */
static bool shed(struct map *m)
{
    size_t left = m->mapping_length - m->unmapped;
    if (map_results_shed(m))
        return true;
    if (left <= UNMAP_BYTES)
        return false;
    munmap((char *)m->mapping + m->unmapped, UNMAP_BYTES);
    m->unmapped += UNMAP_BYTES;
    return true;
}

static void map_free(struct map *m)
{
    struct tasks *tasks = m->tasks;
    TAILQ_REMOVE(&tasks->maps, m, every);
    attached_remove(&m->by_id);
    if (m->in_dirty)
        TAILQ_REMOVE(&tasks->dirty_maps, m, dirty);
    map_chunks_free(m);
    map_results_free(m);
    free(m->scan);
    if (m->mapping)
        munmap((char *)m->mapping + m->unmapped, m->mapping_length - m->unmapped);
    free(m->memory);
    core_flow_unref(m->flow);
    caller_unref(m->caller);
    free(m->name);
    free(m);
}

/* The map has been answered, or nobody waits for it: running chunks are cancelled in the next step, outside of the
 * core. */
void map_end(struct map *m)
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

void map_fail(struct map *m, enum mpool_error error, const char *text)
{
    if (m->ended)
        return;
    if (m->no_reply)
        conn_replied(m->conn);
    else
        conn_reply_error(m->conn, m->msgid, error, "%s", text);
    map_end(m);
}

void map_cancel(struct map *m, uint8_t signal)
{
    char text[160];
    snprintf(text, sizeof text, "the map of %.100s was cancelled", m->function->name);
    m->cancel_signal = signal;
    map_fail(m, MPOOL_E_CANCELLED, text);
}

struct map *map_find(const struct conn *c, uint32_t msgid)
{
    struct map *m;
    LIST_FOREACH (m, &c->tasks->maps, of_conn)
        if (m->msgid == msgid && !m->ended && !m->no_reply)
            return m;
    return NULL;
}

/* Scans another part of a mapping, so that a gigabyte of items holds up nobody. */
static void scan_on(struct map *m)
{
    struct wire_limits limits = {.max_bytes = m->mapping_length, .max_depth = m->tasks->config->max_depth};
    uint64_t left = m->mapping_length - m->scan->at;
    uint64_t upto = m->scan->at + (left < STEP_BYTES ? left : STEP_BYTES);
    enum wire_scan_result verdict = wire_scan_feed(m->scan, &limits, m->mapping, upto);
    if (verdict == WIRE_SCAN_MORE && upto < m->mapping_length) {
        loop_defer(m->tasks->loop);
        map_touch(m);
        return;
    }
    bool whole = verdict == WIRE_SCAN_WHOLE && m->scan->at == m->mapping_length;
    free(m->scan);
    m->scan = NULL;
    if (!whole)
        map_fail(m, MPOOL_E_BAD_PARAMS, "args_memfd: it does not hold one whole MessagePack value");
}

/* Its reader is behind: a streaming map makes no more results until it has read some. */
static bool is_held_up(struct map *m)
{
    if (!m->stream || !conn_is_full(m->conn))
        return false;
    m->conn->wants_room = true;
    return true;
}

void maps_go_on(struct conn *c)
{
    struct map *m;
    LIST_FOREACH (m, &c->tasks->maps, of_conn)
        map_touch(m);
}

/* ---- ends of chunks ---- */

static void requeue(struct map *m, const struct task *t, uint32_t from, uint32_t count, uint32_t item_attempt)
{
    if (m->ended || count == 0)
        return;
    size_t skip = map_skip_items(m, t->chunk.offset, from);
    /* Usually this is all that remains: do not walk a long rest each time that a bit of it is done. */
    bool to_the_end = from + count == t->chunk.count;
    size_t stop = to_the_end ? t->chunk.offset + t->chunk.length : map_skip_items(m, skip, count);
    struct map_rest *rest = malloc(sizeof *rest);
    if (!rest) {
        map_fail(m, MPOOL_E_INTERNAL, "out of memory for a chunk");
        return;
    }
    *rest = (struct map_rest){.first = t->chunk.first + from,
        .count = count,
        .offset = skip,
        .length = stop - skip,
        .item_attempt = item_attempt};
    TAILQ_INSERT_HEAD(&m->rests, rest, link);
    map_touch(m);
}

/* A chunk has run this many items: update the mean time of one. */
static void learn(struct map *m, const struct run_report *report, uint32_t done)
{
    const struct lane_result *r = report->result;
    if (r) {
        struct function *f = m->function;
        uint64_t mean = r->run_ns / done;
        /* The same weight as the core's averages: an eighth, so that a few odd items do not dominate it. */
        f->item_mean_ns = f->item_mean_ns ? f->item_mean_ns - f->item_mean_ns / 8 + mean / 8 : mean;
        if (f->item_mean_ns == 0)
            f->item_mean_ns = 1;
        f->calls += done - 1;
    }
}

static void chunk_done(struct map *m, struct task *t, const struct run_report *report, struct outcome *o)
{
    size_t length = 0;
    uint32_t done = o->items_done;
    if (o->memfd >= 0 && done >= 1 && done <= t->chunk.count && t->core.stop == CORE_WHY_RESULT &&
        map_take_large(m, t->chunk.first, done, &o->memfd, o->size, o->generation) == 0) {
        learn(m, report, done);
        requeue(m, t, done, t->chunk.count - done, 0);
        return;
    }
    uint8_t *copy = NULL;
    int r = done >= 1 && done <= t->chunk.count ? map_copy_results(o, o->data, o->size, &copy, &length) : -EBADMSG;
    bool obeyed = r == 0 && map_last_item_obeyed(m, t, &done, copy, &length);
    if (r == 0)
        r = map_take_results(m, t->chunk.first, done, copy, length);
    if (r < 0) {
        o->malformed = r == -EBADMSG;
        struct outcome lost = {.error = MPOOL_E_LOST, .text = "the worker's answer was damaged", .memfd = -1};
        if (!o->malformed) {
            lost.error = MPOOL_E_INTERNAL;
            lost.text = "out of memory for the results of a map";
        }
        for (uint32_t i = 0; i < t->chunk.count; i++)
            map_item_error(m, t->chunk.first + i, &lost);
        return;
    }
    if (obeyed) {
        char text[512];
        struct outcome stopped = {.memfd = -1, .attempt = o->attempt, .attempts = o->attempts};
        task_describe_stop(t, (enum core_why)t->core.stop, report->verdict, &stopped, text, sizeof text);
        map_item_error(m, t->chunk.first + done, &stopped);
        done++;
    }
    learn(m, report, done);
    requeue(m, t, done, t->chunk.count - done, 0);
}

/* Its worker died or was killed: the finished items keep their results, the running one is judged. */
static void chunk_died(struct map *m, struct task *t, const struct run_report *report, struct outcome *o)
{
    uint32_t done = report->partial_items < t->chunk.count ? report->partial_items : t->chunk.count;
    size_t length;
    if (report->chunk_is_over && m->attempts <= 1) {
        for (uint32_t i = 0; i < t->chunk.count; i++)
            map_item_error(m, t->chunk.first + i, o);
        return;
    }
    if (done > 0) {
        uint8_t *copy;
        if (map_copy_results(o, report->partial, report->partial_size, &copy, &length) < 0 ||
            map_take_results(m, t->chunk.first, done, copy, length) < 0) {
            /* They have run, but their results are lost. */
            for (uint32_t i = 0; i < done; i++)
                map_item_error(m, t->chunk.first + i, o);
        }
    }
    if (done == t->chunk.count)
        return;
    uint32_t item = t->chunk.first + done, attempt = (done == 0 ? t->chunk.item_attempt : 0) + 1;
    requeue(m, t, done + 1, t->chunk.count - done - 1, 0);
    if (o->state == MPOOL_STATE_LOST && attempt < m->attempts) {
        m->tasks->loop->stats.tasks.retried++;
        requeue(m, t, done, 1, attempt);
    } else {
        map_item_error(m, item, o);
    }
}

void map_chunk_finished(struct task *t, const struct run_report *report, struct outcome *o)
{
    struct map *m = t->chunk.map;
    TAILQ_REMOVE(&m->chunks, t, chunk.every);
    m->chunk_count--;
    map_touch(m);
    if (m->ended)
        return;
    switch (o->state) {
    case MPOOL_STATE_DONE: chunk_done(m, t, report, o); break;
    case MPOOL_STATE_LOST:
    case MPOOL_STATE_TIMEOUT:
        if (o->verdict) {
            chunk_died(m, t, report, o);
            break;
        }
        __attribute__((fallthrough));
    case MPOOL_STATE_EXPIRED:
    case MPOOL_STATE_FAILED:
        if (!m->each && !m->stream && o->items_done < t->chunk.count) {
            map_item_error(m, t->chunk.first + o->items_done, o);
            break;
        }
        for (uint32_t i = 0; i < t->chunk.count; i++)
            map_item_error(m, t->chunk.first + i, o);
        break;
    case MPOOL_STATE_CANCELLED:
    case MPOOL_STATE_SHUTDOWN:
    case MPOOL_STATE_QUEUED:
    case MPOOL_STATE_PLACED:
    case MPOOL_STATE_RUNNING:
    case MPOOL_STATE_BACKOFF:
    case MPOOL_STATE_DELAYED:
    case MPOOL_STATE_COUNT: map_fail(m, o->error, o->text ? o->text : ""); break;
    }
}

/* One step of processing results; sends the answer once all are there. */
static void gather(struct map *m)
{
    bool more = map_look_over_large(m);
    if (!m->ended && !m->stream) {
        int r = map_list_step(&m->list, STEP_BYTES);
        more |= r > 0;
        if (r < 0)
            map_fail(m, MPOOL_E_INTERNAL, "no memory for the results of a map");
    }
    if (m->ended)
        return;
    if (more) {
        loop_defer(m->tasks->loop);
        map_touch(m);
    } else if (!m->scan && m->answered == m->count) {
        map_answer(m);
    }
}

void maps_run(struct tasks *tasks)
{
    struct map *m, *last = TAILQ_LAST(&tasks->dirty_maps, map_list_head);
    bool was_last = !last;
    while (!was_last && (m = TAILQ_FIRST(&tasks->dirty_maps))) {
        was_last = m == last; /* maps that become dirty during this loop wait for the next pass */
        TAILQ_REMOVE(&tasks->dirty_maps, m, dirty);
        m->in_dirty = false;
        if (tasks->loop->stopping)
            map_fail(m, MPOOL_E_SHUTDOWN, "the daemon is stopping");
        bool held_up = !m->ended && is_held_up(m);
        if (!m->ended && m->scan)
            scan_on(m);
        if (!m->ended)
            gather(m);
        if (!m->ended && !m->scan && !held_up)
            map_hand_out(m);
        if (!m->ended)
            continue;
        struct task *t, *next;
        for (t = TAILQ_FIRST(&m->chunks); t; t = next) {
            next = TAILQ_NEXT(t, chunk.every);
            t->core.cancel_signal = m->cancel_signal;
            core_cancel(&t->core, CORE_WHY_CANCEL, tasks->loop->now_ns);
        }
        if (m->chunk_count == 0 && shed(m)) {
            loop_defer(tasks->loop);
            map_touch(m);
        } else if (m->chunk_count == 0) {
            map_free(m);
        } else if (m->in_dirty) { /* chunks that ended inside the core have marked it dirty: only running ones are left
                                   */
            TAILQ_REMOVE(&tasks->dirty_maps, m, dirty);
            m->in_dirty = false;
        }
        if (!was_last && !loop_has_time(tasks->loop)) {
            loop_defer(tasks->loop);
            return; /* maps that have not had their turn are first in the next pass */
        }
    }
}
