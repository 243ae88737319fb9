#include "daemon/pool/workers.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/pool/pool.h"

bool workers_run_as(const struct workers *workers, uid_t uid)
{
    for (size_t i = 0; i < workers->user_count; i++)
        if (workers->users[i] == uid)
            return true;
    return false;
}

int workers_add_user(struct workers *workers, uid_t uid)
{
    if (workers_run_as(workers, uid))
        return 0;
    uid_t *grown = realloc(workers->users, (workers->user_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    workers->users = grown;
    workers->users[workers->user_count++] = uid;
    return 0;
}

uint64_t workers_lacking(const void *context)
{
    const struct workers *workers = context;
    const struct pool *pool;
    uint64_t lacking = 0;
    TAILQ_FOREACH (pool, &workers->pools, link)
        if (pool->worker_count < pool->config->min)
            lacking += pool->config->min - pool->worker_count;
    return lacking;
}
