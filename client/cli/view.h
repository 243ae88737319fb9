/* Reads the maps and lists of maps that the daemon answers with, key by key.
 *
 * Missing keys and values of another type read as "absent": a newer or older daemon reports more or fewer keys, and
 * that is not an error. Views borrow the result's bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mpool/client.h>

#include "proto/reader.h"

struct view {
    struct wire_reader at; /* one value */
};

struct view view_of(const mpool_result *result);

/* Looks up a map's value by key. → true if it is present and not nil. */
bool view_get(struct view map, const char *key, struct view *ret);

/* Goes through an array: → whether there was another element. The iterator starts with view_list(). */
struct view_list {
    struct wire_reader at;
    uint32_t left;
};
struct view_list view_list(struct view array);
bool view_next(struct view_list *list, struct view *ret);

/* Scalars by key; `otherwise` when absent. */
uint64_t view_u64(struct view map, const char *key, uint64_t otherwise);
bool view_has(struct view map, const char *key);
bool view_is_true(struct view map, const char *key);
double view_f64(struct view map, const char *key, double otherwise);
/* Text by key, copied, terminated, cut at the buffer's size. → to, or NULL when absent. */
const char *view_text(struct view map, const char *key, char *to, size_t size);
/* Bytes by key (str or bin), borrowed. → whether there. */
bool view_bytes(struct view map, const char *key, const void **ret, size_t *ret_length);
