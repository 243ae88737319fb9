/* The bounding scan: see scan.h for what it bounds.
 *
 * It knows head bytes and counts only. Its verdict does not depend on how the bytes are cut into pieces: no check
 * depends on how many bytes have come so far.
 *
 * The bounds on bytes and on elements are one number, `spare`: max_bytes, less the bytes passed, less one byte for each
 * element declared and yet to come. A one-byte value uses the byte that was set aside for it and leaves `spare` alone;
 * everything else pays for the bytes and elements that it adds.
 */
#include "proto/scan.h"

#include <assert.h>

#include "proto/shape.h"

#define PARAMS_DEPTH 2u /* open containers around a message's params: the message and params itself */

void wire_scan_init(struct wire_scan *scan)
{
    /* remain[] is written before it is read, level by level. */
    scan->at = 0;
    scan->outstanding = 1;
    scan->skip = 0;
    scan->depth = 0;
    scan->first_end = 0;
}

void wire_scan_init_inside(struct wire_scan *scan, uint64_t count)
{
    wire_scan_init(scan);
    scan->outstanding = scan->remain[0] = count;
    scan->depth = 1;
}

enum wire_scan_result wire_scan_feed(
    struct wire_scan *scan, const struct wire_limits *limits, const uint8_t *data, uint64_t length)
{
    assert(limits->max_depth <= WIRE_DEPTH_ROOM);
    assert(scan->at <= length);

    uint64_t used = scan->at + scan->skip + scan->outstanding;
    if (used > limits->max_bytes)
        return WIRE_SCAN_TOO_BIG;

    uint64_t at = scan->at, skip = scan->skip, spare = limits->max_bytes - used;
    uint32_t depth = scan->depth;
    /* Elements to come at the innermost level; depth 0 holds the value itself. */
    uint64_t left = depth ? scan->remain[depth - 1] : scan->outstanding;
    uint64_t row = 0; /* values to come at depth 0: of a row, which is never scanned in pieces */
    enum wire_scan_result result = WIRE_SCAN_MORE;

    if (skip) {
        uint64_t here = length - at < skip ? length - at : skip;
        at += here;
        skip -= here;
    }
    while (skip == 0) {
        while (left == 0 && depth > 0) {
            depth--;
            left = depth ? scan->remain[depth - 1] : row;
            if (depth == PARAMS_DEPTH && scan->first_end == 0)
                scan->first_end = at;
        }
        if (left == 0) {
            result = WIRE_SCAN_WHOLE;
            break;
        }
        if (at == length)
            break;

        uint8_t shape = wire_shape[data[at]];
        uint64_t passes, elements = 0; /* bytes of the value itself; values inside it */
        if (shape < SHAPE_COUNTED && left >= WIRE_RUN && length - at >= WIRE_RUN_BYTES && spare >= WIRE_RUN_BYTES) {
            unsigned run = wire_run(data + at, shape);
            at += run * shape;
            left -= run;
            spare -= run * (shape - 1u);
            continue;
        }
        if (shape == SHAPE_FIXARRAY && left >= WIRE_RUN && length - at >= WIRE_RUN * WIRE_PAIR_BYTES &&
            spare >= WIRE_RUN * WIRE_PAIR_BYTES && depth < limits->max_depth) {
            /* Possibly the results of a map. */
            uint64_t from = at;
            unsigned run = wire_run_of_pairs(data, &at);
            left -= run;
            spare -= at - from - run;
            if (run > 0)
                continue;
        }
        if (shape == 1) {
            /* Worth its own branch: the next address does not wait for the table. */
            at++;
            left--;
            continue;
        }
        if (shape < SHAPE_COUNTED) {
            passes = shape;
        } else if (shape == SHAPE_BAD) {
            return WIRE_SCAN_BAD_BYTE;
        } else {
            uint64_t head = wire_head_length(shape);
            if (head - 1 > spare)
                return WIRE_SCAN_TOO_BIG;
            if (shape >= SHAPE_FIXARRAY && depth >= limits->max_depth)
                return WIRE_SCAN_TOO_DEEP;
            if (length - at < head)
                break; /* nothing is consumed: the next call reads this head again */
            struct wire_announced what = wire_announced(shape, data + at);
            passes = head + what.payload;
            elements = what.elements;
        }
        if (passes - 1 + elements > spare)
            return WIRE_SCAN_TOO_BIG;
        spare -= passes - 1 + elements;
        left--;
        if (length - at < passes) {
            skip = passes - (length - at);
            at = length;
        } else {
            at += passes;
        }
        if (shape >= SHAPE_FIXARRAY) {
            if (depth)
                scan->remain[depth - 1] = left;
            else
                row = left;
            depth++;
            left = elements;
        }
    }

    scan->at = at;
    scan->skip = skip;
    scan->depth = depth;
    scan->outstanding = limits->max_bytes - at - skip - spare;
    if (depth)
        scan->remain[depth - 1] = left;
    return result;
}

bool wire_scan_row(uint32_t max_depth, const uint8_t *data, uint64_t length, uint64_t count)
{
    struct wire_limits limits = {.max_bytes = length, .max_depth = max_depth};
    struct wire_scan scan;
    wire_scan_init(&scan);
    scan.outstanding = count;
    return wire_scan_feed(&scan, &limits, data, length) == WIRE_SCAN_WHOLE && scan.at == length;
}

enum wire_scan_result wire_scan_value(
    const struct wire_limits *limits, const uint8_t *data, uint64_t length, uint64_t *ret_length)
{
    /* One scalar, as many results are: needs no state. */
    uint8_t shape = length > 0 ? wire_shape[data[0]] : SHAPE_BAD;
    if (shape == length && shape < SHAPE_COUNTED && length <= limits->max_bytes) {
        *ret_length = length;
        return WIRE_SCAN_WHOLE;
    }
    struct wire_scan scan;
    wire_scan_init(&scan);
    enum wire_scan_result result = wire_scan_feed(&scan, limits, data, length);
    if (result == WIRE_SCAN_WHOLE)
        *ret_length = scan.at;
    return result;
}

bool wire_is_whole(const struct wire_limits *limits, const uint8_t *data, uint64_t length)
{
    uint64_t whole;
    return wire_scan_value(limits, data, length, &whole) == WIRE_SCAN_WHOLE && whole == length;
}
