/* The attached calls of a connection, all of them and by msgid.
 *
 * Clients choose msgids freely, so the bucket depends on a key that they do not know, and adding and removing take
 * constant time however many calls share a msgid. Notifications have no msgid and are only in the list of all. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct task;

LIST_HEAD(call_chain, task);

struct call_table {
    TAILQ_HEAD(, task) all; /* in order of arrival */
    struct call_chain *chains;
    unsigned bits; /* 1 << bits chains; 0: none yet */
    uint32_t count;
    uint64_t key;
};

void call_table_init(struct call_table *table, uint64_t key);
void call_table_deinit(struct call_table *table); /* does not free the calls */
/* → false: no memory. */
bool call_table_add(struct call_table *table, struct task *t);
void call_table_remove(struct call_table *table, struct task *t);
/* → NULL: none. */
struct task *call_table_find(const struct call_table *table, uint32_t msgid);
