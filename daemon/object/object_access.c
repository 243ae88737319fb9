#include "daemon/object/object_access.h"

bool object_peer_in_group(const struct object_peer *peer, gid_t gid)
{
    if (peer->gid == gid)
        return true;
    for (size_t i = 0; i < peer->group_count; i++)
        if (peer->groups[i] == gid)
            return true;
    return false;
}

unsigned object_access(const struct object_owner *owner, const struct object_peer *peer)
{
    unsigned shift = 0;
    if (peer->admin)
        return OBJECT_MAY_READ | OBJECT_MAY_WRITE;
    if (peer->uid == owner->uid)
        shift = 6;
    else if (object_peer_in_group(peer, owner->gid))
        shift = 3;
    return owner->mode >> shift & (OBJECT_MAY_READ | OBJECT_MAY_WRITE);
}
