/* Creating and checking memfds: see memfd.h. */
#include "client/lib/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mpool/client.h>
#include "client/lib/cancel.h"
#include "proto/io.h"
#include "proto/scan.h"

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct payload {
    atomic_uint references;
    void *at;
    size_t length;
};

int memfd_from_bytes(const void *bytes, size_t length)
{
    NOT_CANCELLED;
    /* A write beyond the limit would send SIGXFSZ, which ends a program that does not expect it. */
    struct rlimit most;
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur < length)
        return -EFBIG;
    int fd = memfd_create("mpool-args", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = io_write_all(fd, bytes, length);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS_NEEDED | F_SEAL_SEAL) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int payload_map(int fd, uint64_t size, struct payload **ret_payload)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED)
        return MPOOL_EPROTOCOL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
        return MPOOL_EPROTOCOL;
    if (size == 0 || size > MEMFD_MAX_BYTES || size > SIZE_MAX || (uint64_t)st.st_size != size)
        return MPOOL_EPROTOCOL;

    struct payload *payload = malloc(sizeof(*payload));
    if (!payload)
        return -ENOMEM;
    /* Private, because kernels before 6.7 refuse shared mappings of a write-sealed memfd, even read-only ones. */
    void *at = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        free(payload);
        return -ENOMEM;
    }
    atomic_init(&payload->references, 1);
    payload->at = at;
    payload->length = (size_t)size;

    uint64_t length;
    struct wire_limits limits = {.max_bytes = size, .max_depth = WIRE_DEPTH_ROOM};
    if (wire_scan_value(&limits, at, size, &length) != WIRE_SCAN_WHOLE || length != size) {
        payload_unref(payload);
        return MPOOL_EPROTOCOL;
    }
    *ret_payload = payload;
    return 0;
}

struct payload *payload_ref(struct payload *payload)
{
    atomic_fetch_add_explicit(&payload->references, 1, memory_order_relaxed);
    return payload;
}

void payload_unref(struct payload *payload)
{
    if (!payload || atomic_fetch_sub_explicit(&payload->references, 1, memory_order_acq_rel) != 1)
        return;
    munmap(payload->at, payload->length);
    free(payload);
}

const uint8_t *payload_bytes(const struct payload *payload, size_t *ret_length)
{
    *ret_length = payload->length;
    return payload->at;
}
