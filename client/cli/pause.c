/* mpool pause and mpool resume: no more tasks of a pool, or of a function of it, are started. */
#include <stdio.h>

#include "client/cli/cleanup.h"
#include "client/cli/daemon.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static int ask(const char *method, size_t count, char **operands)
{
    if (count < 1 || count > 2) {
        say_error("%s: expected a pool, and possibly a function", method);
        return EXIT_OWN;
    }
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    int r = mpool_request(client, &result, method, "ss", operands[0], count > 1 ? operands[1] : NULL);
    if (r < 0)
        return daemon_say(client, r);
    bool changed = false;
    mpool_result_bool(result, &changed);
    if (settings.json)
        out_text(changed ? "true\n" : "false\n");
    else if (!changed)
        say_note("it was %s already", method[0] == 'p' ? "paused" : "running");
    return EXIT_OK;
}

static int run_pause(size_t count, char **operands)
{
    return ask("pause", count, operands);
}

static int run_resume(size_t count, char **operands)
{
    return ask("resume", count, operands);
}

const struct verb verb_pause = {
    .name = "pause",
    .group = "Follow tasks",
    .usage = "POOL [FUNCTION]",
    .line = "start no more tasks of a pool, or of a function",
    .about = "New tasks are accepted and wait; those that run go on. Other functions of the pool are not held up.\n"
             "For administrators. `mpool pools` and `mpool functions --json` show what is paused.\n"
             "\n"
             "Examples:\n"
             "  mpool pause default\n"
             "  mpool pause default text.wordcount\n",
    .operands = "@pool",
    .run = run_pause,
};

const struct verb verb_resume = {
    .name = "resume",
    .group = "Follow tasks",
    .usage = "POOL [FUNCTION]",
    .line = "end a pause",
    .about = "What waited is started in its order.\n"
             "\n"
             "Examples:\n"
             "  mpool resume default\n",
    .operands = "@pool",
    .run = run_resume,
};
