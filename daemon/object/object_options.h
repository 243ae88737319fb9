/* The options for opening an object, and their bounds. One table; pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/option_table.h"
#include "proto/kinds.h"
#include "proto/reader.h"

#define OBJECT_TTL_MAX_S (365ull * 86400)

#define OBJECT_OF(kind)   (1u << MPOOL_KIND_##kind)
#define OBJECT_OF_ALL     ((1u << MPOOL_KIND_COUNT) - 1u)
#define OBJECT_SEMAPHORES (OBJECT_OF(SEMAPHORE) | OBJECT_OF(BOUNDED_SEMAPHORE))
#define OBJECT_QUEUES     (OBJECT_OF(QUEUE) | OBJECT_OF(JOINABLE_QUEUE) | OBJECT_OF(PIPE))

/* X(name, type, minimum, maximum, kinds): the types are those of option_table.h. */
#define OBJECT_OPTIONS(X)                                                                                              \
    X(create, TEXT, 2, 3, OBJECT_OF_ALL)                                                                               \
    X(mode, UINT, 0, 0666, OBJECT_OF_ALL)                                                                              \
    X(group, UINT, 0, UINT32_MAX - 1, OBJECT_OF_ALL)                                                                   \
    X(ttl_s, UINT, 0, OBJECT_TTL_MAX_S, OBJECT_OF_ALL)                                                                 \
    X(read_only, BOOL, 0, 1, OBJECT_OF_ALL)                                                                            \
    X(type, TEXT, 2, 5, OBJECT_OF(VALUE) | OBJECT_OF(ARRAY))                                                           \
    X(value, NUMBER, 0, 0, OBJECT_OF(VALUE) | OBJECT_SEMAPHORES)                                                       \
    X(count, UINT, 0, (1ull << 48), OBJECT_OF(ARRAY))                                                                  \
    X(set, BOOL, 0, 1, OBJECT_OF(EVENT))                                                                               \
    X(parties, UINT, 1, 256, OBJECT_OF(BARRIER))                                                                       \
    X(capacity, UINT, 0, UINT32_MAX, OBJECT_QUEUES)                                                                    \
    X(size, UINT, 0, (1ull << 48), OBJECT_QUEUES)                                                                      \
    X(at_least_once, BOOL, 0, 1, OBJECT_OF(QUEUE) | OBJECT_OF(JOINABLE_QUEUE))                                         \
    X(duplex, BOOL, 0, 1, OBJECT_OF(PIPE))                                                                             \
    X(end, UINT, 0, 1, OBJECT_OF(PIPE))

enum object_option {
#define X(name, ...) OBJECT_OPTION_##name,
    OBJECT_OPTIONS(X)
#undef X
        OBJECT_OPTION_COUNT
};

enum object_create { OBJECT_CREATE_YES, OBJECT_CREATE_NO, OBJECT_CREATE_NEW };

struct object_options {
    uint32_t given; /* bits 1 << OBJECT_OPTION_… */
    enum object_create how;
    enum mpool_element element; /* i64 by default */
    struct option_text create, type;
    uint64_t mode, group, ttl_s, count, parties, capacity, size, end;
    bool read_only, set, at_least_once, duplex;
    struct option_number value;
};

static inline bool object_option_given(const struct object_options *o, enum object_option option)
{
    return o->given >> option & 1u;
}

/* Reads nil or a map. kind: of the object to be opened, or -1 for any. → 0; -EINVAL with a sentence. */
int object_options_read(struct wire_reader *in, int kind, struct object_options *ret, char *why, size_t why_size);
