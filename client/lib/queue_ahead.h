/* Puts that have not been answered yet, and items that came before they were asked for (mpool_queue_set_ahead()), or
 * after their asker had left: nothing is lost because a daemon was slow.
 *
 * One block for a queue that needs it. It outlives the object when that is closed while answers are on their way: the
 * last one frees it.
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

/* Items that have come, a list of more than max, taken: max of them go to the caller in *ret, the rest stays. → how
 * many went; -ENOMEM, -EBADMSG: all stay. */
int queue_ahead_keep(
    struct queue_ahead *ahead, mpool_client *client, mpool_result *items, uint32_t max, mpool_result **ret);
/* Up to max of those that stayed, when what comes late has come. ahead: may be NULL. → how many; 0: none; as above;
 * -ETIMEDOUT: it has not come; -ECANCELED: the handle is gone. */
int queue_ahead_take(
    struct queue_ahead *ahead, mpool_client *client, uint32_t max, uint64_t deadline_ns, mpool_result **ret);
/* The caller of this get has no more time: what is answered after all stays for the next one. → 0; -ENOENT, -ENOMEM:
 * it will be lost. *ahead: made if it is NULL. */
int queue_ahead_adopt(struct queue_ahead **ahead, mpool_client *client, uint32_t msgid);
