#include "daemon/supervisor/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/supervisor.h"

#define BIRTH_NEEDS  28u /* eleven for a moment, and some for what the daemon itself opens */
#define WORKER_NEEDS 6u  /* while it lives */
#define PASSING_PART 16u /* one in so many is for what is passing */
#define PASSING_MOST 256u

static uint64_t reserve(const struct supervisor *s)
{
    uint64_t needed = BIRTH_NEEDS;
    const struct pool *pool;
    TAILQ_FOREACH (pool, &s->pools, link)
        if (pool->worker_count < pool->config->min)
            needed += (uint64_t)(pool->config->min - pool->worker_count) * WORKER_NEEDS;
    return needed < s->hard_nofile / 2 ? needed : s->hard_nofile / 2;
}

static uint64_t passing(const struct supervisor *s)
{
    return s->hard_nofile / PASSING_PART < PASSING_MOST ? s->hard_nofile / PASSING_PART : PASSING_MOST;
}

/* The lowest free number: how many are open. → negative: none is free. */
static int lowest_free(const struct supervisor *s)
{
    int fd = fcntl(s->signal_fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd;
}

uint64_t descriptors_for_peers(const struct supervisor *s)
{
    int own = lowest_free(s);
    if (s->hard_nofile == RLIM_INFINITY)
        return UINT64_MAX;
    uint64_t not_theirs = (own < 0 ? s->hard_nofile : (uint64_t)own) + reserve(s) + passing(s);
    return not_theirs < s->hard_nofile ? s->hard_nofile - not_theirs : 1;
}

bool descriptors_allow(const struct supervisor *s, int fd, enum descriptor_use use)
{
    if (s->hard_nofile == RLIM_INFINITY)
        return true;
    return (uint64_t)fd + reserve(s) + (use == DESCRIPTOR_LASTING ? passing(s) : 0) < s->hard_nofile;
}

bool descriptors_left(const struct supervisor *s)
{
    int fd = lowest_free(s);
    return fd >= 0 && descriptors_allow(s, fd, DESCRIPTOR_PASSING);
}
