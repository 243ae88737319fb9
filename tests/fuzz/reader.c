/* Fuzzes the reader: does it read from any bytes what msgpack-c reads from them, and never move on an error?
 *
 * Values that the scan passed are walked by reader and msgpack-c side by side. One difference is known: msgpack-c reads
 * a str of any bytes, and so does the reader; neither checks UTF-8.
 * Bytes that the scan refused are read with every typed function all the same: they may fail, but not read outside.
 */
#include "tests/fuzz/fuzz.h"

#include <msgpack.h>

#include "proto/reader.h"
#include "proto/scan.h"

/* object comes from a value that the scan bounded to 32 levels, so the recursion is bounded too. */
static void same(struct wire_reader *r, const msgpack_object *object)
{
    int64_t i64;
    uint64_t u64;
    double f64;
    bool yes;
    const char *text;
    const void *blob;
    size_t length;
    uint32_t count;
    switch (object->type) {
    case MSGPACK_OBJECT_NIL: FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_NIL && wire_read_nil(r) == 0); break;
    case MSGPACK_OBJECT_BOOLEAN:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_BOOL && wire_read_bool(r, &yes) == 0 && yes == object->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_INT);
        FUZZ_ASSERT(wire_read_u64(&(struct wire_reader){r->at, r->end}, &u64) == 0 && u64 == object->via.u64);
        if (u64 > INT64_MAX) {
            FUZZ_ASSERT(wire_read_i64(r, &i64) == -EBADMSG);
            FUZZ_ASSERT(wire_read_f64(r, &f64) == 0 && f64 == (double)u64);
        } else {
            FUZZ_ASSERT(wire_read_i64(r, &i64) == 0 && (uint64_t)i64 == u64);
        }
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_INT && wire_read_u64(r, &u64) == -EBADMSG);
        FUZZ_ASSERT(wire_read_i64(r, &i64) == 0 && i64 == object->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_FLOAT && wire_read_f64(r, &f64) == 0);
        FUZZ_ASSERT(f64 == object->via.f64 || (f64 != f64 && object->via.f64 != object->via.f64));
        break;
    case MSGPACK_OBJECT_STR:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_STR && wire_read_str(r, &text, &length) == 0);
        FUZZ_ASSERT(length == object->via.str.size && (length == 0 || text == object->via.str.ptr));
        break;
    case MSGPACK_OBJECT_BIN:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_BIN && wire_read_bin(r, &blob, &length) == 0);
        FUZZ_ASSERT(length == object->via.bin.size && (length == 0 || blob == object->via.bin.ptr));
        break;
    case MSGPACK_OBJECT_EXT: FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_EXT && wire_skip(r) == 0); break;
    case MSGPACK_OBJECT_ARRAY:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_ARRAY && wire_read_array(r, &count) == 0);
        FUZZ_ASSERT(count == object->via.array.size);
        for (uint32_t i = 0; i < count; i++)
            same(r, &object->via.array.ptr[i]);
        break;
    case MSGPACK_OBJECT_MAP:
        FUZZ_ASSERT(wire_peek(r) == WIRE_TYPE_MAP && wire_read_map(r, &count) == 0);
        FUZZ_ASSERT(count == object->via.map.size);
        for (uint32_t i = 0; i < count; i++) {
            same(r, &object->via.map.ptr[i].key);
            same(r, &object->via.map.ptr[i].val);
        }
        break;
    }
}

/* Each function on its own copy of the reader: success moves forward and stays inside, failure does not move. */
static void every_read(struct wire_reader at)
{
    bool yes;
    int64_t i64;
    uint64_t u64;
    double f64;
    const char *text;
    const void *blob;
    const uint8_t *raw;
    size_t length;
    uint32_t count;
    struct wire_reader r;

#define TRY(call, within)                                                                                              \
    do {                                                                                                               \
        r = at;                                                                                                        \
        int error = (call);                                                                                            \
        FUZZ_ASSERT(error == 0 || error == -EBADMSG || error == -ENODATA);                                             \
        FUZZ_ASSERT(error ? r.at == at.at : r.at > at.at && r.at <= at.end && (within));                               \
    } while (0)

    TRY(wire_read_nil(&r), true);
    TRY(wire_read_bool(&r, &yes), true);
    TRY(wire_read_i64(&r, &i64), true);
    TRY(wire_read_u64(&r, &u64), true);
    TRY(wire_read_f64(&r, &f64), true);
    TRY(wire_read_str(&r, &text, &length), (const uint8_t *)text + length == r.at);
    TRY(wire_read_bin(&r, &blob, &length), (const uint8_t *)blob + length == r.at);
    TRY(wire_read_text(&r, &text, &length), (const uint8_t *)text + length == r.at);
    TRY(wire_read_array(&r, &count), count <= (size_t)(r.end - r.at));
    TRY(wire_read_map(&r, &count), 2 * (uint64_t)count <= (size_t)(r.end - r.at));
    TRY(wire_skip(&r), true);
    TRY(wire_read_raw(&r, &raw, &length), raw == at.at && raw + length == r.at);
#undef TRY
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = fuzz_copy(data, size);

    struct wire_reader r = wire_reader(bytes, size);
    size_t steps = 0;
    do { /* from value to value while they can be passed over, else from byte to byte */
        every_read(r);
        if (wire_skip(&r) != 0 && r.at != r.end)
            r.at++;
    } while (r.at != r.end && ++steps < 256);
    every_read(wire_reader(bytes + size, 0));

    struct wire_limits limits = {1 << 16, 32};
    uint64_t length;
    if (wire_scan_value(&limits, bytes, size, &length) == WIRE_SCAN_WHOLE) {
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t off = 0;
        FUZZ_ASSERT(msgpack_unpack_next(&unpacked, (const char *)bytes, size, &off) == MSGPACK_UNPACK_SUCCESS);
        r = wire_reader(bytes, length);
        same(&r, &unpacked.data);
        FUZZ_ASSERT(r.at == r.end);
        msgpack_unpacked_destroy(&unpacked);
    }
    free(bytes);
    return 0;
}
