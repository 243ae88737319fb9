/* See shm.h. The order matters for S: mapped for writing first, then sealed against future writes; the worker, which
 * gets the same descriptor, can then map it only read-only. */
#include "daemon/lane/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/memfd_fill.h"
#include "daemon/lane/lane.h"

/* Linux 5.1; hidden by glibc's <fcntl.h> before 2.38. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int shm_create(int *ret_fd, const char *name, size_t size)
{
    _cleanup_(fd_close) int fd = memfd_new(name);

    if (fd < 0)
        return -errno;
    int r;
    do
        r = fallocate(fd, 0, 0, (off_t)size);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int shm_seal(int fd, bool future_write)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (future_write ? F_SEAL_FUTURE_WRITE : 0);

    return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

static int check_size(int fd, size_t size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && st.st_size == (off_t)size ? 0 : -EINVAL;
}

int shm_map_lane(struct shm_map *ret, int fd, size_t head_size, bool writable)
{
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    size_t length = 2 * (size_t)LANE_AREA_BYTES + head_size;
    int r = check_size(fd, LANE_AREA_BYTES + head_size);

    if (r < 0)
        return r;
    /* The addresses are reserved first and in one piece, so that the three fixed mappings overwrite none of ours. */
    void *base = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    uint8_t *at = base;
    if (mmap(at, LANE_AREA_BYTES, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mmap(at + LANE_AREA_BYTES, LANE_AREA_BYTES, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mmap(at + 2 * (size_t)LANE_AREA_BYTES, head_size, protection, MAP_SHARED | MAP_FIXED, fd, LANE_AREA_BYTES) ==
            MAP_FAILED) {
        r = -errno;
        munmap(base, length);
        return r;
    }
    *ret = (struct shm_map){.ring = at, .head = at + 2 * (size_t)LANE_AREA_BYTES, .length = length};
    return 0;
}

void shm_unmap(struct shm_map *map)
{
    if (map->ring)
        munmap(map->ring, map->length);
    *map = (struct shm_map){0};
}

int shm_map_plain(void **ret, int fd, size_t size, bool writable)
{
    int r = check_size(fd, size);

    if (r < 0)
        return r;
    void *p = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}
