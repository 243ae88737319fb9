/* Reads MessagePack values from bytes, one after the other, without allocation.
 *
 * A reader is two pointers, copied freely. Every function checks the end itself, so an unscanned or malicious buffer
 * causes an error, never a read outside. On error the reader does not move. Strings and blobs point into the buffer.
 * Returns: 0, -EBADMSG (not that type, or out of range), -ENODATA (the bytes end too early).
 *
 * Some languages cannot express certain types, so the reader accepts substitutes everywhere: a float that is whole and
 * below 2^53 is an integer, an empty array is an empty map, and wire_read_text() takes bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/shape.h"

struct wire_reader {
    const uint8_t *at, *end;
};

static inline struct wire_reader wire_reader(const void *data, size_t length)
{
    const uint8_t *at = (const uint8_t *)data;
    return (struct wire_reader){at, length ? at + length : at}; /* data may be NULL when length is 0 */
}

static inline enum wire_type wire_peek(const struct wire_reader *r)
{
    return r->at == r->end ? WIRE_TYPE_END : (enum wire_type)wire_type_of[*r->at];
}

/* "nil", "bool", "integer", "float", "string", "binary", "array", "map", "ext", "nothing" */
const char *wire_type_name(enum wire_type type);

/* Describes the next value for an error message: a number itself, else the type. Never fails. */
#define WIRE_DESCRIBED_MAX 48u
void wire_describe(const struct wire_reader *r, char out[WIRE_DESCRIBED_MAX]);

int wire_read_nil(struct wire_reader *r);
int wire_read_bool(struct wire_reader *r, bool *ret);
/* Integers, and floats that are whole and of a magnitude below 2^53: above it neighbouring integers share a float. */
int wire_read_i64(struct wire_reader *r, int64_t *ret);  /* -EBADMSG above INT64_MAX */
int wire_read_u64(struct wire_reader *r, uint64_t *ret); /* -EBADMSG below 0 */
int wire_read_f64(struct wire_reader *r, double *ret);   /* floats and integers */
int wire_read_str(struct wire_reader *r, const char **ret, size_t *ret_length);
int wire_read_bin(struct wire_reader *r, const void **ret, size_t *ret_length);
/* str or bin: old clients confuse them, so names are read with this. */
int wire_read_text(struct wire_reader *r, const char **ret, size_t *ret_length);
/* Returns a count only if the remaining bytes could hold so many values (at least one byte each, two for a pair); else
 * -ENODATA. So it is safe to reserve room for *ret_count elements. */
int wire_read_array(struct wire_reader *r, uint32_t *ret_count);
int wire_read_map(struct wire_reader *r, uint32_t *ret_pairs); /* accepts an empty array, too */

/* Skips one whole value of any type and depth, in constant memory (iterative). */
int wire_skip_any(struct wire_reader *r); /* its rarer half: use wire_skip() */
static inline int wire_skip(struct wire_reader *r)
{
    if (r->at < r->end && wire_shape[*r->at] < SHAPE_COUNTED && wire_shape[*r->at] <= r->end - r->at) {
        r->at += wire_shape[*r->at];
        return 0;
    }
    return wire_skip_any(r);
}

/* Skips at most `most` values. → how many: fewer where the bytes end, or are bad. */
uint32_t wire_skip_many(struct wire_reader *r, uint32_t max);

/* Skips at most `most` pairs [nil, scalar], which most items of a map return. → how many: it stops at the first pair
 * that is anything else, damaged ones included. */
uint32_t wire_skip_good_pairs(struct wire_reader *r, uint32_t max);

/* Skips one whole value and returns its bytes. */
int wire_read_raw(struct wire_reader *r, const uint8_t **ret, size_t *ret_length);
