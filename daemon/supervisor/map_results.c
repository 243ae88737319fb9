#include "daemon/supervisor/map_results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/packet.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/map.h"
#include "proto/reader.h"

#define PAIR_DEPTH 1u /* levels around an item's result: [error, result] */

struct map_part {
    uint32_t first, count;
    uint8_t *bytes; /* elements without a header; owned */
    size_t length;
};

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

/* The whole list, straight from its parts. → a memfd or -1: then it has to go through the socket. */
static int list_as_memfd(const struct map *m, const struct wire_buf *head)
{
    struct iovec *parts = calloc(m->part_count + 1, sizeof *parts);
    if (!parts)
        return -1;
    parts[0] = (struct iovec){(void *)(uintptr_t)wire_buf_at(head), wire_buf_length(head)};
    for (size_t i = 0; i < m->part_count; i++)
        parts[i + 1] = (struct iovec){m->parts[i].bytes, m->parts[i].length};
    int fd = memfd_of_parts("mpool-map", parts, m->part_count + 1);
    free(parts);
    return fd < 0 ? -1 : fd;
}

void map_answer(struct map *m)
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
        o.size = wire_buf_length(&whole) + m->parts_bytes;
        if (c->memfd && o.size >= MEMFD_RESULT_MIN)
            o.memfd = list_as_memfd(m, &whole);
        for (size_t i = 0; o.memfd < 0 && i < m->part_count; i++) {
            wire_buf_append(&whole, m->parts[i].bytes, m->parts[i].length);
            free(m->parts[i].bytes);
            m->parts[i].bytes = NULL;
        }
    }
    if (o.memfd < 0) {
        o.data = wire_buf_at(&whole);
        o.size = wire_buf_length(&whole);
    }
    if (whole.failed) {
        o.error = MPOOL_E_INTERNAL;
        o.text = "out of memory for the results of a map";
    }
    task_respond(c, m->msgid, m->no_reply, &o);
    fd_close(&o.memfd);
    wire_buf_reset(&whole);
    map_end(m);
}

/* Is [error, result] in pairs a failure? Moves past the pair. */
static int pair_failed(struct wire_reader *r, bool *ret)
{
    uint32_t two;
    if (wire_read_array(r, &two) < 0 || two != 2)
        return -EBADMSG;
    *ret = wire_peek(r) != WIRE_TYPE_NIL;
    for (int i = 0; i < 2; i++)
        if (wire_skip(r) < 0)
            return -EBADMSG;
    return 0;
}

/* Are they `count` pairs and nothing else? *ret_failed: how many of them are failures. */
static bool check_pairs(struct wire_reader r, uint32_t count, uint32_t max_depth, uint32_t *ret_failed)
{
    uint32_t done = 0;
    for (;;) {
        done += wire_skip_good_pairs(&r, count - done);
        if (done == count)
            return r.at == r.end;
        const uint8_t *at = r.at;
        bool bad = false;
        if (pair_failed(&r, &bad) < 0 || !wire_scan_row(max_depth, at, (uint64_t)(r.at - at), 1))
            return false;
        *ret_failed += bad;
        done++;
    }
}

/* `count` results from item `first` on; bytes: their elements, taken. Checked here: they come from a worker. */
int map_take_results(struct map *m, uint32_t first, uint32_t count, uint8_t *bytes, size_t length)
{
    const struct config *config = m->supervisor->config;
    uint32_t failed = 0;
    if (m->ended) {
        free(bytes);
        return 0;
    }
    uint32_t depth = config->max_depth + PAIR_DEPTH;
    if (m->each || m->stream ? !check_pairs(wire_reader(bytes, length), count, depth, &failed)
                             : !wire_scan_row(depth, bytes, length, count)) {
        free(bytes);
        return -EBADMSG;
    }
    m->answered += count;
    m->failed += failed;
    m->supervisor->stats.tasks.items += count;
    if (!m->stream) {
        if (m->parts_bytes + length > task_max_result(m->supervisor, m->conn)) {
            free(bytes);
            map_fail(m, MPOOL_E_RESULT_TOO_BIG, "the results of the map together are too large; use stream: true");
        } else if (add_part(m, first, count, bytes, length) < 0) {
            free(bytes);
            map_fail(m, MPOOL_E_INTERNAL, "out of memory for the results of a map");
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
}

/* One item ends with an error of ours. */
void map_item_error(struct map *m, uint32_t item, struct outcome *o)
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

/* The results of the first `items` of a chunk, without their array's header. → owned copy, or NULL. */
uint8_t *map_copy_results(const struct outcome *o, const uint8_t *data, uint64_t size, size_t *ret_length)
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

/* A function that was told to stop and gave up: its item, the last one, ends with the reason of the stop. → whether so.
 */
bool map_last_item_obeyed(
    const struct map *m, const struct task *t, uint32_t *done, const uint8_t *copy, size_t *length)
{
    struct wire_reader r = wire_reader(copy, *length);
    bool failed = false;
    if (t->core.stop == CORE_WHY_RESULT || (!m->each && !m->stream))
        return false;
    if (wire_skip_many(&r, *done - 1) < *done - 1)
        return false;
    size_t before = (size_t)(r.at - copy);
    if (pair_failed(&r, &failed) < 0 || !failed)
        return false;
    *length = before;
    (*done)--;
    return true;
}

void map_results_free(struct map *m)
{
    for (size_t i = 0; i < m->part_count; i++)
        free(m->parts[i].bytes);
    free(m->parts);
}
