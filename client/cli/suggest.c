/* Is there a pool or function of that name, or one with a similar name? See suggest.h. */
#include "client/cli/suggest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/daemon.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/view.h"
#include "proto/tables.h"

enum { NAME_SIZE = 256, NAMES_SIZE = 1024 };

/* method: "pools" or "functions", both the request that lists them and the verb. */
static int check(mpool_client *client, const char *method, const char *what, const char *wanted)
{
    _cleanup_(result_freep) mpool_result *result = NULL;
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

int suggest_check(mpool_client *client, const char *pool, const char *function)
{
    int status = pool ? check(client, "pools", "pool", pool) : EXIT_OK;
    return status == EXIT_OK && function ? check(client, "functions", "function", function) : status;
}

/* "math" or "math.sqr": the functions of math. */
static void hint_module(mpool_client *client, const char *function)
{
    char name[NAME_SIZE], names[NAMES_SIZE] = "";
    size_t used = 0, module = strcspn(function, ".");
    _cleanup_(result_freep) mpool_result *result = NULL;
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
    else if (!function[module])
        say_hint("A command is run by `mpool run %s`; `mpool functions` lists functions.", function);
    else
        say_hint("`mpool functions` lists those there are.");
}

int suggest_say(mpool_client *client, int code, const char *function)
{
    const char *text = mpool_error_text(client);
    bool told = text && strstr(text, "did you mean");
    int status = daemon_say(client, code);
    if (code == MPOOL_ENO_FUNCTION && !told)
        hint_module(client, function);
    return status;
}

/* The one of this name in a list. → whether there is one. */
static bool find_named(const mpool_result *list_result, const char *name, struct view *ret)
{
    char text[NAME_SIZE];
    struct view_list list = view_list(view_of(list_result));
    while (view_next(&list, ret)) {
        if (view_text(*ret, "name", text, sizeof text) && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

int suggest_jobs(mpool_client *client, const char *pool, const char *function, uint64_t jobs)
{
    _cleanup_(result_freep) mpool_result *functions = NULL, *pools = NULL;
    struct view one, first;
    char name[NAME_SIZE];
    int status = pool ? EXIT_OK : daemon_ask(client, "functions", &functions);
    if (status == EXIT_OK)
        status = daemon_ask(client, "pools", &pools);
    if (status != EXIT_OK)
        return status;
    if (!pool) {
        if (!find_named(functions, function, &one) || !view_get(one, "pools", &one))
            return EXIT_OK; /* the map will report that there is none */
        struct view_list list = view_list(one);
        const char *text;
        size_t length;
        if (!view_next(&list, &first) || wire_read_text(&first.at, &text, &length) < 0 || length >= sizeof name)
            return EXIT_OK;
        memcpy(name, text, length);
        name[length] = 0;
        pool = name;
    }
    uint64_t places = find_named(pools, pool, &one) ? view_u64(one, "max", 0) : 0;
    if (places > 0 && places < jobs)
        say_note("%" PRIu64 " at a time, not %" PRIu64 ": pool '%s' has no more workers", places, jobs, pool);
    return EXIT_OK;
}
