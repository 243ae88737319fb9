/* mpool stats: counters since the daemon started. */
#include "client/cli/daemon.h"
#include "client/cli/fields.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

static int run(size_t count, char **operands)
{
    (void)count;
    (void)operands;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status == EXIT_OK)
        status = daemon_ask(client, "stats", &result);
    if (status != EXIT_OK)
        return status;
    if (settings.json)
        return show_json(result);
    fields_print(view_of(result));
    return EXIT_OK;
}

const struct verb verb_stats = {
    .name = "stats",
    .group = "Look",
    .usage = "[OPTIONS]",
    .line = "counters since the daemon started",
    .about = "Examples:\n"
             "  mpool stats\n"
             "  mpool stats --json | jq .tasks.lost\n",
    .flags = VERB_ALONE,
    .run = run,
};
