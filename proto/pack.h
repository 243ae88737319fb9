/* Writes small values by hand. For the few places where a packer's call for each byte is measurable; everything else
 * uses msgpack-c, which writes the same bytes. */
#pragma once

#include <stdint.h>
#include <string.h>

#define WIRE_SCALAR_MAX 9u /* maximum bytes of a number, a bool or nil */

/* The lowest `bytes` (1, 2, 4 or 8) of value, big-endian. */
static inline uint8_t *wire_put_be(uint8_t *at, uint8_t head, unsigned bytes, uint64_t value)
{
    *at++ = head;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value << (64 - 8 * bytes));
    memcpy(at, &value, bytes);
#else
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
#endif
    return at + bytes;
}

/* at: WIRE_SCALAR_MAX bytes of room. → behind what was written */
static inline uint8_t *wire_put_u64(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value <= UINT8_MAX)
        return wire_put_be(at, 0xcc, 1, value);
    if (value <= UINT16_MAX)
        return wire_put_be(at, 0xcd, 2, value);
    if (value <= UINT32_MAX)
        return wire_put_be(at, 0xce, 4, value);
    return wire_put_be(at, 0xcf, 8, value);
}

static inline uint8_t *wire_put_i64(uint8_t *at, int64_t value)
{
    if (value >= 0)
        return wire_put_u64(at, (uint64_t)value);
    if (value >= -32) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value >= INT8_MIN)
        return wire_put_be(at, 0xd0, 1, (uint64_t)value);
    if (value >= INT16_MIN)
        return wire_put_be(at, 0xd1, 2, (uint64_t)value);
    if (value >= INT32_MIN)
        return wire_put_be(at, 0xd2, 4, (uint64_t)value);
    return wire_put_be(at, 0xd3, 8, (uint64_t)value);
}

static inline uint8_t *wire_put_f64(uint8_t *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return wire_put_be(at, 0xcb, 8, bits);
}
