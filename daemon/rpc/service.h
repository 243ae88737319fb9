/* What requests are about: everything that the daemon serves. */
#pragma once

#include <stdint.h>

#include "daemon/base/loop.h"
#include "daemon/conn/connections.h"
#include "daemon/object/objects.h"
#include "daemon/pool/workers.h"
#include "daemon/task/tasks.h"

struct config;
struct core;

struct service {
    struct loop *loop;
    const struct config *config;
    struct core *core;
    struct connections *connections;
    struct workers *workers;
    struct tasks *tasks;
    struct objects *objects;
    uint64_t start_ns, start_wall_ms;
};

/* How connections hand over requests; context: the service. */
extern const struct conn_handler rpc_conn_handler;
