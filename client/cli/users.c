/* What is the name of uid 1000? See users.h. */
#include "client/cli/users.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

const char *users_name(uint64_t uid, char *to, size_t size)
{
    const struct passwd *user = uid <= UINT32_MAX ? getpwuid((uid_t)uid) : NULL;
    if (user)
        snprintf(to, size, "%s", user->pw_name);
    else
        snprintf(to, size, "%" PRIu64, uid);
    return to;
}
