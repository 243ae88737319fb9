/* See support.h. */
#include "tests/unit/proto/support.h"

#include <stdlib.h>
#include <string.h>

uint64_t test_seed(void)
{
    const char *text = getenv("MPOOL_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 0;
    return seed ? seed : 0x9e3779b97f4a7c15u;
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

uint64_t random_below(uint64_t *state, uint64_t below)
{
    return random_next(state) % below;
}

/* Lengths around the borders between the header sizes, or small ones. */
static size_t random_length(uint64_t *state)
{
    static const size_t borders[] = {0, 1, 2, 4, 8, 15, 16, 31, 32, 255, 256};
    if (random_below(state, 500) == 0)
        return 65534 + random_below(state, 4);
    return random_below(state, 2) ? borders[random_below(state, COUNT(borders))] : random_below(state, 40);
}

static void random_blob(msgpack_packer *pk, uint64_t *state)
{
    static char bytes[1 << 17];
    size_t length = random_length(state);
    memset(bytes, (int)random_below(state, 256), length);
    switch (random_below(state, 3)) {
    case 0:
        msgpack_pack_str(pk, length);
        msgpack_pack_str_body(pk, bytes, length);
        break;
    case 1:
        msgpack_pack_bin(pk, length);
        msgpack_pack_bin_body(pk, bytes, length);
        break;
    default:
        msgpack_pack_ext(pk, length, (int8_t)random_below(state, 256));
        msgpack_pack_ext_body(pk, bytes, length);
        break;
    }
}

void random_value(msgpack_packer *pk, uint64_t *state, unsigned depth)
{
    uint64_t bits = random_next(state) >> random_below(state, 64);
    switch (random_below(state, depth ? 12 : 8)) {
    case 0: msgpack_pack_nil(pk); break;
    case 1: msgpack_pack_true(pk); break;
    case 2: msgpack_pack_uint64(pk, bits); break;
    case 3: msgpack_pack_int64(pk, -(int64_t)(bits >> 1)); break;
    case 4: msgpack_pack_float(pk, (float)bits); break;
    case 5: msgpack_pack_double(pk, (double)bits); break;
    case 6:
    case 7: random_blob(pk, state); break;
    case 8:
    case 9: {
        size_t count = random_below(state, 20);
        msgpack_pack_map(pk, count);
        for (size_t i = 0; i < 2 * count; i++)
            random_value(pk, state, i % 2 ? depth - 1 : 0);
        break;
    }
    default: {
        /* Wide arrays of small things cross the 16-bit header; they must stay cheap. */
        bool wide = random_below(state, 2000) == 0;
        size_t count = wide ? 65536 : random_below(state, 20);
        msgpack_pack_array(pk, count);
        for (size_t i = 0; i < count; i++) {
            if (wide)
                msgpack_pack_int64(pk, (int64_t)i);
            else
                random_value(pk, state, depth - 1);
        }
        break;
    }
    }
}

uint8_t *exact_copy(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    if (length)
        memcpy(copy, bytes, length);
    return copy;
}

uint32_t random_row(struct wire_buf *to, uint64_t *state, size_t bytes)
{
    msgpack_packer pk = wire_packer(to);
    uint32_t count = 0;
    while (wire_buf_length(to) < bytes) {
        uint64_t kind = random_below(state, 7), bits = random_below(state, 64);
        bool pair = random_below(state, 2) > 0;
        for (uint64_t left = 1 + random_below(state, 60); left > 0; left--, count++) {
            if (pair) {
                msgpack_pack_array(&pk, 2);
                if (random_below(state, 100) > 0)
                    msgpack_pack_nil(&pk);
                else
                    msgpack_pack_true(&pk);
            }
            switch (kind) {
            case 0: msgpack_pack_uint64(&pk, random_next(state) >> bits); break;
            case 1: msgpack_pack_int64(&pk, (int64_t)random_next(state) >> bits); break;
            case 2: msgpack_pack_double(&pk, 1.5); break;
            case 3: msgpack_pack_nil(&pk); break;
            case 4: random_value(&pk, state, 2); break;
            default: /* up to longer than a short string can be */
                msgpack_pack_str(&pk, bits * 2 / 3);
                wire_buf_append(to, "0123456789012345678901234567890123456789012345", bits * 2 / 3);
                break;
            }
        }
    }
    return count;
}
