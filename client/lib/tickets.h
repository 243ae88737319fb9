/* Are the items that came with tickets in the answer to a `get` confirmed, or returned to their queue?
 *
 * An item in a memfd may be lost on its way if this process has no descriptor left, or fail to be mapped if it has no
 * memory; an answer may arrive after its caller has given up, or may not be kept. Such items go back to their queue at
 * once. Large ones of a queue without at_least_once come with a ticket for that alone (a lease), and are confirmed here
 * when they have been mapped. Both are notifications: nobody waits for them. An item that is not valid MessagePack is
 * confirmed as well: no other receiver could read it either.
 */
#pragma once

#include "client/lib/handle.h"
#include "proto/message.h"

/* Reads the ticket that the answer has in place of an item in a memfd. */
bool tickets_is_one(const uint8_t *value, size_t length, uint64_t *ret_ticket);

/* A get has been answered with this, and its callback has run. call: its msgid is no longer pending. got: the caller
 * has the items; else code says why not, 0 if there was no caller any more. The handle may have been lost. */
void tickets_settle(
    mpool_client *client, const struct call *call, const struct wire_message *answer, bool got, int code);
