/* Whose are the bytes that came in?
 *
 * Cuts io.in into messages, bounded by the scan before anything else looks at them, and hands each to the call that it
 * answers. A well-formed answer that nobody waits for is dropped; anything malformed ends the connection, for there is
 * no way to know where the next message would begin.
 */
#pragma once

#include "client/lib/handle.h"

/* Delivers all whole messages. → callbacks run. May leave the handle lost or closing. */
int inbox_deliver(mpool_client *client);
