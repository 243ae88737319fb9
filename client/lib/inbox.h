/* Which call does each received message belong to?
 *
 * Splits io.in into messages, which the scan bounds before anything else reads them, and passes each to the call that
 * it answers. A well-formed answer without a pending call is dropped; anything malformed ends the connection, because
 * there is no way to tell where the next message begins.
 */
#pragma once

#include "client/lib/handle.h"

/* Delivers all whole messages. → callbacks run. May leave the handle lost or closing. */
int inbox_deliver(mpool_client *client);
