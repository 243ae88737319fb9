/* Which attached call or map has this id?
 *
 * A table of fixed size: ids count up, so that its chains grow evenly, and no client can choose where it falls. Knows
 * nothing of what it holds. Never fails.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define ATTACHED_CHAINS 4096u

struct attached { /* embedded in what it finds */
    LIST_ENTRY(attached) link;
    uint64_t id;
};

LIST_HEAD(attached_chain, attached);

struct attached_table { /* zeroed: empty */
    struct attached_chain chains[ATTACHED_CHAINS];
};

static inline void attached_add(struct attached_table *table, struct attached *a, uint64_t id)
{
    a->id = id;
    LIST_INSERT_HEAD(&table->chains[id % ATTACHED_CHAINS], a, link);
}

static inline void attached_remove(struct attached *a)
{
    LIST_REMOVE(a, link);
}

static inline struct attached *attached_find(const struct attached_table *table, uint64_t id)
{
    struct attached *a = LIST_FIRST(&table->chains[id % ATTACHED_CHAINS]);
    while (a && a->id != id)
        a = LIST_NEXT(a, link);
    return a;
}
