/* The kinds of shared objects, and the element types of values and arrays, in one table each.
 *
 * MPOOL_KINDS: X(NAME, "name", page, lock): page: it is a memfd that its users map (proto/sync/sync.h), else it is kept
 * in the daemon; lock: it has lock words from which a dead party's number must be removed. MPOOL_ELEMENTS: X(NAME,
 * name, C type): the name is the wire's, and the suffix of its functions in <mpool/shared.h>. BYTES is not one of them:
 * an array of raw bytes, which has no typed functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MPOOL_KINDS(X)                                                                                                 \
    X(VALUE, "value", 1, 1)                                                                                            \
    X(ARRAY, "array", 1, 1)                                                                                            \
    X(LOCK, "lock", 1, 1)                                                                                              \
    X(RLOCK, "rlock", 1, 1)                                                                                            \
    X(SEMAPHORE, "semaphore", 1, 1)                                                                                    \
    X(BOUNDED_SEMAPHORE, "bounded_semaphore", 1, 1)                                                                    \
    X(CONDITION, "condition", 1, 1)                                                                                    \
    X(EVENT, "event", 1, 0)                                                                                            \
    X(BARRIER, "barrier", 1, 0)                                                                                        \
    X(QUEUE, "queue", 0, 0)                                                                                            \
    X(JOINABLE_QUEUE, "joinable_queue", 0, 0)                                                                          \
    X(PIPE, "pipe", 0, 0)

enum mpool_kind {
#define X(id, ...) MPOOL_KIND_##id,
    MPOOL_KINDS(X)
#undef X
        MPOOL_KIND_COUNT
};

#define MPOOL_ELEMENTS(X)                                                                                              \
    X(I8, i8, int8_t)                                                                                                  \
    X(U8, u8, uint8_t)                                                                                                 \
    X(I16, i16, int16_t)                                                                                               \
    X(U16, u16, uint16_t)                                                                                              \
    X(I32, i32, int32_t)                                                                                               \
    X(U32, u32, uint32_t)                                                                                              \
    X(I64, i64, int64_t)                                                                                               \
    X(U64, u64, uint64_t)                                                                                              \
    X(F32, f32, float)                                                                                                 \
    X(F64, f64, double)

enum mpool_element {
#define X(id, ...) MPOOL_ELEMENT_##id,
    MPOOL_ELEMENTS(X)
#undef X
        MPOOL_ELEMENT_BYTES,
    MPOOL_ELEMENT_COUNT
};

struct wire_kind_info {
    const char *name;
    bool page, lock;
};

/* kind must be below MPOOL_KIND_COUNT. */
const struct wire_kind_info *wire_kind_info(enum mpool_kind kind);
/* name: `length` bytes, not terminated. → the kind, or -1. */
int wire_kind_find(const char *name, size_t length);

struct wire_element_info {
    const char *name; /* "i64"; "bytes" */
    uint32_t bytes;   /* of one: 1 … 8 */
};

/* element must be below MPOOL_ELEMENT_COUNT. */
const struct wire_element_info *wire_element_info(enum mpool_element element);
/* → the element, or -1. */
int wire_element_find(const char *name, size_t length);
