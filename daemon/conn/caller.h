/* On whose behalf is something asked for? A user, its groups, and whether it is an administrator.
 *
 * Shared by a connection and all that was asked for over it: whoever keeps one takes a reference. Mostly it is the user
 * at the other end; where the peer runs inside a worker it is the caller of the task that runs there (nested.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct caller {
    uint32_t references;
    uid_t uid;
    gid_t gid;
    bool admin; /* may see and end what is others' */
    size_t group_count;
    gid_t groups[]; /* supplementary ones */
};

/* The user at the other end of a Unix socket, as the kernel knows it; no administrator yet.
 * → one reference, and the process' pid (0: it is of a namespace that cannot be seen from here); NULL: it cannot be
 * told, or no memory. */
struct caller *caller_of_peer(int fd, pid_t *ret_pid);
struct caller *caller_ref(struct caller *caller);
/* NULL: nothing. */
void caller_unref(struct caller *caller);
