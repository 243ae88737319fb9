/* Items in memfds: how they are stored, handed on and released.
 *
 * A large item is written once, by its sender, and mapped by its taker; in between the daemon keeps the descriptor, as
 * a token in the channel, and reads only the first byte. The memfd must be sealed and of the announced size, and it is
 * counted: in its queue by its bytes and by QUEUE_MEMFDS_MAX, over all queues of one owner by QUEUE_MEMFDS_OF_OWNER. A
 * small item is not worth a descriptor: it is read, and passed on like any other item. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/channel.h"

struct queue;
struct queue_user;

#define QUEUE_MEMFDS_OF_OWNER 256u
#define QUEUE_MEMFD_MIN       (64u << 10) /* in bytes; smaller ones are read */

struct queue_memfd {
    struct queue *queue;
    int fd;
};

/* Reads one of fewer than QUEUE_MEMFD_MIN bytes, checked by rpc_check_memfd(). *ret_list: its bytes, valid until the
 * next call. → 0; -EINVAL: it is not a list of one item within the limits. */
int queue_memfd_read(const struct queue *q, int fd, uint64_t size, const uint8_t **ret_list);
/* fd: checked by rpc_check_memfd(), taken on success. *ret_item borrows *ret_token. → 0; -EBUSY: the owner's queues
 * have too many; -EINVAL: it does not begin as a list of one item. */
int queue_memfd_keep(
    struct queue *q, int fd, uint64_t size, struct queue_memfd *ret_token, struct channel_item *ret_item);
/* The channels' callback: closes it, and stops counting it. */
channel_dispose_fn queue_memfd_dispose;
/* Takes the first item of the channel, which is such a token, as the whole answer to a get. lease: always with a
 * ticket. */
void queue_memfd_give(struct queue_user *u, uint32_t msgid, const struct channel_item *item, bool lease);
