/* How long is the thing that begins with this byte? The one place that knows MessagePack's head bytes.
 *
 * Private to scan.c and reader.c, which both walk over bytes by this table. Values whose length the head byte alone
 * tells (numbers, short strings, fixext) are one step; the others carry a big-endian count behind the head byte.
 */
#pragma once

#include <stdint.h>
#include <string.h>

/* Below SHAPE_COUNTED: the length in bytes of the whole value. Else what the head byte announces. */
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

/* What a head tells beyond itself: bytes to pass over, or values to come. Never both. */
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
