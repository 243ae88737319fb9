/* Where do the bytes of a result go?
 *
 * At first into the lane's result space; when that grows too small, they move to a memfd, which grows geometrically and
 * is sealed at the end. Knows nothing of what the bytes mean. Failing to find room changes nothing that is there.
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct result {
    uint8_t *base; /* what is written so far: base[0 … used) */
    size_t used, room;
    uint64_t limit;   /* maximum size in bytes */
    bool beyond_file; /* the last -EFBIG was for RLIMIT_FSIZE */
    int memfd;        /* -1: base is the lane's space */
};

/* space: borrowed, `room` bytes; may be NULL with room 0. */
void result_init(struct result *r, uint8_t *space, size_t room, uint64_t limit);
/* Unmaps and closes the memfd if there is one. */
void result_deinit(struct result *r);

/* Room for `more` bytes behind those used. → 0; -EFBIG beyond the limit; -ENOMEM or another -errno: no memory. */
int result_grow(struct result *r, uint64_t more); /* its rarer half: use result_reserve() */
static inline int result_reserve(struct result *r, uint64_t more)
{
    return more <= r->room - r->used && r->used + more <= r->limit ? 0 : result_grow(r, more);
}

static inline uint8_t *result_end(struct result *r)
{
    return r->base + r->used;
}

/* Copies `length` bytes to `at`, which is within the used bytes. → 0 or -errno: no memory. */
int result_fill(struct result *r, uint8_t *at, const void *bytes, size_t length);

/* The memfd, cut to what is used and sealed against every change; the mapping is gone. *ret_fd stays owned by the
 * result until result_deinit(). → 0 or -errno: (EBUSY: a process that the function left behind still maps it). */
int result_seal(struct result *r, int *ret_fd);
