/* Ownership by scope for the command line's files. A cleaner accepts the empty value. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <mpool/client.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *p)
{
    free(*(void **)p);
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void disconnectp(mpool_client **client)
{
    mpool_disconnect(*client);
}

static inline void result_freep(mpool_result **result)
{
    mpool_result_free(*result);
}

static inline void map_freep(mpool_map **map)
{
    mpool_map_free(*map);
}
