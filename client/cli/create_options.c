/* How do --mode, --group and --ttl become options of an object? See create_options.h. */
#include "client/cli/create_options.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_codes.h"
#include "client/cli/options.h"
#include "client/cli/say.h"

enum { MS_PER_S = 1000 };

struct create_options create_options = {.ttl_ms = -1};

int create_options_read(mpool_object_options *ret)
{
    *ret = (mpool_object_options)MPOOL_OBJECT_OPTIONS_INIT;
    if (create_options.mode) {
        if (!*create_options.mode || strlen(create_options.mode) > 4 ||
            strspn(create_options.mode, "01234567") != strlen(create_options.mode)) {
            say_error("--mode: '%s' is not an octal number such as 0600, 0660 or 0644", create_options.mode);
            return EXIT_OWN;
        }
        ret->mode = (uint32_t)strtoul(create_options.mode, NULL, 8);
        if (ret->mode == 0 || (ret->mode & ~0666u)) {
            say_error("--mode: '%s' has other bits than those to read and write (0666), or none", create_options.mode);
            return EXIT_OWN;
        }
    }
    uint64_t number;
    if (create_options.group && !getgrnam(create_options.group) &&
        options_number(create_options.group, 0, UINT32_MAX - 1, &number) < 0) {
        say_error("--group: there is no group '%s'", create_options.group);
        return EXIT_OWN;
    }
    ret->group = create_options.group;
    ret->ttl_s = create_options.ttl_ms < 0 ? 0 : (uint32_t)((create_options.ttl_ms + MS_PER_S - 1) / MS_PER_S);
    return EXIT_OK;
}
