/* See schedule.h. */
#include "client/lib/schedule.h"

#include <errno.h>

#include "proto/pack.h"

#define PRIORITY_MAX 255u

int schedule_check(mpool_client *client, const mpool_options *o)
{
    if (o->priority > PRIORITY_MAX)
        return handle_fail(client, -EINVAL, "The priority is above 255.");
    return 0;
}

size_t schedule_count(const mpool_options *o)
{
    return o->priority != MPOOL_PRIORITY_DEFAULT;
}

void schedule_pack(msgpack_packer *pk, const mpool_options *o)
{
    if (o->priority != MPOOL_PRIORITY_DEFAULT)
        wire_pack_key_u64(pk, "priority", o->priority);
}
