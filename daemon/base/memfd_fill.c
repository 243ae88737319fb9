#include "daemon/base/memfd_fill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"

int memfd_fill_begin(struct memfd_fill *m, const char *name)
{
    m->size = 0;
    m->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
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
    for (size_t done = 0; done < length;) {
        ssize_t n = write(m->fd, (const char *)bytes + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;
            memfd_fill_drop(m);
            return -error;
        }
        done += (size_t)n;
    }
    m->size += length;
    return 0;
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
