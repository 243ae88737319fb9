/* How do --mode, --group and --ttl become options of an object? See making.h. */
#include "client/cli/making.h"

#include <grp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/daemon.h"
#include "client/cli/options.h"
#include "client/cli/own.h"
#include "client/cli/say.h"
#include "client/cli/view.h"

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

static uint64_t fact(struct view facts, const char *key)
{
    return view_u64(facts, key, view_is_true(facts, key));
}

int making_check(mpool_client *client, const char *name, const struct making_wish *wishes, size_t count)
{
    size_t given = 0;
    for (size_t i = 0; i < count; i++)
        given += wishes[i].given;
    if (given == 0)
        return EXIT_OK;
    _cleanup_(own_result) mpool_result *facts = NULL;
    int r = mpool_request(client, &facts, "inspect", "s", name);
    if (r < 0)
        return daemon_say(client, r);
    for (size_t i = 0; i < count; i++) {
        uint64_t is = fact(view_of(facts), wishes[i].fact);
        if (!wishes[i].given || is == wishes[i].value)
            continue;
        say_error("'%s' is there already, and was made with %s %" PRIu64 ", not %" PRIu64
                  "; `mpool remove %s` lets it be "
                  "made again",
            name, wishes[i].option, is, wishes[i].value, name);
        return EXIT_OWN;
    }
    return EXIT_OK;
}
