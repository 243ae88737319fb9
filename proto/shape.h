/* How long is the value that begins with this byte, and of what type? The one place that knows MessagePack's head
 * bytes.
 *
 * For the scan and the reader only, which both walk over bytes by this table. Values whose length is known from the
 * head byte alone (numbers, short strings, fixext) are one step; the others have a big-endian count behind the head
 * byte.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Below SHAPE_COUNTED: the length in bytes of the whole value. Otherwise what kind of head it is. */
enum shape {
    SHAPE_COUNTED = 0x40,
    SHAPE_BLOB8 = SHAPE_COUNTED, /* str or bin, its length in 1, 2 or 4 bytes */
    SHAPE_BLOB16,
    SHAPE_BLOB32,
    SHAPE_EXT8, /* the same, with a type byte that the length does not count */
    SHAPE_EXT16,
    SHAPE_EXT32,
    SHAPE_FIXARRAY, /* the count is in the head byte */
    SHAPE_ARRAY16,
    SHAPE_ARRAY32,
    SHAPE_FIXMAP,
    SHAPE_MAP16,
    SHAPE_MAP32,
    SHAPE_BAD, /* 0xc1 */
};

extern const uint8_t wire_shape[256];

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

/* The type of a value by its head byte. */
extern const uint8_t wire_type_of[256];

static inline uint32_t wire_be16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t wire_be32(const uint8_t *at)
{
    uint32_t raw;
    memcpy(&raw, at, sizeof(raw));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    raw = __builtin_bswap32(raw);
#endif
    return raw;
}

static inline uint64_t wire_be64(const uint8_t *at)
{
    return (uint64_t)wire_be32(at) << 32 | wire_be32(at + 4);
}

/* Bytes of head byte and count together. */
static inline unsigned wire_head_length(uint8_t shape)
{
    static const uint8_t lengths[] = {2, 3, 5, 2, 3, 5, 1, 3, 5, 1, 3, 5, 1};
    _Static_assert(sizeof(lengths) == SHAPE_BAD - SHAPE_COUNTED + 1, "one for each shape that is counted");
    return shape < SHAPE_COUNTED ? 1 : lengths[shape - SHAPE_COUNTED];
}

/* What a head announces: bytes to skip, or values to come. Never both. */
struct wire_announced {
    uint64_t payload, elements;
};

/* shape: SHAPE_COUNTED or above; head: the head byte and its count, all there. */
static inline struct wire_announced wire_announced(uint8_t shape, const uint8_t *head)
{
    switch (shape) {
    case SHAPE_BLOB8: return (struct wire_announced){.payload = head[1]};
    case SHAPE_BLOB16: return (struct wire_announced){.payload = wire_be16(head + 1)};
    case SHAPE_BLOB32: return (struct wire_announced){.payload = wire_be32(head + 1)};
    case SHAPE_EXT8: return (struct wire_announced){.payload = (uint64_t)head[1] + 1};
    case SHAPE_EXT16: return (struct wire_announced){.payload = (uint64_t)wire_be16(head + 1) + 1};
    case SHAPE_EXT32: return (struct wire_announced){.payload = (uint64_t)wire_be32(head + 1) + 1};
    case SHAPE_FIXARRAY: return (struct wire_announced){.elements = head[0] & 0x0f};
    case SHAPE_ARRAY16: return (struct wire_announced){.elements = wire_be16(head + 1)};
    case SHAPE_ARRAY32: return (struct wire_announced){.elements = wire_be32(head + 1)};
    case SHAPE_FIXMAP: return (struct wire_announced){.elements = 2 * (uint64_t)(head[0] & 0x0f)};
    case SHAPE_MAP16: return (struct wire_announced){.elements = 2 * (uint64_t)wire_be16(head + 1)};
    case SHAPE_MAP32: return (struct wire_announced){.elements = 2 * (uint64_t)wire_be32(head + 1)};
    default: return (struct wire_announced){0};
    }
}

/* Lists are mostly of one kind, so values are examined in runs: wire_run() returns how many of them, from `at` on, have
 * the same length as the first. Within a run the next address does not depend on a load: the length is known, and the
 * branch that checks it is predicted. That is three times as fast as value by value. */
#define WIRE_RUN       16u                        /* maximum of values */
#define WIRE_RUN_BYTES (WIRE_RUN * SHAPE_COUNTED) /* must be available, whatever they are */

/* shape: of the first, below SHAPE_COUNTED. → 1 to WIRE_RUN */
static inline unsigned wire_run(const uint8_t *at, uint8_t shape)
{
    unsigned n = 1;
    for (at += shape; n < WIRE_RUN && wire_shape[*at] == shape; at += shape)
        n++;
    return n;
}

/* The pair [nil, scalar], which most items of a map return. */
#define WIRE_PAIR_BYTES (2 + SHAPE_COUNTED) /* must be available for one, whatever they are */

static inline bool wire_is_good_pair(const uint8_t *at)
{
    return at[0] == 0x92 && at[1] == 0xc0 && wire_shape[at[2]] < SHAPE_COUNTED;
}

/* The same as wire_run() for good pairs from *at on, which moves behind them. → 0 to WIRE_RUN */
static inline unsigned wire_run_of_pairs(const uint8_t *data, uint64_t *at)
{
    const uint8_t *p = data + *at;
    unsigned n = 0;
    while (n < WIRE_RUN && wire_is_good_pair(p)) {
        uint8_t shape = wire_shape[p[2]];
        do {
            p += 2 + shape;
            n++;
        } while (n < WIRE_RUN && p[0] == 0x92 && p[1] == 0xc0 && wire_shape[p[2]] == shape);
    }
    *at = (uint64_t)(p - data);
    return n;
}
