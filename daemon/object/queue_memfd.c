/* Descriptors in channels: see queue_memfd.h. */
#include "daemon/object/objects.h"
#include "daemon/object/queue_memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/packet.h"
#include "daemon/config/config.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/shares.h"
#include "daemon/object/queue.h"
#include "proto/scan.h"

#define ANSWER_MAX 64u /* bytes of notification and response */

int queue_memfd_read(const struct queue *q, int fd, uint64_t size, const uint8_t **ret_list)
{
    static uint8_t list[QUEUE_MEMFD_MIN];
    /* The maximum depth inside a message, whose own array and `params` take two levels. */
    struct wire_limits limits = {.max_bytes = sizeof list, .max_depth = q->objects->config->max_depth - 2};
    if (!memfd_read(fd, list, size) || list[0] != WIRE_LIST_OF_ONE || !wire_is_whole(&limits, list, size))
        return -EINVAL;
    *ret_list = list;
    return 0;
}

int queue_memfd_keep(
    struct queue *q, int fd, uint64_t size, struct queue_memfd *ret_token, struct channel_item *ret_item)
{
    uint8_t first;
    if (pread(fd, &first, 1, 0) != 1 || first != WIRE_LIST_OF_ONE)
        return -EINVAL;
    if (*q->owners_memfds >= QUEUE_MEMFDS_OF_OWNER ||
        !descriptors_allow(q->objects->descriptors, fd, DESCRIPTOR_LASTING) || !share_take_descriptor(q->owner, false))
        return -EBUSY;
    ++*q->owners_memfds;
    *ret_token = (struct queue_memfd){.queue = q, .fd = fd};
    *ret_item = channel_item_of(ret_token, sizeof *ret_token);
    ret_item->token = true;
    ret_item->weight = size;
    return 0;
}

void queue_memfd_dispose(const uint8_t *token, size_t length)
{
    struct queue_memfd memfd;
    (void)length;
    memcpy(&memfd, token, sizeof memfd);
    close(memfd.fd);
    --*memfd.queue->owners_memfds;
    share_give_descriptor(memfd.queue->owner);
}

/* The taker gets a descriptor of its own, so that an item that may be returned stays in place. Everything that can fail
 * is done before the item is taken. */
void queue_memfd_give(struct queue_user *u, uint32_t msgid, const struct channel_item *item, bool lease)
{
    struct channel *ch = queue_takes_from(u);
    struct conn *c = u->conn;
    struct queue_memfd memfd;
    uint64_t ticket, size = item->weight;
    memcpy(&memfd, item->bytes, sizeof memfd);
    if (!c->memfd) {
        conn_reply_error(c, msgid, MPOOL_E_RESULT_TOO_BIG,
            "the next item has %llu bytes and comes as a memfd: say hello with memfd: true to take it",
            (unsigned long long)size);
        return;
    }
    size_t mark = wire_buf_mark(&c->out);
    _cleanup_(fd_close) int fd = fcntl(memfd.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || !conn_may_pass_fd(c) || !wire_buf_reserve(&c->out, ANSWER_MAX) ||
        channel_take(ch, &u->client, lease, &ticket) < 0) {
        wire_buf_rewind(&c->out, mark);
        conn_reply_error(c, msgid, MPOOL_E_INTERNAL, "no descriptor or no memory for the item");
        return;
    }
    if (!ticket)
        queue_memfd_dispose((const uint8_t *)&memfd, sizeof memfd);
    conn_pass_fd(c, "memfd", msgid, size, TAKE_FD(fd));
    wire_put_result(&c->out, msgid);
    msgpack_packer pk = wire_packer(&c->out);
    if (ticket)
        msgpack_pack_uint64(&pk, ticket);
    else
        msgpack_pack_nil(&pk);
    conn_replied(c);
}
