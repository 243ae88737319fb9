/* The identity on whose behalf something is requested: a user, its groups, and whether it is an administrator.
 *
 * Shared by a connection and everything requested over it; each holder takes a reference. Usually it is the user at the
 * other end; if the peer runs inside a worker, it is the caller of the task running there (descent.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct caller {
    uint32_t references;
    uid_t uid;
    gid_t gid;
    bool admin; /* may see and cancel what belongs to others */
    size_t group_count;
    gid_t groups[]; /* supplementary ones */
};

/* The user at the other end of a Unix socket, as the kernel reports it; not yet an administrator. → one reference, and
 * the process' pid (0: in a namespace that is not visible from here); NULL: unknown, or no memory. */
struct caller *caller_of_peer(int fd, pid_t *ret_pid);
struct caller *caller_ref(struct caller *caller);
/* NULL: nothing. */
void caller_unref(struct caller *caller);
