/* mpool cancel: stops tasks. Those that had ended already are left as they are, and that is no failure. */
#include <inttypes.h>

#include "client/cli/daemon.h"
#include "client/cli/ids.h"
#include "client/cli/out.h"
#include "client/cli/own.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static int run(size_t count, char **operands)
{
    if (ids_check(IDS_TASKS, "cancel", operands, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        if (ids_parse(IDS_TASKS, "cancel", operands[i], &id) < 0)
            return EXIT_OWN;
        int r = mpool_cancel(client, id);
        if (r < 0)
            status = daemon_say(client, r);
        else if (settings.json)
            out_format("{\"id\": %" PRIu64 ", \"cancelled\": %s}\n", id, r ? "true" : "false");
        else if (r == 0)
            say_note("task %" PRIu64 " had ended already", id);
    }
    return status;
}

const struct verb verb_cancel = {
    .name = "cancel",
    .group = "Follow tasks",
    .usage = "[OPTIONS] ID…",
    .line = "stop tasks",
    .about = "A task that waits ends at once; a running one is told, and killed after a grace.\n"
             "\n"
             "Examples:\n"
             "  mpool cancel 17\n"
             "  mpool cancel $(mpool ls --state queued --ids)\n",
    .operands = "@task",
    .run = run,
};
