/* The growable byte run of buf.h: when to move together, when to grow, when to refuse.
 *
 * It knows nothing of what the bytes mean. It treats out of memory and over the cap alike: `failed` is set and refuses
 * every further append, so that data with a hole in it is never taken for whole.
 */
#include "proto/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

/* The first allocation: fits most requests and replies. */
#define LEAST_SIZE 256u

void wire_buf_reset(struct wire_buf *b)
{
    free(b->data);
    *b = (struct wire_buf){.cap = b->cap};
}

static void move_together(struct wire_buf *b)
{
    if (b->start == 0)
        return;
    size_t length = wire_buf_length(b);
    if (length)
        memmove(b->data, b->data + b->start, length);
    b->start = 0;
    b->end = length;
}

static size_t most_content(const struct wire_buf *b)
{
    return b->cap == 0 || b->cap > PTRDIFF_MAX / 2 ? PTRDIFF_MAX / 2 : b->cap;
}

/* Makes the allocation at least `needed` bytes, and twice its size if allowed. The allocation may exceed the content by
 * half of the cap: without slack, a buffer kept nearly full would be moved for every small append. */
static bool grow(struct wire_buf *b, size_t needed)
{
    size_t max = most_content(b) + most_content(b) / 2, size = b->size ? b->size : LEAST_SIZE / 2;
    do
        size = size > max / 2 ? max : size * 2;
    while (size < needed && size < max);
    if (size < LEAST_SIZE)
        size = LEAST_SIZE;
    if (size < needed || size <= b->size)
        return false;
    uint8_t *data = realloc(b->data, size);
    if (!data)
        return false;
    b->data = data;
    b->size = size;
    return true;
}

uint8_t *wire_buf_grow(struct wire_buf *b, size_t more)
{
    size_t length = wire_buf_length(b), max = most_content(b);
    if (b->failed || length > max || more > max - length) {
        b->failed = true;
        return NULL;
    }
    if (b->data && more <= b->size - b->end)
        return b->data + b->end;

    size_t needed = length + more;
    move_together(b);
    /* A move that frees less than a quarter is followed by growth, so that moves stay rare. */
    if ((!b->data || needed > b->size - b->size / 4) && !grow(b, needed) && (!b->data || needed > b->size)) {
        b->failed = true;
        return NULL;
    }
    return b->data + b->end;
}

int wire_buf_append_long(struct wire_buf *b, const void *bytes, size_t length)
{
    uint8_t *at = wire_buf_reserve(b, length);
    if (!at)
        return -ENOBUFS;
    if (length)
        memcpy(at, bytes, length);
    b->end += length;
    return 0;
}

void wire_buf_consume(struct wire_buf *b, size_t length)
{
    assert(length <= wire_buf_length(b));
    b->start += length;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void wire_buf_rewind(struct wire_buf *b, size_t mark)
{
    if (mark == WIRE_BUF_NO_MARK)
        return;
    assert(mark <= wire_buf_length(b));
    b->end = b->start + mark;
    b->failed = false;
}

void wire_buf_trim(struct wire_buf *b, size_t keep)
{
    size_t length = wire_buf_length(b);
    if (b->size <= keep || length > keep)
        return;
    if (keep == 0) {
        free(b->data);
        b->data = NULL;
        b->start = b->end = b->size = 0;
        return;
    }
    move_together(b);
    uint8_t *data = realloc(b->data, keep);
    if (!data)
        return; /* the larger block stays valid */
    b->data = data;
    b->size = keep;
}

static int pack_into(void *to, const char *bytes, size_t length)
{
    return wire_buf_append(to, bytes, length);
}

msgpack_packer wire_packer(struct wire_buf *b)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, pack_into);
    return pk;
}

void wire_pack_str(msgpack_packer *pk, const char *text, size_t length)
{
    msgpack_pack_str(pk, length);
    for (size_t at = 0; at < length;) {
        size_t good = wire_utf8_prefix(text + at, length - at);
        msgpack_pack_str_body(pk, text + at, good);
        at += good;
        if (at < length) {
            msgpack_pack_str_body(pk, "?", 1);
            at++;
        }
    }
}

void wire_pack_text(msgpack_packer *pk, const char *text)
{
    if (!text) {
        msgpack_pack_nil(pk);
        return;
    }
    wire_pack_str(pk, text, strnlen(text, UINT32_MAX)); /* the largest length of a str */
}

void wire_pack_key_text(msgpack_packer *pk, const char *key, const char *text)
{
    wire_pack_text(pk, key);
    wire_pack_text(pk, text);
}

void wire_pack_key_u64(msgpack_packer *pk, const char *key, uint64_t value)
{
    wire_pack_text(pk, key);
    msgpack_pack_uint64(pk, value);
}

void wire_pack_key_i64(msgpack_packer *pk, const char *key, int64_t value)
{
    wire_pack_text(pk, key);
    msgpack_pack_int64(pk, value);
}

void wire_pack_key_f64(msgpack_packer *pk, const char *key, double value)
{
    wire_pack_text(pk, key);
    msgpack_pack_double(pk, value);
}

void wire_pack_key_bool(msgpack_packer *pk, const char *key, bool value)
{
    wire_pack_text(pk, key);
    if (value)
        msgpack_pack_true(pk);
    else
        msgpack_pack_false(pk);
}
