/* Items that lie in a memfd: how are they kept, handed on and forgotten?
 *
 * A large item is written once, by its sender, and mapped by its taker; in between the daemon keeps the descriptor, as
 * a token in the channel, and reads nothing of it but the first byte. Sealed, of the size that was said, and counted:
 * in its queue by its bytes and by QUEUE_MEMFDS_MAX, over all queues of one owner by QUEUE_MEMFDS_OF_OWNER. A small one
 * is not worth a descriptor: it is read, and goes on as any other item.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/channel.h"

struct queue;
struct queue_user;

#define QUEUE_MEMFDS_OF_OWNER 256u
#define QUEUE_MEMFD_LEAST     (64u << 10) /* bytes; what has fewer is read */

struct queue_memfd {
    struct queue *queue;
    int fd;
};

/* One of fewer than QUEUE_MEMFD_LEAST bytes, checked by rpc_check_memfd(). *ret_list: its bytes, valid until the next
 * one. → 0; -EINVAL: it is no list of one item within the limits. */
int queue_memfd_read(const struct queue *q, int fd, uint64_t size, const uint8_t **ret_list);
/* fd: checked by rpc_check_memfd(), taken on success. *ret_item borrows *ret_token. → 0; -EBUSY: the owner's queues
 * have too many; -EINVAL: it does not begin as a list of one item. */
int queue_memfd_keep(
    struct queue *q, int fd, uint64_t size, struct queue_memfd *ret_token, struct channel_item *ret_item);
/* The channels' callback: closes it, and counts it no more. */
channel_dispose_fn queue_memfd_dispose;
/* Takes the item that is first in the channel, which is such a token, as the whole answer to a get. lease: with a
 * ticket in any case. */
void queue_memfd_give(struct queue_user *u, uint32_t msgid, const struct channel_item *item, bool lease);
