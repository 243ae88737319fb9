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

bool descriptors_allow(const struct supervisor *s, int fd, enum descriptor_use use)
{
    if (s->hard_nofile == RLIM_INFINITY)
        return true;
    uint64_t passing = s->hard_nofile / PASSING_PART < PASSING_MOST ? s->hard_nofile / PASSING_PART : PASSING_MOST;
    return (uint64_t)fd + reserve(s) + (use == DESCRIPTOR_LASTING ? passing : 0) < s->hard_nofile;
}

bool descriptors_left(const struct supervisor *s)
{
    int fd = fcntl(s->signal_fd, F_DUPFD_CLOEXEC, 0);
    bool left = fd >= 0 && descriptors_allow(s, fd, DESCRIPTOR_PASSING);
    if (fd >= 0)
        close(fd);
    return left;
}
