/* The texts of the items in flight, by index, for messages and --json. At most as many as the map's window holds. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct inflight_slot {
    char *text; /* owned; NULL: free slot. After its NUL follows why it was refused, also NUL-terminated. */
    size_t length;
    uint64_t index;
};

struct inflight {
    struct inflight_slot *slots; /* open addressing, a power of two */
    size_t size, count;
};

void inflight_reset(struct inflight *inflight);

/* Copies the text. why: why the item was refused, "" if it was not; copied. → 0 or -ENOMEM. Each index may be put only
 * once. */
int inflight_put(struct inflight *inflight, uint64_t index, const char *text, size_t length, const char *why);

/* → the text, which the caller frees, with *ret_length and *ret_why, which points into it; NULL if there is none. */
char *inflight_take(struct inflight *inflight, uint64_t index, size_t *ret_length, const char **ret_why);
