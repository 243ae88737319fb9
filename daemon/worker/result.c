#include "daemon/worker/result.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/memfd_fill.h"
#include "proto/io.h"

/* At least so many bytes are written to the memfd with write(2): it fills new pages without a fault and without
 * clearing each of them first, in half the time (64 MiB: 24 ms instead of 44, measured). */
#define WRITE_MIN (64u << 10)

void result_init(struct result *r, uint8_t *space, size_t room, uint64_t limit)
{
    *r = (struct result){.base = space, .room = room, .limit = limit, .memfd = -1};
}

void result_deinit(struct result *r)
{
    if (r->memfd >= 0 && r->base)
        munmap(r->base, r->room);
    fd_close(&r->memfd);
    r->base = NULL;
    r->used = r->room = 0;
}

static int to_memfd(struct result *r, size_t size)
{
    _cleanup_(fd_close) int fd = memfd_new("mpool-result");
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return -errno;
    uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    /* A process that the function forks must not keep a writable mapping: the memfd could not be sealed. */
    madvise(map, size, MADV_DONTFORK);
    if (r->used)
        memcpy(map, r->base, r->used);
    r->base = map;
    r->room = size;
    r->memfd = TAKE_FD(fd);
    return 0;
}

static int grow_memfd(struct result *r, size_t size)
{
    if (ftruncate(r->memfd, (off_t)size) < 0)
        return -errno;
    void *map = mremap(r->base, r->room, size, MREMAP_MAYMOVE);
    if (map == MAP_FAILED)
        return -errno;
    r->base = map;
    r->room = size;
    return 0;
}

/* The kernel treats the memfd as a file: growing beyond RLIMIT_FSIZE raises SIGXFSZ, which kills the worker. */
static uint64_t file_limit(void)
{
    struct rlimit max;
    return getrlimit(RLIMIT_FSIZE, &max) == 0 && max.rlim_cur != RLIM_INFINITY ? max.rlim_cur : UINT64_MAX;
}

int result_grow(struct result *r, uint64_t more)
{
    r->beyond_file = false;
    if (more > r->limit || r->used > r->limit - more || more > (uint64_t)PTRDIFF_MAX / 2)
        return -EFBIG;

    /* Doubling costs address space only: pages are allocated when first touched. One large value is requested at once
     * and gets just what it needs. */
    uint64_t file = file_limit();
    size_t need = r->used + (size_t)more;
    r->beyond_file = need > file;
    if (r->beyond_file)
        return -EFBIG;
    size_t size = r->room * 2 > need ? r->room * 2 : need;
    if (size > r->limit)
        size = (size_t)r->limit;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size = (size + page - 1) / page * page;
    if (size > file)
        size = (size_t)file;
    return r->memfd < 0 ? to_memfd(r, size) : grow_memfd(r, size);
}

int result_fill(struct result *r, uint8_t *at, const void *bytes, size_t length)
{
    if (r->memfd < 0 || length < WRITE_MIN) {
        if (length)
            memcpy(at, bytes, length);
        return 0;
    }
    return io_pwrite_all(r->memfd, bytes, length, (uint64_t)(at - r->base));
}

int result_seal(struct result *r, int *ret_fd)
{
    munmap(r->base, r->room);
    r->base = NULL;
    r->room = 0;
    if (ftruncate(r->memfd, (off_t)r->used) < 0)
        return -errno;
    if (fcntl(r->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    *ret_fd = r->memfd;
    return 0;
}
