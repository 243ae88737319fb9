/* Finds an attached call or map by its id.
 *
 * A hash table of fixed size: ids are assigned consecutively, so that its chains grow evenly, and no client can choose
 * the bucket. Knows nothing of what it holds. Never fails. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define ATTACHED_CHAINS 4096u

struct attached { /* embedded in the thing that is found, which has its id beside it */
    LIST_ENTRY(attached) link;
};

LIST_HEAD(attached_chain, attached);

struct attached_table { /* zeroed: empty */
    struct attached_chain chains[ATTACHED_CHAINS];
};

static inline void attached_add(struct attached_table *table, struct attached *a, uint64_t id)
{
    LIST_INSERT_HEAD(&table->chains[id % ATTACHED_CHAINS], a, link);
}

static inline void attached_remove(struct attached *a)
{
    LIST_REMOVE(a, link);
}

/* base, id_at: offsets of the entry and of the id in the containing struct. → that struct, or NULL */
static inline void *attached_find(const struct attached_table *table, uint64_t id, size_t base, size_t id_at)
{
    struct attached *a;
    LIST_FOREACH (a, &table->chains[id % ATTACHED_CHAINS], link) {
        char *thing = (char *)a - base;
        if (*(const uint64_t *)(const void *)(thing + id_at) == id)
            return thing;
    }
    return NULL;
}
