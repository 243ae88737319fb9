/* Ownership by scope for the command line's files. A cleaner accepts the empty value. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <mpool/client.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void own_free(void *p)
{
    free(*(void **)p);
}

static inline void own_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void own_disconnect(mpool_client **client)
{
    mpool_disconnect(*client);
}

static inline void own_result(mpool_result **result)
{
    mpool_result_free(*result);
}

static inline void own_map(mpool_map **map)
{
    mpool_map_free(*map);
}
