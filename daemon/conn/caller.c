#include "daemon/conn/caller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct caller *caller_of_peer(int fd, pid_t *ret_pid)
{
    struct ucred cred = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof cred, groups = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &groups) == 0 || errno != ERANGE)
        groups = 0; /* it has none, or they are unknown: err towards fewer rights */
    struct caller *caller = calloc(1, sizeof *caller + groups);
    if (!caller)
        return NULL;
    caller->references = 1;
    caller->uid = cred.uid;
    caller->gid = cred.gid;
    if (groups > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, caller->groups, &groups) == 0)
        caller->group_count = groups / sizeof caller->groups[0];
    *ret_pid = cred.pid;
    return caller;
}

struct caller *caller_ref(struct caller *caller)
{
    caller->references++;
    return caller;
}

void caller_unref(struct caller *caller)
{
    if (caller && --caller->references == 0)
        free(caller);
}
