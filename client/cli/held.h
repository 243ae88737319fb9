/* What a command runs under is held over a connection, and lost with it. For `lock`, `sem` and `queue get --exec`. */
#pragma once

#include <stdbool.h>

#include <mpool/client.h>

#include "client/cli/child.h"

struct held {
    mpool_client *client; /* borrowed */
    bool lost;
};

/* Looks at the connection. → whether it is gone: the daemon has ended, or takes this process for dead. userdata: the
 * struct held. */
bool held_is_lost(void *userdata);

/* Has the command ended by SIGTERM once it is lost. */
struct child_watch held_watch(struct held *held);
