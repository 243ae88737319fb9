/* The verbs and the common options: see verbs.h. */
#include "client/cli/verbs.h"

#include <string.h>

#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "proto/tables.h"

struct settings settings = {.timeout_ms = -1, .call_timeout_ms = -1, .ttl_ms = -1};

#define X(name) &verb_##name,
const struct verb *const verbs[] = {VERBS(X) NULL};
#undef X

enum {
#define X(name) COUNT_##name,
    VERBS(X)
#undef X
        VERB_COUNT
};

const struct option_row common_options[] = {
    {.name = "socket",
        .letter = 'S',
        .value = "PATH",
        .words = "@file",
        .text = &settings.socket,
        .help = "the daemon's socket (default: $MPOOL_SOCKET, else the usual places)"},
    {.name = "call-timeout",
        .value = "TIME",
        .duration_ms = &settings.call_timeout_ms,
        .min = 1,
        .help = "give up if the daemon has not answered within TIME (default: 5s to connect, then no limit)"},
    {.name = "json", .flag = &settings.json, .help = "print the reply as JSON"},
    {.name = "color",
        .value = "WHEN",
        .words = "auto always never",
        .text = &settings.color,
        .is_choice = true,
        .help = "auto, always or never"},
    {.name = "quiet",
        .letter = 'q',
        .flag = &settings.quiet,
        .help = "suppress hints, notes and progress; errors are still printed"},
    {.name = "help", .letter = 'h', .flag = &settings.help, .help = "this text"},
    {.name = "version", .letter = 'V', .flag = &settings.version, .help = "the version of this program"},
    {0},
};

const struct option_row leading_options[] = {
    OPTION_ROW_POOL, OPTION_ROW_TIMEOUT("how long a task may run, or a wait may take"), {0}};

bool verbs_json_fits(const struct verb *verb)
{
    bool fits = !settings.json || !(verb->flags & VERB_NO_JSON);
    if (!fits)
        say_error("%s takes no --json: what it prints is no answer of the daemon's", verb->name);
    return fits;
}

/* → the verb, or NULL. */
static const struct verb *verb_find(const char *name)
{
    for (const struct verb *const *v = verbs; *v; v++) {
        if (strcmp((*v)->name, name) == 0)
            return *v;
    }
    return NULL;
}

const struct verb *verb_find_or_say(const char *name)
{
    const struct verb *verb = verb_find(name);
    if (verb)
        return verb;
    const char *names[VERB_COUNT];
    for (size_t i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i]->name;
    const char *near = wire_nearest(name, strlen(name), names, VERB_COUNT);
    if (near)
        say_error("there is no verb '%s'; did you mean '%s'?", name, near);
    else
        say_error("there is no verb '%s'; `mpool --help` lists them", name);
    return NULL;
}
