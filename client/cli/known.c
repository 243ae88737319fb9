/* Is there a pool or function of that name, and what may have been meant? See known.h. */
#include "client/cli/known.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/daemon.h"
#include "client/cli/own.h"
#include "client/cli/say.h"
#include "client/cli/view.h"
#include "proto/tables.h"

enum { NAME_SIZE = 256, NAMES_SIZE = 1024 };

/* method: "pools" or "functions", which lists them and is the verb that does. */
static int check(mpool_client *client, const char *method, const char *what, const char *wanted)
{
    _cleanup_(own_result) mpool_result *result = NULL;
    int status = daemon_ask(client, method, &result);
    if (status != EXIT_OK)
        return status;
    char name[NAME_SIZE], nearest[NAME_SIZE] = "";
    const char *const both[] = {name, nearest};
    struct view_list list = view_list(view_of(result));
    for (struct view one; view_next(&list, &one);) {
        if (!view_text(one, "name", name, sizeof name))
            continue;
        if (strcmp(name, wanted) == 0)
            return EXIT_OK;
        if (wire_nearest(wanted, strlen(wanted), both, *nearest ? 2 : 1) == name)
            memcpy(nearest, name, sizeof nearest);
    }
    if (*nearest)
        say_error("there is no %s '%s'; did you mean '%s'?", what, wanted, nearest);
    else
        say_error("there is no %s '%s'; `mpool %s` lists them", what, wanted, method);
    return EXIT_OWN;
}

int known_check(mpool_client *client, const char *pool, const char *function)
{
    int status = pool ? check(client, "pools", "pool", pool) : EXIT_OK;
    return status == EXIT_OK && function ? check(client, "functions", "function", function) : status;
}

/* "math" or "math.sqr": the functions of math. */
static void hint_module(mpool_client *client, const char *function)
{
    char name[NAME_SIZE], names[NAMES_SIZE] = "";
    size_t used = 0, module = strcspn(function, ".");
    _cleanup_(own_result) mpool_result *result = NULL;
    if (mpool_request(client, &result, "functions", NULL) < 0)
        return;
    struct view_list list = view_list(view_of(result));
    for (struct view one; view_next(&list, &one);) {
        if (!view_text(one, "name", name, sizeof name) || strncmp(name, function, module) != 0 || name[module] != '.')
            continue;
        int n = snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
        if (n < 0 || (size_t)n >= sizeof names - used) {
            names[used] = 0;
            break;
        }
        used += (size_t)n;
    }
    if (used)
        say_hint("There are %s.", names);
    else
        say_hint("`mpool functions` lists those there are.");
}

int known_say(mpool_client *client, int code, const char *function)
{
    const char *text = mpool_error_text(client);
    bool told = text && strstr(text, "did you mean");
    int status = daemon_say(client, code);
    if (code == MPOOL_ENO_FUNCTION && !told)
        hint_module(client, function);
    return status;
}
