#include "daemon/worker/trust.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/acl.h"
#include "daemon/base/cleanup.h"
#include "proto/text.h"

/* A private group: it has the name of the file's owner, and no member but him. */
static bool group_is_private(gid_t gid, uid_t uid)
{
    if (gid == 0)
        return true;
    struct passwd pw_room, *pw = NULL;
    struct group gr_room, *gr = NULL;
    char pw_text[4096], gr_text[4096];
    if (getpwuid_r(uid, &pw_room, pw_text, sizeof pw_text, &pw) != 0 || !pw || pw->pw_gid != gid)
        return false;
    if (getgrgid_r(gid, &gr_room, gr_text, sizeof gr_text, &gr) != 0 || !gr || strcmp(gr->gr_name, pw->pw_name) != 0)
        return false;
    for (char **member = gr->gr_mem; *member; member++)
        if (strcmp(*member, pw->pw_name) != 0)
            return false;
    return true;
}

/* → what is wrong with it, as the end of a sentence, or NULL. */
static const char *distrust(const char *path, const struct stat *st, uid_t owner)
{
    if (st->st_uid != 0 && st->st_uid != owner)
        return "belongs to another user: change its owner to root or to the user of the daemon";
    if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))
        return NULL;
    if (st->st_mode & S_IWOTH)
        return "may be written by everybody: chmod o-w it";
    if ((st->st_mode & S_IWGRP) && !group_is_private(st->st_gid, st->st_uid))
        return "may be written by its group: chmod g-w it";
    if (acl_lets_others_write(path, -1, st))
        return "may be written by others, as its access control list says: setfacl -b it";
    return NULL;
}

int trust_file(const char *path, uid_t owner, char **ret_real, char *why, size_t why_size)
{
    _cleanup_(cleanup_free) char *real = realpath(path, NULL);
    _cleanup_(cleanup_free) char *step = real ? strdup(real) : NULL;
    if (!real || !step) {
        int error = errno;
        wire_format(why, why_size, "%s: %s", path, strerror(error));
        return -error;
    }
    struct stat st;
    for (bool first = true;; first = false) {
        if (lstat(step, &st) < 0) {
            int error = errno;
            wire_format(why, why_size, "%s: %s", step, strerror(error));
            return -error;
        }
        if (first && !S_ISREG(st.st_mode)) {
            wire_format(why, why_size, "%s is not a regular file", step);
            return -EPERM;
        }
        const char *wrong = distrust(step, &st, owner);
        if (wrong) {
            wire_format(
                why, why_size, "%s is not trusted: %s%s%s", real, first ? "it " : step, first ? "" : " ", wrong);
            return -EPERM;
        }
        char *slash = strrchr(step, '/');
        if (slash == step && step[1] == 0)
            break;
        if (slash == step)
            slash++; /* the last step is "/" itself */
        *slash = 0;
    }
    *ret_real = TAKE(real);
    return 0;
}
