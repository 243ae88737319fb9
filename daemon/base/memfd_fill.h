/* Memfds: new ones, and those that are filled piece by piece and sealed when complete. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

/* Linux 6.3; older headers lack it, older kernels answer EINVAL. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* One that can be sealed, close-on-exec, not executable where the kernel supports that. name: shown in /proc only. →
 * the descriptor, the caller's; or -1 with errno. */
static inline int memfd_new(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

struct memfd_fill {
    int fd; /* -1: none is being filled */
    uint64_t size;
};

#define MEMFD_FILL_NONE ((struct memfd_fill){.fd = -1})

static inline bool memfd_fill_is_on(const struct memfd_fill *m)
{
    return m->fd >= 0;
}

/* → 0 or -errno (-ENOSPC, -EMFILE …). */
int memfd_fill_begin(struct memfd_fill *m, const char *name);
/* Appends all of the bytes; the caller chooses how many to pass at a time. → 0, or -errno: it is dropped. */
int memfd_fill_add(struct memfd_fill *m, const void *bytes, size_t length);
/* Seals it (SHRINK, GROW, WRITE, SEAL). → the descriptor, the caller's; or -errno: it is dropped. */
int memfd_fill_end(struct memfd_fill *m);
void memfd_fill_drop(struct memfd_fill *m); /* none: nothing */
