/* Queues and pipes among the shared objects: what the registry asks of their kinds. */
#pragma once

#include "daemon/object/objects.h"

extern const struct object_ops queue_object_ops;
