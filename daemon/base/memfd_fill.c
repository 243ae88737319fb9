#include "daemon/base/memfd_fill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "proto/io.h"

int memfd_fill_begin(struct memfd_fill *m, const char *name)
{
    m->size = 0;
    m->fd = memfd_new(name);
    return m->fd < 0 ? -errno : 0;
}

int memfd_fill_add(struct memfd_fill *m, const void *bytes, size_t length)
{
    /* Writing beyond it would raise SIGXFSZ, which kills a forkserver or a worker. */
    struct rlimit max;
    if (getrlimit(RLIMIT_FSIZE, &max) == 0 && max.rlim_cur < m->size + length) {
        memfd_fill_drop(m);
        return -EFBIG;
    }
    int r = io_write_all(m->fd, bytes, length);
    if (r < 0)
        memfd_fill_drop(m);
    else
        m->size += length;
    return r;
}

int memfd_fill_end(struct memfd_fill *m)
{
    if (fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int error = errno;
        memfd_fill_drop(m);
        return -error;
    }
    return TAKE_FD(m->fd);
}

void memfd_fill_drop(struct memfd_fill *m)
{
    fd_close(&m->fd);
}
