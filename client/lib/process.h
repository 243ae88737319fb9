/* The processes that a connection has started, and the delivery of their output. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <mpool/process.h>

/* Passes output of process `id` to its handle, if it has one that wants output. → callbacks run. */
int process_deliver_output(mpool_client *client, uint64_t id, int stream, const void *bytes, size_t length);
/* The connection is being released: detaches its process handles. */
void process_forget_all(mpool_client *client);
