#include "daemon/task/conn_tasks.h"
#include "daemon/task/map_results.h"
#include "daemon/task/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/packet.h"
#include "daemon/conn/conn.h"
#include "daemon/task/map.h"
#include "daemon/task/map_check.h"
#include "proto/io.h"
#include "proto/reader.h"
#include "proto/text.h"

/* How the results of a chunk begin: array32, as many as items were run. */
#define HEAD_BYTES 5u

#define SHED_PARTS 4096u /* early results freed in one pass */

struct map_large { /* the results of a chunk, in a sealed memfd, while they are being validated */
    TAILQ_ENTRY(map_large) link;
    struct map_part part;
    struct map_check check;
    int fd;              /* for a streaming map; else -1: the mapping is enough */
    uint64_t generation; /* of the worker that sent it */
};

static void answer_list(struct map *m)
{
    struct conn *c = m->conn;
    uint64_t size = 0;
    int fd = map_list_take_file(&m->list, &size);
    if (m->no_reply) {
        fd_close(&fd);
    } else if (fd >= 0 && c->memfd) {
        struct outcome o = {.state = MPOOL_STATE_DONE, .size = size, .memfd = fd};
        task_respond(c, m->msgid, false, &o);
        return;
    } else if (fd >= 0) { /* it was validated when its parts came */
        wire_put_result(&c->out, m->msgid);
        if (!conn_stream(c, TAKE_FD(fd), size, false))
            c->out.failed = true;
    } else if (fd == -ENOENT && !m->list.tail.failed) {
        wire_put_result(&c->out, m->msgid);
        wire_buf_append(&c->out, wire_buf_at(&m->list.tail), wire_buf_length(&m->list.tail));
    } else {
        conn_reply_error(c, m->msgid, MPOOL_E_INTERNAL, "out of memory for the results of a map");
        return;
    }
    conn_replied(c);
}

void map_answer(struct map *m)
{
    struct conn *c = m->conn;
    if (!m->stream) {
        answer_list(m);
    } else {
        if (!m->no_reply) {
            wire_put_result(&c->out, m->msgid);
            msgpack_packer pk = wire_packer(&c->out);
            msgpack_pack_array(&pk, 2);
            msgpack_pack_uint32(&pk, m->count - m->failed);
            msgpack_pack_uint32(&pk, m->failed);
        }
        conn_replied(c);
    }
    map_end(m);
}

/* ---- validated results ---- */

static void stream_out(struct map *m, struct map_part *part, int *fd)
{
    struct wire_buf *out = &m->conn->out;
    if (m->no_reply || conn_is_closed(m->conn))
        return;
    wire_put_notification(out, "items");
    msgpack_packer pk = wire_packer(out);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint32(&pk, m->msgid);
    msgpack_pack_uint32(&pk, part->first);
    msgpack_pack_array(&pk, part->count);
    if (*fd < 0)
        wire_buf_append(out, part->bytes, part->length);
    else if (!conn_stream_from(m->conn, TAKE_FD(*fd), HEAD_BYTES, part->length, false))
        out->failed = true;
    conn_touch(m->conn);
}

/* part: taken. fd: of its memfd, or -1. */
static void deliver(struct map *m, struct map_part part, uint32_t failed, int *fd)
{
    m->answered += part.count;
    m->failed += failed;
    m->tasks->loop->stats.tasks.items += part.count;
    if (m->stream) {
        stream_out(m, &part, fd);
        map_part_free(&part);
    } else if (m->list.bytes + part.length > task_max_result(m->tasks, m->conn)) {
        map_part_free(&part);
        map_fail(m, MPOOL_E_RESULT_TOO_BIG, "the results of the map together are too large; use stream: true");
    } else if (map_list_add(&m->list, part) < 0) {
        map_fail(m, MPOOL_E_INTERNAL, "out of memory for the results of a map");
    }
}

static bool has_pairs(const struct map *m)
{
    return m->each || m->stream;
}

int map_take_results(struct map *m, uint32_t first, uint32_t count, uint8_t *bytes, size_t length)
{
    struct map_part part = {.first = first, .count = count, .bytes = bytes, .length = length, .memory = bytes};
    struct map_check check;
    int none = -1;
    if (m->ended || count == 0) { /* 0: the only item that was done was stopped */
        map_part_free(&part);
        return 0;
    }
    map_check_init(&check, count, has_pairs(m), m->tasks->config->max_depth);
    if (map_check_step(&check, bytes, length, SIZE_MAX) != 1) {
        map_part_free(&part);
        return -EBADMSG;
    }
    deliver(m, part, check.failed, &none);
    return 0;
}

/* ---- large results ---- */

int map_take_large(struct map *m, uint32_t first, uint32_t count, int *fd, uint64_t size, uint64_t generation)
{
    if (size < HEAD_BYTES)
        return -EBADMSG;
    struct map_large *l = calloc(1, sizeof *l);
    uint8_t *mapping = l ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, *fd, 0) : MAP_FAILED;
    if (mapping == MAP_FAILED) {
        free(l);
        return -ENOMEM;
    }
    l->part = (struct map_part){.first = first,
        .count = count,
        .bytes = mapping + HEAD_BYTES,
        .length = (size_t)size - HEAD_BYTES,
        .memory = mapping,
        .mapping = (size_t)size};
    l->fd = m->stream ? TAKE_FD(*fd) : -1;
    l->generation = generation;
    map_check_init(&l->check, count, has_pairs(m), m->tasks->config->max_depth);
    TAILQ_INSERT_TAIL(&m->large, l, link);
    map_touch(m);
    return 0;
}

static void large_free(struct map *m, struct map_large *l)
{
    TAILQ_REMOVE(&m->large, l, link);
    map_part_free(&l->part);
    fd_close(&l->fd);
    free(l);
}

bool map_look_over_large(struct map *m)
{
    struct map_large *l = TAILQ_FIRST(&m->large);
    if (!l)
        return false;
    int r = map_check_step(&l->check, l->part.bytes, l->part.length, STEP_BYTES);
    if (r == 0)
        return true;
    if (r > 0) {
        struct map_part part = l->part;
        l->part = (struct map_part){0};
        deliver(m, part, l->check.failed, &l->fd);
    } else {
        struct outcome lost = {.error = MPOOL_E_LOST, .text = TASK_WORKER_BROKE, .memfd = -1};
        worker_break_by_generation(
            m->tasks->workers, l->generation, "results of a map that are not what was asked for");
        for (uint32_t i = 0; i < l->part.count; i++)
            map_item_error(m, l->part.first + i, &lost);
    }
    large_free(m, l);
    return !TAILQ_EMPTY(&m->large);
}

/* One item ends with an error of ours. */
void map_item_error(struct map *m, uint32_t item, struct outcome *o)
{
    char text[5100];
    int class = 0;
    if (m->ended)
        return;
    size_t length = task_error_text(o, text, sizeof text, &class);
    if (!m->each && !m->stream) { /* the first failed item fails the map */
        char whole[WIRE_ERROR_TEXT_MAX + 1], which[24];
        size_t which_length = wire_format(which, sizeof which, " (item %u)", item);
        size_t n = wire_format(
            whole, sizeof whole, "%.*s%s", WIRE_SHOWN(text, length, WIRE_ERROR_TEXT_MAX - which_length), which);
        if (!m->no_reply)
            conn_put_error(m->conn, m->msgid, class, whole, n);
        conn_replied(m->conn);
        map_end(m);
        return;
    }
    struct wire_buf pair = {0};
    msgpack_packer pk = wire_packer(&pair);
    msgpack_pack_array(&pk, 2);
    wire_put_error_value(&pair, class, text, length);
    msgpack_pack_nil(&pk);
    if (pair.failed || map_take_results(m, item, 1, pair.data, pair.end) < 0)
        map_fail(m, MPOOL_E_INTERNAL, "out of memory for the results of a map");
}

int map_copy_results(const struct outcome *o, const uint8_t *data, uint64_t size, uint8_t **ret, size_t *ret_length)
{
    if (size < HEAD_BYTES)
        return -EBADMSG;
    size_t length = (size_t)size - HEAD_BYTES;
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy)
        return -ENOMEM;
    if (o->memfd >= 0) {
        int r = io_pread_all(o->memfd, copy, length, HEAD_BYTES);
        if (r < 0) {
            free(copy);
            return r;
        }
    } else {
        memcpy(copy, data + HEAD_BYTES, length);
    }
    *ret = copy;
    *ret_length = length;
    return 0;
}

/* A function that was told to stop has given up: its item, the last one, ends with the reason of the stop. → whether
 * that is so. */
bool map_last_item_obeyed(
    const struct map *m, const struct task *t, uint32_t *done, const uint8_t *copy, size_t *length)
{
    struct wire_reader r = wire_reader(copy, *length);
    bool failed = false;
    if (t->core.stop == CORE_WHY_RESULT || !has_pairs(m))
        return false;
    if (wire_skip_many(&r, *done - 1) < *done - 1)
        return false;
    size_t before = (size_t)(r.at - copy);
    if (map_check_pair(r.at, (size_t)(r.end - r.at), &failed) < 0 || !failed)
        return false;
    *length = before;
    (*done)--;
    return true;
}

bool map_results_shed(struct map *m)
{
    struct map_large *l;
    if ((l = TAILQ_FIRST(&m->large)))
        large_free(m, l);
    return map_list_shed(&m->list, SHED_PARTS) || !TAILQ_EMPTY(&m->large);
}

void map_results_free(struct map *m)
{
    while (map_results_shed(m))
        ;
    map_list_deinit(&m->list);
}
