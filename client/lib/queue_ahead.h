/* Pipelined puts awaiting replies (mpool_queue_set_ahead()), and items that were prefetched or arrived after their get
 * had timed out, so that none are lost.
 *
 * One block per queue that needs it. If the object is closed while answers are pending, the block outlives it and the
 * last answer frees it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/lib/handle.h"

struct queue_ahead;

/* → 0; -ENOMEM. *ahead: NULL or the existing block. */
int queue_ahead_set(struct queue_ahead **ahead, uint32_t limit);
/* Called when the object is freed. NULL is allowed. */
void queue_ahead_release(struct queue_ahead *ahead);
/* How far ahead. NULL: 0. */
uint32_t queue_ahead_limit(const struct queue_ahead *ahead);

/* ---- puts */

/* A call whose answer is only counted. After it has been sent: queue_ahead_sent(). */
struct call queue_ahead_call(struct queue_ahead *ahead);
void queue_ahead_sent(struct queue_ahead *ahead);
/* Turns until another put may be sent. → 0; the error of an earlier put, reported once, with its sentence; -ENOTCONN:
 * the handle is gone. */
int queue_ahead_room(struct queue_ahead *ahead, mpool_client *client);
/* Turns until every put is answered. NULL is allowed. → as above; -ETIMEDOUT. */
int queue_ahead_flush(struct queue_ahead *ahead, mpool_client *client, uint64_t deadline_ns);

/* ---- gets */

/* Takes a list of more than max items: returns max of them in *ret and keeps the rest. → the number returned; -ENOMEM,
 * -EBADMSG: all are kept. */
int queue_ahead_keep(
    struct queue_ahead *ahead, mpool_client *client, mpool_result *items, uint32_t max, mpool_result **ret);
/* Returns up to max of the kept items, after waiting for a late answer. ahead: may be NULL. → how many; 0: none; as
 * above; -ETIMEDOUT: the late answer has not arrived; -ENOTCONN: the handle is gone. */
int queue_ahead_take(
    struct queue_ahead *ahead, mpool_client *client, uint32_t max, uint64_t deadline_ns, mpool_result **ret);
/* The caller of this get has timed out: if it is answered after all, the items are kept for the next get. → 0; -ENOENT,
 * -ENOMEM: it will be lost. *ahead: made if it is NULL. */
int queue_ahead_adopt(struct queue_ahead **ahead, mpool_client *client, uint32_t msgid);
