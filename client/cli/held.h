/* A lock or item that is held while a command runs, and lost with the connection. For `lock`, `sem` and `queue get
 * --exec`. */
#pragma once

#include <stdbool.h>

#include <mpool/client.h>

#include "client/cli/child.h"

struct held {
    mpool_client *client; /* borrowed */
    bool lost;
};

/* Checks the connection. → true if it is lost: the daemon has exited, or considers this process dead. userdata: the
 * struct held. */
bool held_is_lost(void *userdata);

/* A watch that ends the command by SIGTERM when the connection is lost. */
struct child_watch held_watch(struct held *held);
