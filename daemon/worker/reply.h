/* Is what a function builds exactly one whole MessagePack value, within the limits?
 *
 * Each call appends to a struct result and keeps count of what the open arrays and maps still lack, so the answer costs
 * nothing per byte and O(depth) memory. Knows nothing of tasks. A call that fails changes nothing.
 *
 * Errors: -EFBIG beyond the result's limit (elements that are declared count a byte each); -EEXIST the value is whole
 * already; -ELOOP too deep; -EILSEQ text that is not UTF-8; -EBADMSG raw bytes that are not one whole value; -ENOMEM or
 * another of result_reserve().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/worker/result.h"
#include "proto/scan.h"

struct reply {
    struct result *result;
    bool whole;
    uint32_t depth, max_depth;
    uint64_t outstanding; /* elements declared and not begun, over all levels */
    uint64_t remain[WIRE_DEPTH_CAP];
};

/* Starts a value at the end of `result` (borrowed). max_depth: at most WIRE_DEPTH_CAP. */
void reply_begin(struct reply *r, struct result *result, uint32_t max_depth);

static inline bool reply_is_empty(const struct reply *r)
{
    return !r->whole && r->depth == 0;
}

int reply_nil(struct reply *r);
int reply_bool(struct reply *r, bool value);
int reply_i64(struct reply *r, int64_t value);
int reply_u64(struct reply *r, uint64_t value);
int reply_f64(struct reply *r, double value);
int reply_str(struct reply *r, const char *text, size_t length);
int reply_bin(struct reply *r, const void *bytes, size_t length);
/* *ret: `length` bytes of a bin that the caller writes, before the next call here. */
int reply_bin_reserve(struct reply *r, size_t length, void **ret);
int reply_array(struct reply *r, uint32_t count);
int reply_map(struct reply *r, uint32_t pairs);
int reply_raw(struct reply *r, const void *msgpack, size_t length);
