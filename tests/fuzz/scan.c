/* Fuzzes the bounding scan: is its verdict the same in pieces and at once, and does msgpack-c agree?
 *
 * msgpack-c's own verdict on the same bytes must be
 *   WHOLE     a value of the same length;
 *   MORE      to be continued;
 *   BAD_BYTE  a parse error;
 *   TOO_DEEP  anything but a value: its own stack ends at the same 32 levels, but it notices after the count's bytes.
 * TOO_BIG says nothing: msgpack-c has no such limit, and is not asked, for it would reserve what a bomb declares.
 */
#include "tests/fuzz/fuzz.h"

#include <msgpack.h>
#include <string.h>

#include "proto/reader.h"
#include "proto/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    /* The first byte chooses how the rest is cut, so that the corpus keeps values and cuts together. */
    size_t step = 1 + data[0] % 16;
    uint8_t *bytes = fuzz_copy(data + 1, --size);

    struct wire_limits limits = {1 << 16, 32};
    uint64_t length = 0;
    enum wire_scan_result verdict = wire_scan_value(&limits, bytes, size, &length);
    if (verdict == WIRE_SCAN_WHOLE)
        FUZZ_ASSERT(length >= 1 && length <= size && length <= limits.max_bytes);

    struct wire_scan scan;
    wire_scan_init(&scan);
    enum wire_scan_result pieces = WIRE_SCAN_MORE;
    for (size_t have = 0;; have = have + step < size ? have + step : size) {
        pieces = wire_scan_feed(&scan, &limits, bytes, have);
        FUZZ_ASSERT(pieces < 0 || scan.at <= have);
        if (pieces != WIRE_SCAN_MORE || have == size)
            break;
    }
    FUZZ_ASSERT(pieces == verdict);
    FUZZ_ASSERT(verdict != WIRE_SCAN_WHOLE || scan.at == length);

    /* The same value cut off by its own limit, one byte less, is too big; by its own length it is not. */
    if (verdict == WIRE_SCAN_WHOLE) {
        uint64_t again = 0;
        limits.max_bytes = length;
        FUZZ_ASSERT(wire_scan_value(&limits, bytes, size, &again) == WIRE_SCAN_WHOLE && again == length);
        limits.max_bytes = length - 1;
        FUZZ_ASSERT(wire_scan_value(&limits, bytes, size, &again) == WIRE_SCAN_TOO_BIG);
    }

    struct wire_reader reader = wire_reader(bytes, size);
    int skipped = wire_skip(&reader);
    if (verdict == WIRE_SCAN_WHOLE)
        FUZZ_ASSERT(skipped == 0 && reader.at == bytes + length);
    if (verdict == WIRE_SCAN_MORE)
        FUZZ_ASSERT(skipped == -ENODATA && reader.at == bytes);

    if (verdict != WIRE_SCAN_TOO_BIG) {
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t off = 0;
        msgpack_unpack_return said = msgpack_unpack_next(&unpacked, (const char *)bytes, size, &off);
        switch (verdict) {
        case WIRE_SCAN_WHOLE: FUZZ_ASSERT(said == MSGPACK_UNPACK_SUCCESS && off == length); break;
        case WIRE_SCAN_MORE: FUZZ_ASSERT(said == MSGPACK_UNPACK_CONTINUE); break;
        case WIRE_SCAN_BAD_BYTE: FUZZ_ASSERT(said == MSGPACK_UNPACK_PARSE_ERROR); break;
        case WIRE_SCAN_TOO_DEEP: FUZZ_ASSERT(said != MSGPACK_UNPACK_SUCCESS); break;
        case WIRE_SCAN_TOO_BIG: break;
        }
        msgpack_unpacked_destroy(&unpacked);
    }
    free(bytes);
    return 0;
}
