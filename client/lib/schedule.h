/* When is a task to run? The part of its options that says so. */
#pragma once

#include <msgpack.h>

#include "client/lib/handle.h"

/* → 0, or -EINVAL with its sentence. */
int schedule_check(mpool_client *client, const mpool_options *options);
/* The keys that it adds to a request's options. */
size_t schedule_count(const mpool_options *options);
void schedule_pack(msgpack_packer *pk, const mpool_options *options);
