#include "daemon/base/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define BIRTH_NEEDS  28u /* eleven while it is started, plus some for files that the daemon itself opens */
#define WORKER_NEEDS 6u  /* during its lifetime */
#define PASSING_PART 16u /* one in this many is reserved for short-lived use */
#define PASSING_MAX  256u

static uint64_t reserve(const struct descriptors *d)
{
    uint64_t needed = BIRTH_NEEDS + (d->workers_lacking ? d->workers_lacking(d->context) : 0) * WORKER_NEEDS;
    return needed < d->limit / 2 ? needed : d->limit / 2;
}

static uint64_t passing(const struct descriptors *d)
{
    return d->limit / PASSING_PART < PASSING_MAX ? d->limit / PASSING_PART : PASSING_MAX;
}

/* The lowest free descriptor number, which shows how many are in use. → negative: none is free. */
static int lowest_free(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0); /* always open: see start.h */
    if (fd >= 0)
        close(fd);
    return fd;
}

uint64_t descriptors_for_peers(const struct descriptors *d)
{
    int own = lowest_free();
    if (d->limit == RLIM_INFINITY)
        return UINT64_MAX;
    uint64_t not_theirs = (own < 0 ? d->limit : (uint64_t)own) + reserve(d) + passing(d);
    return not_theirs < d->limit ? d->limit - not_theirs : 1;
}

bool descriptors_allow(const struct descriptors *d, int fd, enum descriptor_use use)
{
    if (d->limit == RLIM_INFINITY)
        return true;
    return (uint64_t)fd + reserve(d) + (use == DESCRIPTOR_LASTING ? passing(d) : 0) < d->limit;
}

bool descriptors_left(const struct descriptors *d)
{
    int fd = lowest_free();
    return fd >= 0 && descriptors_allow(d, fd, DESCRIPTOR_PASSING);
}
