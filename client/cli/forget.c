/* mpool forget: the daemon drops the results of submitted tasks before their time is over. */
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
    if (ids_check(IDS_TASKS, "forget", operands, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        if (ids_parse(IDS_TASKS, "forget", operands[i], &id) < 0)
            return EXIT_OWN;
        int r = mpool_forget(client, id);
        if (r < 0)
            status = daemon_say(client, r);
        else if (settings.json)
            out_format("{\"id\": %" PRIu64 ", \"forgotten\": %s}\n", id, r ? "true" : "false");
        else if (r == 0)
            say_note("task %" PRIu64 " has not ended: it goes on, and is forgotten at its end", id);
    }
    return status;
}

const struct verb verb_forget = {
    .name = "forget",
    .group = "Follow tasks",
    .usage = "[OPTIONS] ID…",
    .line = "drop the results of submitted tasks",
    .about = "What the daemon keeps of a submitted task, such as its result, goes at once, and not only when its\n"
             "time (--ttl) is over. A task that has not ended goes on, and is forgotten at its end.\n"
             "\n"
             "Examples:\n"
             "  mpool forget 17\n"
             "  mpool forget $(mpool ls --state done --ids)\n",
    .operands = "@task",
    .run = run,
};
