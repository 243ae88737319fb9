/* The pairing heap behind timer.h: no node is later than its children. */
#include "daemon/core/timer.h"

#include <stddef.h>

static bool is_before(const struct core_timer *a, const struct core_timer *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && (int32_t)(a->order - b->order) < 0);
}

/* Both are roots (no siblings) or NULL. → the earlier, the other under it. */
static struct core_timer *meld(struct core_timer *a, struct core_timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (is_before(b, a)) {
        struct core_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* Makes one heap of a row of siblings: melds neighbours first, then the pairs from the last to the first. That order is
 * what makes the cost logarithmic. */
static struct core_timer *meld_row(struct core_timer *row)
{
    struct core_timer *pairs = NULL;
    while (row) {
        struct core_timer *a = row, *b = row->next;
        row = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        struct core_timer *pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct core_timer *root = NULL;
    while (pairs) {
        struct core_timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = meld(root, pair);
    }
    return root;
}

void core_timer_disarm(struct core_timers *timers, struct core_timer *timer)
{
    if (!timer->armed)
        return;
    struct core_timer *below = meld_row(timer->child);
    if (timer == timers->root) {
        timers->root = below;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        timers->root = meld(timers->root, below);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->armed = false;
}

void core_timer_arm(struct core_timers *timers, struct core_timer *timer, uint8_t kind, uint64_t at_ns)
{
    if (timer->armed && timer->at_ns == at_ns && timer->kind == kind)
        return;
    bool alone = timers->root == timer && !timer->child;
    if (!alone)
        core_timer_disarm(timers, timer);
    timer->at_ns = at_ns;
    timer->order = timers->armed++;
    timer->kind = kind;
    if (alone)
        return;
    timer->armed = true;
    timer->child = timer->next = timer->prev = NULL;
    timers->root = meld(timers->root, timer);
}
