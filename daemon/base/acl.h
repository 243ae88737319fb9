/* May others write to a file by its access control list?
 *
 * Where a file has one, the group's bits of its mode are no more than the most that the list may give; to whom, only
 * the list tells. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/* Does the list of the file (path: not followed if it is a link; or NULL and fd) let any user or group write that is
 * named in it, but root and the file's owner? st: of that file. Without a list nobody is. A list that cannot be read
 * counts as one that does. */
bool acl_lets_others_write(const char *path, int fd, const struct stat *st);
