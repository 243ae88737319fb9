/* See schedule.h. */
#include "client/lib/schedule.h"

#include <errno.h>

#include "proto/pack.h"

#define PRIORITY_MAX 255u

int schedule_check(mpool_client *client, const mpool_options *o)
{
    if (o->priority > PRIORITY_MAX)
        return handle_fail(client, -EINVAL, "The priority is above 255.");
    if (o->delay_ms < 0 || o->start_at_ms < 0 || o->expires_at_ms < 0 || o->queue_timeout_ms < 0)
        return handle_fail(client, -EINVAL, "The options hold a negative time.");
    return 0;
}

size_t schedule_count(const mpool_options *o)
{
    return (size_t)(o->priority != MPOOL_PRIORITY_DEFAULT) + !!o->delay_ms + !!o->start_at_ms + !!o->expires_at_ms +
           !!o->queue_timeout_ms;
}

void schedule_pack(msgpack_packer *pk, const mpool_options *o)
{
    if (o->priority != MPOOL_PRIORITY_DEFAULT)
        wire_pack_key_u64(pk, "priority", o->priority);
    if (o->delay_ms)
        wire_pack_key_i64(pk, "delay_ms", o->delay_ms);
    if (o->start_at_ms)
        wire_pack_key_i64(pk, "start_at_ms", o->start_at_ms);
    if (o->expires_at_ms)
        wire_pack_key_i64(pk, "expires_at_ms", o->expires_at_ms);
    if (o->queue_timeout_ms)
        wire_pack_key_i64(pk, "queue_timeout_ms", o->queue_timeout_ms);
}
