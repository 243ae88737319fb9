/* Whose are the items that came with tickets in the answer to a `get`: the caller's, or nobody's?
 *
 * An item that lies in a memfd may be cut off on its way, when this process has no descriptor left, or not be mapped,
 * when it has no memory; an answer may come to a caller that has given up, or may not be kept. Such items go back to
 * their queue at once. Large ones of a queue without at_least_once come with a ticket for that alone (a lease), and are
 * confirmed here when they have been mapped. Both are notifications: nobody waits for them. What is no MessagePack is
 * confirmed as well: it would be the same for everybody.
 */
#pragma once

#include "client/lib/handle.h"
#include "proto/message.h"

/* The ticket that stands in the place of an item that lies in a memfd. */
bool tickets_is_one(const uint8_t *value, size_t length, uint64_t *ret_ticket);

/* A get has been answered with this, and its callback has run. call: its msgid is no longer pending. got: whoever asked
 * has what came; else code says why not, 0 when nobody was there. The handle may have been lost. */
void tickets_settle(
    mpool_client *client, const struct call *call, const struct wire_message *answer, bool got, int code);
