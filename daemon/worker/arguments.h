/* Which bytes are argument i?
 *
 * Arguments are a row of MessagePack values in bytes that the bounding scan has passed. They are found by walking, as
 * far as asked for; places are remembered (of every 2^shift-th, so that memory is bounded), so that neither a walk in
 * order nor jumping about is quadratic. Running out of memory costs time only. One thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/reader.h"

struct arguments {
    const uint8_t *begin, *end;
    uint32_t count;
    uint32_t next;          /* the argument at which the last walk stopped … */
    const uint8_t *next_at; /* … and its first byte */
    unsigned shift;
    size_t *marks; /* offsets from begin: marks[k] of argument k << shift */
    size_t known, room;
};

/* Zero-initialise once; then for each list. The bytes are borrowed until the next call. */
void arguments_set(struct arguments *a, struct wire_reader values, uint32_t count);
void arguments_deinit(struct arguments *a);

/* *ret: exactly argument `index`, which must be below count. → 0, or -EBADMSG if the bytes were never scanned. */
int arguments_get(struct arguments *a, uint32_t index, struct wire_reader *ret);

/* → the argument that the byte lies in, or -1. Slow: for the words of a failure. */
ssize_t arguments_locate(struct arguments *a, const uint8_t *at);
