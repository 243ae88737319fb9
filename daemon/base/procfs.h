/* What the kernel tells of processes in /proc. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* The children of the calling thread, as the kernel lists them: those that come or go meanwhile may be missing. A
 * kernel that has no such list says that there are none. → 0 with *ret, which the caller frees, and *ret_count;
 * -ENOMEM. */
int procfs_children(pid_t **ret, size_t *ret_count);
