/* See held.h. */
#include "client/cli/held.h"

bool held_is_lost(void *userdata)
{
    struct held *held = userdata;
    if (mpool_dispatch(held->client) < 0)
        held->lost = true;
    return held->lost;
}

struct child_watch held_watch(struct held *held)
{
    return (struct child_watch){.fd = mpool_fd(held->client), .lost = held_is_lost, .userdata = held};
}
