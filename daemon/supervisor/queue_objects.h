/* Queues and pipes among the shared objects: what the registry asks of their kinds. */
#pragma once

#include <stdint.h>

#include "daemon/supervisor/objects.h"

struct queue_user;
struct rpc;

extern const struct object_ops queue_object_ops;

/* The opened queue or pipe of this connection by the id of its use. → NULL: answered. */
struct queue_user *queue_objects_find(struct rpc *r, uint64_t id);
