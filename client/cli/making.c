/* How do --mode, --group and --ttl become options of an object? See making.h. */
#include "client/cli/making.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_codes.h"
#include "client/cli/options.h"
#include "client/cli/say.h"

enum { MS_PER_S = 1000 };

struct making making = {.ttl_ms = -1};

int making_options(mpool_object_options *ret)
{
    *ret = (mpool_object_options)MPOOL_OBJECT_OPTIONS_INIT;
    if (making.mode) {
        if (!*making.mode || strlen(making.mode) > 4 || strspn(making.mode, "01234567") != strlen(making.mode)) {
            say_error("--mode: '%s' is not an octal number such as 0600, 0660 or 0644", making.mode);
            return EXIT_OWN;
        }
        ret->mode = (uint32_t)strtoul(making.mode, NULL, 8);
        if (ret->mode == 0 || (ret->mode & ~0666u)) {
            say_error("--mode: '%s' has other bits than those to read and write (0666), or none", making.mode);
            return EXIT_OWN;
        }
    }
    uint64_t number;
    if (making.group && !getgrnam(making.group) && options_number(making.group, 0, UINT32_MAX - 1, &number) < 0) {
        say_error("--group: there is no group '%s'", making.group);
        return EXIT_OWN;
    }
    ret->group = making.group;
    ret->ttl_s = making.ttl_ms < 0 ? 0 : (uint32_t)((making.ttl_ms + MS_PER_S - 1) / MS_PER_S);
    return EXIT_OK;
}
