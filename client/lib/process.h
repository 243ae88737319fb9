/* The processes that a connection has started, and who hears what they print. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <mpool/process.h>

/* What process `id` has printed goes to its handle, if there is one that wants it. → callbacks run. */
int process_deliver_output(mpool_client *client, uint64_t id, int stream, const void *bytes, size_t length);
/* The connection is being released: its handles forget it. */
void process_forget_all(mpool_client *client);
