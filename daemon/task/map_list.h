/* How do the results of a map, which come in any order, become one list?
 *
 * The next results in order are appended at once; those that come early wait, sorted by position, until everything
 * before them is there. A small list is kept in memory. A larger one is written to a memfd as it grows, in pieces large
 * enough to be worth a system call, so that the answer is ready with the last result, and needs no more work than a
 * small one. Appending is done step by step, as ten thousand early results may wait for one. Knows nothing of tasks and
 * connections. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/memfd_fill.h"
#include "proto/buf.h"

#define MAP_LIST_MEMFD_MIN (512u << 10) /* a larger list is written to a memfd */

struct map_part { /* the results of a run of items */
    uint32_t first, count;
    const uint8_t *bytes; /* elements without a header */
    size_t length;
    size_t done;    /* how many of these bytes are already in the list */
    void *memory;   /* the memory that contains them: from the heap, or … */
    size_t mapping; /* … a mapping of this many bytes; 0: from the heap */
    size_t unmapped;
};

void map_part_free(struct map_part *part);

struct map_list {
    struct wire_buf tail; /* the list, or the end of it that is not in the memfd yet */
    struct memfd_fill file;
    bool no_file;            /* there was no free descriptor: it stays in memory */
    uint32_t next, count;    /* items: already in the list, and in all */
    uint64_t bytes;          /* of all results added */
    struct map_part current; /* the part being appended; current.count 0: none */
    struct map_part *early;  /* a heap, the first item on top */
    size_t early_count, early_size;
};

void map_list_init(struct map_list *l, uint32_t count);
void map_list_deinit(struct map_list *l); /* call map_list_shed() first, as early parts may be many */
/* Frees at most `most` early parts. → there are more. */
bool map_list_shed(struct map_list *l, unsigned max);
/* part: taken. → 0; -ENOMEM */
int map_list_add(struct map_list *l, struct map_part part);
/* Appends about `most` bytes of those that are next. → 1: there is more to append; 0: not now, or it is complete;
 * -errno: it cannot be stored. */
int map_list_step(struct map_list *l, size_t max);
static inline bool map_list_is_whole(const struct map_list *l)
{
    return l->next == l->count && l->current.count == 0;
}
/* For a complete list. → the sealed memfd that holds it, the caller's; -ENOENT: it is in l->tail; or another -errno. */
int map_list_take_file(struct map_list *l, uint64_t *ret_size);
