/* Queues and pipes as kinds of shared objects, for the registry. */
#pragma once

#include "daemon/object/objects.h"

extern const struct object_ops queue_object_ops;
