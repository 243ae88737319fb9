/* Reads MessagePack values from bytes, one after the other, without allocation.
 *
 * A reader is two pointers, copied freely. Every function checks the end itself, so an unscanned or lying buffer gives
 * an error, never a read outside. On error the reader does not move. Strings and blobs point into the buffer.
 * Returns: 0, -EBADMSG (not that type, or out of range), -ENODATA (the bytes end too early).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
    const uint8_t *at, *end;
};

enum wire_type {
    WIRE_TYPE_END, /* no byte left, or 0xc1 */
    WIRE_TYPE_NIL,
    WIRE_TYPE_BOOL,
    WIRE_TYPE_INT, /* any integer, signed or not */
    WIRE_TYPE_FLOAT,
    WIRE_TYPE_STR,
    WIRE_TYPE_BIN,
    WIRE_TYPE_ARRAY,
    WIRE_TYPE_MAP,
    WIRE_TYPE_EXT,
};

static inline struct wire_reader wire_reader(const void *data, size_t length)
{
    const uint8_t *at = (const uint8_t *)data;
    return (struct wire_reader){at, length ? at + length : at}; /* data may be NULL when length is 0 */
}

enum wire_type wire_peek(const struct wire_reader *r);

/* "nil", "bool", "integer", "float", "string", "binary", "array", "map", "ext", "nothing" */
const char *wire_type_name(enum wire_type type);

int wire_read_nil(struct wire_reader *r);
int wire_read_bool(struct wire_reader *r, bool *ret);
int wire_read_i64(struct wire_reader *r, int64_t *ret);  /* -EBADMSG above INT64_MAX */
int wire_read_u64(struct wire_reader *r, uint64_t *ret); /* -EBADMSG below 0 */
int wire_read_f64(struct wire_reader *r, double *ret);   /* floats and integers */
int wire_read_str(struct wire_reader *r, const char **ret, size_t *ret_length);
int wire_read_bin(struct wire_reader *r, const void **ret, size_t *ret_length);
/* str or bin: old clients confuse them, so names are read with this. */
int wire_read_text(struct wire_reader *r, const char **ret, size_t *ret_length);
/* A count is given only if the bytes that are left could hold so many values (one byte each at least, two for a pair);
 * else -ENODATA. So it is safe to reserve room for *ret_count elements. */
int wire_read_array(struct wire_reader *r, uint32_t *ret_count);
int wire_read_map(struct wire_reader *r, uint32_t *ret_pairs);

/* Passes over one whole value of any type and depth, in constant memory (iterative). */
int wire_skip(struct wire_reader *r);

/* Passes over one whole value and gives its bytes. */
int wire_read_raw(struct wire_reader *r, const uint8_t **ret, size_t *ret_length);
