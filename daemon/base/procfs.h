/* Information about processes from /proc. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The children of the calling thread, as the kernel lists them; those that start or exit meanwhile may be missing. A
 * kernel without this list reports none. → 0 with *ret, which the caller frees, and *ret_count; -ENOMEM. */
int procfs_children(pid_t **ret, size_t *ret_count);

struct procfs_stat {
    pid_t parent;      /* 0: none in this namespace */
    uint64_t start_ns; /* by CLOCK_BOOTTIME, rounded down to a tick of 10 ms */
};

/* → 0; -ENOENT: there is no such process, or it is hidden from us; or another -errno. */
int procfs_stat(pid_t pid, struct procfs_stat *ret);
