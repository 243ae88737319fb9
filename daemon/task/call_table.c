/* Chains by a keyed hash: see call_table.h.
 *
 * The key enters twice, with a mixing step between: a client can neither compute which msgids share a chain without
 * knowing it, nor exploit a regular distance between them. */
#include "daemon/task/call_table.h"

#include <stdlib.h>

#include "daemon/task/task.h"

#define FIRST_BITS 3u

void call_table_init(struct call_table *table, uint64_t key)
{
    *table = (struct call_table){.key = key};
    TAILQ_INIT(&table->all);
}

void call_table_deinit(struct call_table *table)
{
    free(table->chains);
}

static struct call_chain *chain_of(const struct call_table *table, uint32_t msgid)
{
    uint64_t mixed = (msgid ^ table->key) * 0x9e3779b97f4a7c15; /* 2^64 by the golden ratio, odd */
    mixed ^= mixed >> 29;
    return &table->chains[mixed * (table->key | 1) >> (64 - table->bits)];
}

static bool grow(struct call_table *table)
{
    unsigned bits = table->bits ? table->bits + 1 : FIRST_BITS;
    struct call_chain *chains = calloc((size_t)1 << bits, sizeof *chains);
    struct task *t;
    if (!chains)
        return false;
    free(table->chains);
    table->chains = chains;
    table->bits = bits;
    TAILQ_FOREACH (t, &table->all, call.of_conn)
        if (!t->no_reply)
            LIST_INSERT_HEAD(chain_of(table, t->call.msgid), t, call.same_hash);
    return true;
}

bool call_table_add(struct call_table *table, struct task *t)
{
    if (!t->no_reply) {
        if ((table->bits == 0 || table->count >> table->bits > 0) && !grow(table))
            return false;
        LIST_INSERT_HEAD(chain_of(table, t->call.msgid), t, call.same_hash);
        table->count++;
    }
    TAILQ_INSERT_TAIL(&table->all, t, call.of_conn);
    return true;
}

void call_table_remove(struct call_table *table, struct task *t)
{
    TAILQ_REMOVE(&table->all, t, call.of_conn);
    if (t->no_reply)
        return;
    LIST_REMOVE(t, call.same_hash);
    table->count--;
}

struct task *call_table_find(const struct call_table *table, uint32_t msgid)
{
    struct task *t = NULL;
    if (table->bits > 0)
        LIST_FOREACH (t, chain_of(table, msgid), call.same_hash)
            if (t->call.msgid == msgid)
                break;
    return t;
}
