/* mpool remove: removes the names of shared objects. */
#include <string.h>

#include "client/cli/daemon.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static int run(size_t count, char **names)
{
    if (count == 0) {
        say_error("remove needs the names of objects; `mpool objects` lists them");
        return EXIT_OWN;
    }
    _cleanup_(disconnectp) mpool_client *client = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        int r = mpool_request(client, NULL, "remove", "s", names[i]);
        if (r < 0) {
            status = daemon_say(client, r);
        } else if (settings.json) {
            out_text("{\"name\": ");
            json_out_bytes(names[i], strlen(names[i]));
            out_text(", \"removed\": true}\n");
        }
    }
    return status;
}

const struct verb verb_remove = {
    .name = "remove",
    .group = "Share",
    .usage = "NAME…",
    .line = "remove shared objects",
    .about = "Whoever has one open goes on using it; it goes with the last of them. The name is free at once.\n"
             "\n"
             "Examples:\n"
             "  mpool remove deploy jobs.done\n",
    .operands = "@object",
    .run = run,
};
