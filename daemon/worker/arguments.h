/* Which bytes are argument i?
 *
 * Arguments are a row of MessagePack values in bytes that the bounding scan has passed. They are found by walking, as
 * far as asked for; places are remembered (of every 2^shift-th, so that memory is bounded), so that neither a walk in
 * order nor jumping about is quadratic. Running out of memory costs time only. One thread.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/reader.h"

#define ARGUMENTS_FEW  8u    /* up to so many arguments are walked again rather than remembered */
#define ARGUMENTS_KEPT 1024u /* room for marks that stays allocated between tasks */

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
void arguments_set_many(struct arguments *a, struct wire_reader values, uint32_t count);
static inline void arguments_set(struct arguments *a, struct wire_reader values, uint32_t count)
{
    if (count > ARGUMENTS_FEW || a->room > ARGUMENTS_KEPT) {
        arguments_set_many(a, values, count);
        return;
    }
    a->begin = a->next_at = values.at;
    a->end = values.end;
    a->count = count;
    a->next = 0;
    a->known = 0;
}
void arguments_deinit(struct arguments *a);

/* *ret: exactly argument `index`, which must be below count. → 0, or -EBADMSG if the bytes were never scanned. */
int arguments_find(struct arguments *a, uint32_t index, struct wire_reader *ret);
static inline int arguments_get(struct arguments *a, uint32_t index, struct wire_reader *ret)
{
    if (index != a->next || a->count > ARGUMENTS_FEW)
        return arguments_find(a, index, ret);
    struct wire_reader r = {a->next_at, a->end};
    if (wire_skip(&r) < 0)
        return -EBADMSG;
    *ret = (struct wire_reader){a->next_at, r.at};
    a->next = index + 1;
    a->next_at = r.at;
    return 0;
}

/* → the argument that contains the byte, or -1. Slow: for error messages. */
ssize_t arguments_locate(struct arguments *a, const uint8_t *at);
