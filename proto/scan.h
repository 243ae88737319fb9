/* Does a run of bytes hold one whole MessagePack value, and is it harmless?
 *
 * The bounding scan that every byte from outside passes before anything is allocated for it. Iterative, resumable
 * (a 64 MiB frame that arrives in small pieces is looked at once), and it never reads past `length`. It bounds
 *   bytes      the whole value, by max_bytes;
 *   depth      nested arrays and maps, by max_depth;
 *   elements   the sum of all declared elements: each needs a byte at least, so the sum of elements still
 *              outstanding may never exceed max_bytes minus the bytes already passed. `df 10 00 00 00`
 *              (a map of 268 million pairs) is refused after five bytes.
 * Ext types are passed over like bin; 0xc1, which MessagePack never uses, is refused.
 * Knows nothing of RPC. Never allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_DEPTH_CAP 128 /* of a value: what may be configured, and what a client takes */
#define WIRE_DEPTH_ABOVE                                                                                               \
    4 /* levels around a value: the maximum is in [2, "items", [msgid, first, [[error, result]]]] */
#define WIRE_DEPTH_ROOM        (WIRE_DEPTH_CAP + WIRE_DEPTH_ABOVE) /* in struct wire_scan */
#define WIRE_MAX_BYTES_DEFAULT (64u << 20)
#define WIRE_MAX_DEPTH_DEFAULT 32u

struct wire_limits {
    uint64_t max_bytes; /* of one value */
    uint32_t max_depth; /* 1: scalars and flat containers; at most WIRE_DEPTH_ROOM */
};

enum wire_scan_result {
    WIRE_SCAN_MORE = 0,      /* harmless so far, but not whole yet */
    WIRE_SCAN_WHOLE = 1,     /* scan.at is the value's length */
    WIRE_SCAN_BAD_BYTE = -1, /* 0xc1 */
    WIRE_SCAN_TOO_BIG = -2,  /* bytes or declared elements exceed max_bytes */
    WIRE_SCAN_TOO_DEEP = -3,
};

struct wire_scan {
    uint64_t at;          /* bytes passed */
    uint64_t outstanding; /* elements declared and not passed, over all levels */
    uint64_t skip;        /* bytes of a str, bin or ext that are still to come */
    uint32_t depth;       /* open containers */
    uint64_t
        first_end; /* where the first container among a message's params ends, if those are fewer than WIRE_RUN: it
                    * may be most of the message, and need not be walked again to find the next; 0: none has ended */
    uint64_t remain[WIRE_DEPTH_ROOM]; /* elements to come, per open container */
};

void wire_scan_init(struct wire_scan *scan);
/* As if the head of an array of `count` had been passed: for a series of values, in pieces. max_depth counts that
 * array. */
void wire_scan_init_inside(struct wire_scan *scan, uint64_t count);

/* data: the value's first byte; length: bytes there so far (may grow, and data may move, between calls).
 * After a negative result the scan must not be continued. */
enum wire_scan_result wire_scan_feed(
    struct wire_scan *scan, const struct wire_limits *limits, const uint8_t *data, uint64_t length);

/* Are these bytes exactly one value within the limits? */
bool wire_is_whole(const struct wire_limits *limits, const uint8_t *data, uint64_t length);
/* One shot. → WHOLE with *ret_length set, or another result with it untouched. */
enum wire_scan_result wire_scan_value(
    const struct wire_limits *limits, const uint8_t *data, uint64_t length, uint64_t *ret_length);

/* Are the bytes exactly `count` whole values, one after the other? */
bool wire_scan_row(uint32_t max_depth, const uint8_t *data, uint64_t length, uint64_t count);
