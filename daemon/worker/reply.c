#include "daemon/worker/reply.h"

#include <errno.h>
#include <msgpack.h>
#include <string.h>

#include "proto/pack.h"
#include "proto/text.h"

/* What is written in one go: a head or a scalar. */
struct head {
    size_t length;
    uint8_t bytes[16];
};

static int head_write(void *data, const char *bytes, size_t length)
{
    struct head *head = data;
    if (length > sizeof head->bytes - head->length)
        return -1;
    memcpy(head->bytes + head->length, bytes, length);
    head->length += length;
    return 0;
}

static msgpack_packer head_packer(struct head *head)
{
    msgpack_packer pk;
    head->length = 0;
    msgpack_packer_init(&pk, head, head_write);
    return pk;
}

void reply_begin(struct reply *r, struct result *result, uint32_t max_depth)
{
    /* remain[] is written before it is read, level by level. */
    r->result = result;
    r->whole = false;
    r->depth = 0;
    r->max_depth = max_depth < WIRE_DEPTH_CAP ? max_depth : WIRE_DEPTH_CAP;
    r->outstanding = 0;
}

/* Appends a head and makes room for `body` bytes behind it, in a value that declares `elements` more. *ret: the body.
 */
static int append(struct reply *r, const struct head *head, uint64_t body, uint64_t elements, uint8_t **ret)
{
    if (r->whole)
        return -EEXIST;
    uint64_t left = r->result->limit - r->result->used;
    uint64_t others = r->outstanding - (r->depth > 0) + elements;
    if (body > left || head->length + others > left - body)
        return -EFBIG;
    int error = result_reserve(r->result, head->length + body);
    if (error < 0)
        return error;
    memcpy(result_end(r->result), head->bytes, head->length);
    *ret = result_end(r->result) + head->length;
    r->result->used += head->length + (size_t)body;
    r->outstanding = others;
    return 0;
}

/* A value is complete: closes the containers whose last element it was. */
static void complete(struct reply *r)
{
    while (r->depth > 0) {
        if (--r->remain[r->depth - 1] > 0)
            return;
        r->depth--;
    }
    r->whole = true;
}

/* Where a scalar may be written directly: it is the whole reply, as most are, and there is room. Else NULL. */
static inline uint8_t *at_once(const struct reply *r)
{
    const struct result *to = r->result;
    bool may =
        r->depth == 0 && !r->whole && to->room - to->used >= WIRE_SCALAR_MAX && to->limit - to->used >= WIRE_SCALAR_MAX;
    return may ? to->base + to->used : NULL;
}

static inline int done_at_once(struct reply *r, const uint8_t *end)
{
    r->result->used = (size_t)(end - r->result->base);
    r->whole = true;
    return 0;
}

static int scalar(struct reply *r, struct head *head, const uint8_t *end)
{
    uint8_t *body;
    head->length = (size_t)(end - head->bytes);
    int error = append(r, head, 0, 0, &body);
    if (error == 0)
        complete(r);
    return error;
}

/* Calls one of wire_put_…(), writing directly into place if possible. */
#define PUT_SCALAR(r, put, value)                                                                                      \
    struct head head;                                                                                                  \
    uint8_t *at = at_once(r);                                                                                          \
    return at ? done_at_once(r, put(at, value)) : scalar(r, &head, put(head.bytes, value))

static int container(struct reply *r, const struct head *head, uint64_t elements)
{
    if (!r->whole && r->depth >= r->max_depth)
        return -ELOOP;
    uint8_t *body;
    int error = append(r, head, 0, elements, &body);
    if (error < 0)
        return error;
    if (elements == 0)
        complete(r);
    else
        r->remain[r->depth++] = elements;
    return 0;
}

static inline uint8_t *put_byte(uint8_t *at, uint8_t value)
{
    *at = value;
    return at + 1;
}

int reply_nil(struct reply *r)
{
    PUT_SCALAR(r, put_byte, 0xc0);
}

int reply_bool(struct reply *r, bool value)
{
    PUT_SCALAR(r, put_byte, value ? 0xc3 : 0xc2);
}

int reply_i64(struct reply *r, int64_t value)
{
    PUT_SCALAR(r, wire_put_i64, value);
}

int reply_u64(struct reply *r, uint64_t value)
{
    PUT_SCALAR(r, wire_put_u64, value);
}

int reply_f64(struct reply *r, double value)
{
    PUT_SCALAR(r, wire_put_f64, value);
}

int reply_array(struct reply *r, uint32_t count)
{
    struct head head;
    msgpack_packer pk = head_packer(&head);
    msgpack_pack_array(&pk, count);
    return container(r, &head, count);
}

int reply_map(struct reply *r, uint32_t pairs)
{
    struct head head;
    msgpack_packer pk = head_packer(&head);
    msgpack_pack_map(&pk, pairs);
    return container(r, &head, 2 * (uint64_t)pairs);
}

int reply_str(struct reply *r, const char *text, size_t length)
{
    if (length > UINT32_MAX)
        return -EFBIG;
    if (!wire_is_utf8(text, length)) /* strict clients drop their connection if it is not */
        return -EILSEQ;
    struct head head;
    msgpack_packer pk = head_packer(&head);
    msgpack_pack_str(&pk, length);
    uint8_t *body;
    int error = append(r, &head, length, 0, &body);
    if (error < 0)
        return error;
    error = result_fill(r->result, body, text, length);
    complete(r);
    return error;
}

int reply_bin_reserve(struct reply *r, size_t length, void **ret)
{
    if (length > UINT32_MAX)
        return -EFBIG;
    struct head head;
    msgpack_packer pk = head_packer(&head);
    msgpack_pack_bin(&pk, length);
    uint8_t *body;
    int error = append(r, &head, length, 0, &body);
    if (error < 0)
        return error;
    complete(r);
    *ret = body;
    return 0;
}

int reply_bin(struct reply *r, const void *bytes, size_t length)
{
    void *body;
    int error = reply_bin_reserve(r, length, &body);
    return error < 0 ? error : result_fill(r->result, body, bytes, length);
}

int reply_raw(struct reply *r, const void *msgpack, size_t length)
{
    if (r->whole)
        return -EEXIST;
    const struct wire_limits limits = {.max_bytes = length, .max_depth = r->max_depth - r->depth};
    uint64_t value;
    enum wire_scan_result scanned = wire_scan_value(&limits, msgpack, length, &value);
    if (scanned == WIRE_SCAN_TOO_DEEP)
        return -ELOOP;
    if (scanned != WIRE_SCAN_WHOLE || value != length)
        return -EBADMSG;
    const struct head none = {.length = 0};
    uint8_t *body;
    int error = append(r, &none, length, 0, &body);
    if (error < 0)
        return error;
    error = result_fill(r->result, body, msgpack, length);
    complete(r);
    return error;
}
