/* Can users other than the owner write to a file because of its access control list?
 *
 * If a file has a list, the group bits of its mode are only the mask, an upper bound on what the list grants; who is
 * granted access can only be read from the list. Any thread. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/* Does the list of the file grant write access to any named user or group other than root and the file's owner? path:
 * not followed if it is a link; or NULL and fd. st: of that file. Without a list: false. A list that cannot be read
 * counts as granting it. */
bool acl_lets_others_write(const char *path, int fd, const struct stat *st);
