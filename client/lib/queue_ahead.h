/* Puts that have not been answered yet, and items that came before they were asked for: see mpool_queue_set_ahead().
 *
 * One block for a queue that works ahead. It outlives the object when that is closed while puts are on their way: the
 * last answer frees it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/lib/handle.h"

struct queue_ahead;

/* → 0; -ENOMEM. *ahead: NULL or what is there already. */
int queue_ahead_set(struct queue_ahead **ahead, uint32_t limit);
/* The object goes. NULL is allowed. */
void queue_ahead_release(struct queue_ahead *ahead);
/* How far ahead. NULL: 0. */
uint32_t queue_ahead_limit(const struct queue_ahead *ahead);

/* ---- puts */

/* A call whose answer is counted, and nothing more. After it has been sent: queue_ahead_sent(). */
struct call queue_ahead_call(struct queue_ahead *ahead);
void queue_ahead_sent(struct queue_ahead *ahead);
/* Turns until a further put may be sent. → 0; what an earlier one came to, told once, with its sentence; -ECANCELED:
 * the handle is gone. */
int queue_ahead_room(struct queue_ahead *ahead, mpool_client *client);
/* Turns until every put is answered. NULL is allowed. → as above; -ETIMEDOUT. */
int queue_ahead_flush(struct queue_ahead *ahead, mpool_client *client, uint64_t deadline_ns);

/* ---- gets */

/* Items that have come, taken: `count` of them, the first of which begins at byte `first`. The first `max` go to the
 * caller in *ret, the rest stays. → how many went; -ENOMEM, -EBADMSG: all stay. */
int queue_ahead_keep(
    struct queue_ahead *ahead, mpool_result *items, uint32_t count, size_t first, uint32_t max, mpool_result **ret);
/* Up to max of those that stayed. → how many; 0: none; as above. */
int queue_ahead_take(struct queue_ahead *ahead, uint32_t max, mpool_result **ret);
