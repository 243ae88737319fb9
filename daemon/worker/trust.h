/* Could anybody but root and one user have tampered with this file?
 *
 * Looks at the file and at every directory above it. When the answer is no, only those two users can change the path
 * between this check and its use. Never logs; knows nothing of modules.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Writable by a group is accepted where the group is the owner's private one (same name, no other members), as umask
 * 002 makes it; a directory that others may write is accepted if it is sticky. An access control list must let nobody
 * else write.
 *
 * → 0 with *ret_real the path without symbolic links (for free()); -ENOENT; -EPERM when it is not to be trusted;
 * another -errno when it could not be looked at. On failure a sentence is in why[why_size]. */
int trust_file(const char *path, uid_t owner, char **ret_real, char *why, size_t why_size);
