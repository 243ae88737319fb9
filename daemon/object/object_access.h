/* Who may do what with an object? Owner, group and mode, like a file's; administrators may do anything. Pure; no state;
 * any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OBJECT_MODE_DEFAULT 0600u
#define OBJECT_MODE_MASK    0666u /* there is nothing to execute */

enum object_right { OBJECT_MAY_READ = 4, OBJECT_MAY_WRITE = 2 };

struct object_owner {
    uid_t uid;
    gid_t gid;
    uint32_t mode;
};

struct object_peer {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    bool admin; /* see conn_is_admin() */
};

bool object_peer_in_group(const struct object_peer *peer, gid_t gid);
/* → OBJECT_MAY_READ | OBJECT_MAY_WRITE, or less. Only the first matching class counts, as with files: an owner without
 * a permission lacks it, even if everybody else has it. */
unsigned object_access(const struct object_owner *owner, const struct object_peer *peer);
