/* A growable run of bytes with a read end and a write end, and the sink that msgpack-c packs into.
 *
 * Bytes are appended at the end and consumed from the front; when the end of the memory is reached, the content is
 * moved to its start or the memory is grown. Growth doubles and never exceeds `cap` bytes of content; an append that
 * would, or that finds no memory, sets `failed` and changes nothing, and so does every append after it until the hole
 * is rewound: a series of packs may be checked once at its end. One thread. Zero-initialised is empty (with cap 0:
 * unlimited).
 */
#pragma once

#include <msgpack.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_buf {
    uint8_t *data;
    size_t start, end, size; /* content is data[start … end); size is what is allocated */
    size_t cap;              /* maximum of content bytes; 0: unlimited */
    bool failed; /* an append was dropped (cap or memory), and all after it; until wire_buf_rewind or _reset */
};

static inline size_t wire_buf_length(const struct wire_buf *b)
{
    return b->end - b->start;
}

static inline const uint8_t *wire_buf_at(const struct wire_buf *b)
{
    return b->start ? b->data + b->start : b->data; /* empty: data may be NULL */
}

/* Frees the memory; the buffer is empty and usable again, its cap kept. Also for _cleanup_(). */
void wire_buf_reset(struct wire_buf *b);

/* Room for `more` bytes at the end. → where to write them (then wire_buf_commit), or NULL with failed set. */
uint8_t *wire_buf_grow(struct wire_buf *b, size_t more); /* its rarer half: use wire_buf_reserve() */
static inline uint8_t *wire_buf_reserve(struct wire_buf *b, size_t more)
{
    /* With a cap the slow path checks the sum. */
    if (b->data && !b->failed && b->cap == 0 && more <= b->size - b->end)
        return b->data + b->end;
    return wire_buf_grow(b, more);
}

static inline void wire_buf_commit(struct wire_buf *b, size_t written)
{
    b->end += written;
}

/* → 0, or -ENOBUFS with failed set. */
int wire_buf_append_long(struct wire_buf *b, const void *bytes, size_t length); /* use wire_buf_append() */
static inline int wire_buf_append(struct wire_buf *b, const void *bytes, size_t length)
{
    const uint8_t *from = (const uint8_t *)bytes;
    uint8_t *to;
    if (length < 4 || length > 16 || !(to = wire_buf_reserve(b, length)))
        return wire_buf_append_long(b, bytes, length);
    /* Two copies of fixed length that may overlap: a call for nine bytes costs more than they do. */
    if (length >= 8) {
        memcpy(to, from, 8);
        memcpy(to + length - 8, from + length - 8, 8);
    } else {
        memcpy(to, from, 4);
        memcpy(to + length - 4, from + length - 4, 4);
    }
    wire_buf_commit(b, length);
    return 0;
}

/* Drops `length` bytes, at most the content, from the front. Marks for wire_buf_rewind decrease by the same amount. */
void wire_buf_consume(struct wire_buf *b, size_t length);

/* The position of the next append, for wire_buf_rewind(). After a hole there is no such position: withdrawing the next
 * message must not make the truncated one look whole, so rewinding to that mark does nothing. */
#define WIRE_BUF_NO_MARK SIZE_MAX
static inline size_t wire_buf_mark(const struct wire_buf *b)
{
    return b->failed ? WIRE_BUF_NO_MARK : wire_buf_length(b);
}

/* Drops everything appended since `mark` and clears failed. */
void wire_buf_rewind(struct wire_buf *b, size_t mark);

/* Releases memory after a large content has been consumed: keeps at most `keep` bytes allocated if the content fits. */
void wire_buf_trim(struct wire_buf *b, size_t keep);

/* A msgpack-c packer that appends to the buffer. */
msgpack_packer wire_packer(struct wire_buf *b);

/* Packs a str; all of the wire's strs go through here: bytes that are not well-formed UTF-8 become '?', one by one, as
 * strict readers drop their connection over them. */
void wire_pack_str(msgpack_packer *pk, const char *text, size_t length);

/* Short forms for maps of names. text is terminated; NULL packs nil. */
void wire_pack_text(msgpack_packer *pk, const char *text);
void wire_pack_key_text(msgpack_packer *pk, const char *key, const char *text);
void wire_pack_key_u64(msgpack_packer *pk, const char *key, uint64_t value);
void wire_pack_key_i64(msgpack_packer *pk, const char *key, int64_t value);
void wire_pack_key_f64(msgpack_packer *pk, const char *key, double value);
void wire_pack_key_bool(msgpack_packer *pk, const char *key, bool value);
