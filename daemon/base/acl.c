#include "daemon/base/acl.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/xattr.h>

/* Layout of the attribute (<linux/posix_acl_xattr.h>): a version, then entries, all little endian. */
#define ACL_NAME    "system.posix_acl_access"
#define ACL_VERSION 2u
#define ACL_WRITE   2u

enum { ACL_USER = 0x02, ACL_GROUP = 0x08 };

struct acl_entry {
    uint16_t tag, permissions;
    uint32_t id;
};

bool acl_lets_others_write(const char *path, int fd, const struct stat *st)
{
    unsigned char list[64u << 10]; /* maximum size of an attribute value */
    uint32_t version;
    if (!(st->st_mode & S_IWGRP))
        return false; /* the mask limits what entries can grant */
    ssize_t n = path ? lgetxattr(path, ACL_NAME, list, sizeof list) : fgetxattr(fd, ACL_NAME, list, sizeof list);
    if (n < 0)
        return errno != ENODATA && errno != EOPNOTSUPP;
    if ((size_t)n < sizeof version)
        return true;
    memcpy(&version, list, sizeof version);
    if (le32toh(version) != ACL_VERSION)
        return true;
    for (size_t at = sizeof version; at + sizeof(struct acl_entry) <= (size_t)n; at += sizeof(struct acl_entry)) {
        struct acl_entry e;
        memcpy(&e, list + at, sizeof e);
        uint32_t id = le32toh(e.id);
        bool named = (le16toh(e.tag) == ACL_USER && id != 0 && id != st->st_uid) || le16toh(e.tag) == ACL_GROUP;
        if (named && (le16toh(e.permissions) & ACL_WRITE))
            return true;
    }
    return false;
}
