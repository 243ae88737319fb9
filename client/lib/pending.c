/* The table of calls: see pending.h. */
#include "client/lib/pending.h"

#include <errno.h>
#include <stdlib.h>

#define LEAST_CAPACITY 64u
#define KEEP_CAPACITY  4096u /* a larger table is freed once it is empty */

static struct call *slot_of(const struct pending *p, uint32_t msgid)
{
    return &p->slots[msgid & (p->capacity - 1)];
}

void pending_deinit(struct pending *p)
{
    for (uint32_t i = 0; i < p->capacity; i++)
        if (p->slots[i].used)
            payload_unref(p->slots[i].payload);
    free(p->slots);
    *p = (struct pending){0};
}

static int grow(struct pending *p)
{
    uint32_t capacity = p->capacity ? p->capacity * 2 : LEAST_CAPACITY;
    struct call *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < p->capacity; i++)
        if (p->slots[i].used)
            slots[p->slots[i].msgid & (capacity - 1)] = p->slots[i];
    free(p->slots);
    p->slots = slots;
    p->capacity = capacity;
    return 0;
}

int pending_add(struct pending *p, const struct call *call, uint32_t *ret_msgid)
{
    if (p->used == PENDING_MAX)
        return -EAGAIN;
    if (p->used >= p->capacity / 2) {
        int r = grow(p);
        if (r < 0)
            return r;
    }
    while (slot_of(p, p->next)->used)
        p->next++;
    struct call *slot = slot_of(p, p->next);
    *slot = *call;
    slot->used = true;
    slot->msgid = *ret_msgid = p->next++;
    p->used++;
    return 0;
}

struct call *pending_find(struct pending *p, uint32_t msgid)
{
    if (p->capacity == 0)
        return NULL;
    struct call *slot = slot_of(p, msgid);
    return slot->used && slot->msgid == msgid ? slot : NULL;
}

bool pending_remove(struct pending *p, uint32_t msgid, struct call *ret_call)
{
    struct call *slot = pending_find(p, msgid);
    if (!slot)
        return false;
    *ret_call = *slot;
    slot->used = false;
    p->used--;
    if (ret_call->abandoned)
        p->abandoned--;
    if (p->used == 0 && p->capacity > KEEP_CAPACITY) {
        free(p->slots);
        p->slots = NULL;
        p->capacity = 0;
    }
    return true;
}

void pending_abandon(struct pending *p, uint32_t msgid)
{
    struct call *slot = pending_find(p, msgid);
    if (!slot || slot->abandoned)
        return;
    slot->abandoned = true;
    p->abandoned++;
}

bool pending_drain(struct pending *p, uint32_t *cursor, struct call *ret_call)
{
    /* Ids are assigned in order, so one walk around the table from the next id on visits the oldest first. */
    while (*cursor < p->capacity) {
        const struct call *slot = slot_of(p, p->next + *cursor);
        ++*cursor;
        if (slot->used)
            return pending_remove(p, slot->msgid, ret_call);
    }
    return false;
}
