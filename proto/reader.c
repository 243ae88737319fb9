/* Reading MessagePack values one by one: see reader.h.
 *
 * Trusts nothing: every head is checked against the available bytes before anything behind it is read, and a reader
 * moves only after all checks passed. It knows nothing of messages or methods.
 */
#include "proto/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/shape.h"

static size_t bytes_left(const struct wire_reader *r)
{
    return (size_t)(r->end - r->at);
}

const char *wire_type_name(enum wire_type type)
{
    switch (type) {
    case WIRE_TYPE_END: return "nothing";
    case WIRE_TYPE_NIL: return "nil";
    case WIRE_TYPE_BOOL: return "bool";
    case WIRE_TYPE_INT: return "integer";
    case WIRE_TYPE_FLOAT: return "float";
    case WIRE_TYPE_STR: return "string";
    case WIRE_TYPE_BIN: return "binary";
    case WIRE_TYPE_ARRAY: return "array";
    case WIRE_TYPE_MAP: return "map";
    case WIRE_TYPE_EXT: return "ext";
    }
    return "nothing";
}

void wire_describe(const struct wire_reader *r, char out[WIRE_DESCRIBED_MAX])
{
    uint64_t u64;
    int64_t i64;
    double f64;
    struct wire_reader w = *r;
    if (wire_peek(r) == WIRE_TYPE_FLOAT && wire_read_f64(&w, &f64) == 0)
        snprintf(out, WIRE_DESCRIBED_MAX, "the float %.16g", f64);
    else if (wire_peek(r) == WIRE_TYPE_INT && wire_read_u64(&w, &u64) == 0)
        snprintf(out, WIRE_DESCRIBED_MAX, "%llu", (unsigned long long)u64);
    else if (wire_peek(r) == WIRE_TYPE_INT && wire_read_i64(&w, &i64) == 0)
        snprintf(out, WIRE_DESCRIBED_MAX, "%lld", (long long)i64);
    else
        snprintf(out, WIRE_DESCRIBED_MAX, "%s", wire_type_name(wire_peek(r)));
}

int wire_read_nil(struct wire_reader *r)
{
    if (r->at == r->end)
        return -ENODATA;
    if (*r->at != 0xc0)
        return -EBADMSG;
    r->at++;
    return 0;
}

int wire_read_bool(struct wire_reader *r, bool *ret)
{
    if (r->at == r->end)
        return -ENODATA;
    if (*r->at != 0xc2 && *r->at != 0xc3)
        return -EBADMSG;
    *ret = *r->at == 0xc3;
    r->at++;
    return 0;
}

/* A float of either width. Does not move; *ret_length is the value's length. */
static int peek_float(const struct wire_reader *r, double *ret, size_t *ret_length)
{
    if (r->at == r->end)
        return -ENODATA;
    if (wire_peek(r) != WIRE_TYPE_FLOAT)
        return -EBADMSG;
    size_t length = wire_shape[*r->at];
    if (bytes_left(r) < length)
        return -ENODATA;
    if (length == 5) {
        uint32_t raw = wire_be32(r->at + 1);
        float value;
        memcpy(&value, &raw, sizeof(value));
        *ret = (double)value;
    } else {
        uint64_t raw = wire_be64(r->at + 1);
        memcpy(ret, &raw, sizeof(*ret));
    }
    *ret_length = length;
    return 0;
}

/* A float that stands for an integer: it is whole, and small enough that no other integer has the same float. */
static int peek_whole_float(const struct wire_reader *r, uint64_t *ret_bits, bool *ret_negative, size_t *ret_length)
{
    double value;
    size_t length;
    int error = peek_float(r, &value, &length);
    if (error)
        return error;
    if (!(value > -0x1p53 && value < 0x1p53) || value != (double)(int64_t)value)
        return -EBADMSG;
    *ret_bits = (uint64_t)(int64_t)value;
    *ret_negative = (int64_t)value < 0;
    *ret_length = length;
    return 0;
}

/* Any integer, as magnitude bits and sign: *ret_negative means that *ret_bits is a negative number's two's complement.
 * Does not move; *ret_length is the value's length. */
static int peek_integer(const struct wire_reader *r, uint64_t *ret_bits, bool *ret_negative, size_t *ret_length)
{
    if (r->at == r->end)
        return -ENODATA;
    if (wire_peek(r) != WIRE_TYPE_INT)
        return peek_whole_float(r, ret_bits, ret_negative, ret_length);

    const uint8_t *at = r->at;
    size_t length = wire_shape[*at];
    if (bytes_left(r) < length)
        return -ENODATA;

    uint64_t bits;
    bool is_signed = false;
    switch (*at) {
    case 0xcc: bits = at[1]; break;
    case 0xcd: bits = wire_be16(at + 1); break;
    case 0xce: bits = wire_be32(at + 1); break;
    case 0xcf: bits = wire_be64(at + 1); break;
    case 0xd0: bits = (uint64_t)(int8_t)at[1], is_signed = true; break;
    case 0xd1: bits = (uint64_t)(int16_t)wire_be16(at + 1), is_signed = true; break;
    case 0xd2: bits = (uint64_t)(int32_t)wire_be32(at + 1), is_signed = true; break;
    case 0xd3: bits = wire_be64(at + 1), is_signed = true; break;
    default: bits = (uint64_t)(int8_t)*at, is_signed = true; break;
    }
    *ret_bits = bits;
    *ret_negative = is_signed && bits >> 63;
    *ret_length = length;
    return 0;
}

int wire_read_i64(struct wire_reader *r, int64_t *ret)
{
    uint64_t bits;
    bool negative;
    size_t length;
    int error = peek_integer(r, &bits, &negative, &length);
    if (error)
        return error;
    if (!negative && bits > INT64_MAX)
        return -EBADMSG;
    *ret = (int64_t)bits;
    r->at += length;
    return 0;
}

int wire_read_u64(struct wire_reader *r, uint64_t *ret)
{
    uint64_t bits;
    bool negative;
    size_t length;
    /* A kind and a msgid, with which every message begins. */
    if (r->at < r->end && *r->at < 0x80) {
        *ret = *r->at++;
        return 0;
    }
    if (bytes_left(r) >= 5 && *r->at == 0xce) {
        *ret = wire_be32(r->at + 1);
        r->at += 5;
        return 0;
    }
    int error = peek_integer(r, &bits, &negative, &length);
    if (error)
        return error;
    if (negative)
        return -EBADMSG;
    *ret = bits;
    r->at += length;
    return 0;
}

int wire_read_f64(struct wire_reader *r, double *ret)
{
    uint64_t bits;
    bool negative;
    size_t length;
    int error = peek_float(r, ret, &length);
    if (error == -EBADMSG) {
        error = peek_integer(r, &bits, &negative, &length);
        if (!error)
            *ret = negative ? (double)(int64_t)bits : (double)bits;
    }
    if (!error)
        r->at += length;
    return error;
}

/* A str (fix_str) or bin whose 8-bit form has head byte `first` and whose 16- and 32-bit forms follow it. */
static int read_blob(struct wire_reader *r, bool fix_str, uint8_t first, const uint8_t **ret, size_t *ret_length)
{
    size_t here = bytes_left(r), head, length;
    if (here == 0)
        return -ENODATA;

    const uint8_t *at = r->at;
    if (fix_str && (*at & 0xe0) == 0xa0) {
        head = 1;
        length = *at & 0x1f;
    } else if (*at == first) {
        head = 2;
        length = here < head ? 0 : at[1];
    } else if (*at == first + 1) {
        head = 3;
        length = here < head ? 0 : wire_be16(at + 1);
    } else if (*at == first + 2) {
        head = 5;
        length = here < head ? 0 : wire_be32(at + 1);
    } else {
        return -EBADMSG;
    }
    if (here < head || here - head < length)
        return -ENODATA;
    *ret = at + head;
    *ret_length = length;
    r->at = at + head + length;
    return 0;
}

int wire_read_str(struct wire_reader *r, const char **ret, size_t *ret_length)
{
    const uint8_t *bytes;
    int error = read_blob(r, true, 0xd9, &bytes, ret_length);
    if (!error)
        *ret = (const char *)bytes;
    return error;
}

int wire_read_bin(struct wire_reader *r, const void **ret, size_t *ret_length)
{
    const uint8_t *bytes;
    int error = read_blob(r, false, 0xc4, &bytes, ret_length);
    if (!error)
        *ret = bytes;
    return error;
}

int wire_read_text(struct wire_reader *r, const char **ret, size_t *ret_length)
{
    int error = wire_read_str(r, ret, ret_length);
    if (error != -EBADMSG)
        return error;
    const void *bytes;
    error = wire_read_bin(r, &bytes, ret_length);
    if (!error)
        *ret = (const char *)bytes;
    return error;
}

/* An array or map: `fixed` is the head byte of its short form with count 0, `first` that of its 16-bit form. `width` is
 * the number of values per element, each of which needs at least one byte. */
static int read_container(struct wire_reader *r, uint8_t fixed, uint8_t first, unsigned width, uint32_t *ret_count)
{
    size_t here = bytes_left(r), head;
    if (here == 0)
        return -ENODATA;

    const uint8_t *at = r->at;
    uint32_t count;
    if ((*at & 0xf0) == fixed) {
        head = 1;
        count = *at & 0x0f;
    } else if (*at == first) {
        head = 3;
        count = here < head ? 0 : wire_be16(at + 1);
    } else if (*at == first + 1) {
        head = 5;
        count = here < head ? 0 : wire_be32(at + 1);
    } else {
        return -EBADMSG;
    }
    if (here < head || (here - head) / width < count)
        return -ENODATA;
    *ret_count = count;
    r->at = at + head;
    return 0;
}

int wire_read_array(struct wire_reader *r, uint32_t *ret_count)
{
    return read_container(r, 0x90, 0xdc, 1, ret_count);
}

int wire_read_map(struct wire_reader *r, uint32_t *ret_pairs)
{
    int error = read_container(r, 0x80, 0xde, 2, ret_pairs);
    if (error != -EBADMSG)
        return error;
    struct wire_reader w = *r;
    uint32_t elements;
    error = wire_read_array(&w, &elements);
    if (error || elements > 0)
        return error ? error : -EBADMSG;
    *ret_pairs = 0;
    *r = w;
    return 0;
}

int wire_skip_any(struct wire_reader *r)
{
    struct wire_reader w = *r;

    /* Values to skip, over all levels. Each needs a byte, so a sum above the available bytes is invalid, and the sum
     * cannot overflow. */
    for (uint64_t values = 1; values > 0; values--) {
        size_t here = bytes_left(&w);
        if (values > here)
            return -ENODATA;

        uint8_t shape = wire_shape[*w.at];
        if (shape < SHAPE_COUNTED) {
            if (here < shape)
                return -ENODATA;
            w.at += shape;
            continue;
        }
        if (shape == SHAPE_BAD)
            return -EBADMSG;
        if (here < wire_head_length(shape))
            return -ENODATA;

        struct wire_announced what = wire_announced(shape, w.at);
        size_t head = wire_head_length(shape);
        if (here - head < what.payload)
            return -ENODATA;
        w.at += head + what.payload;
        values += what.elements;
    }
    *r = w;
    return 0;
}

uint32_t wire_skip_many(struct wire_reader *r, uint32_t max)
{
    uint32_t n = 0;
    while (n < max && r->at < r->end) {
        uint8_t shape = wire_shape[*r->at];
        if (shape < SHAPE_COUNTED && max - n >= WIRE_RUN && bytes_left(r) >= WIRE_RUN_BYTES) {
            unsigned run = wire_run(r->at, shape);
            r->at += run * shape;
            n += run;
        } else if (wire_skip(r) == 0) {
            n++;
        } else {
            break;
        }
    }
    return n;
}

uint32_t wire_skip_good_pairs(struct wire_reader *r, uint32_t max)
{
    uint32_t n = 0;
    unsigned run = WIRE_RUN;
    while (run == WIRE_RUN && max - n >= WIRE_RUN && bytes_left(r) >= WIRE_RUN * WIRE_PAIR_BYTES) {
        uint64_t passed = 0;
        run = wire_run_of_pairs(r->at, &passed);
        r->at += passed;
        n += run;
    }
    while (n < max && bytes_left(r) >= 3 && wire_is_good_pair(r->at) && wire_shape[r->at[2]] <= bytes_left(r) - 2) {
        r->at += 2 + wire_shape[r->at[2]];
        n++;
    }
    return n;
}

int wire_read_raw(struct wire_reader *r, const uint8_t **ret, size_t *ret_length)
{
    const uint8_t *start = r->at;
    int error = wire_skip(r);
    if (error)
        return error;
    *ret = start;
    *ret_length = (size_t)(r->at - start);
    return 0;
}
