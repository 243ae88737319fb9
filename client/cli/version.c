/* mpool version: this program's version, and the daemon's if one answers. `mpool --version` asks no daemon. */
#include <inttypes.h>
#include <string.h>

#include "client/cli/daemon.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"
#include "client/cli/view.h"

/* A missing daemon is not a failure here, but an answer. */
static int run(size_t count, char **operands)
{
    (void)count;
    (void)operands;
    if (settings.version) {
        out_text("mpool " MPOOL_VERSION "\n");
        return EXIT_OK;
    }
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *stats = NULL;
    char text[64];
    const char *daemon = NULL;
    if (mpool_connect(&client, settings.socket) >= 0 && mpool_request(client, &stats, "stats", NULL) >= 0)
        daemon = view_text(view_of(stats), "version", text, sizeof text);
    if (settings.json) {
        out_text("{\"mpool\": \"" MPOOL_VERSION "\", \"mpoold\": ");
        if (daemon)
            json_out_bytes(daemon, strlen(daemon));
        else
            out_text("null");
        out_text("}\n");
        return EXIT_OK;
    }
    out_text("mpool " MPOOL_VERSION "\n");
    if (daemon)
        out_format("mpoold %s, pid %" PRIu64 ", at %s\n", daemon, view_u64(view_of(stats), "pid", 0),
            mpool_socket_path(client));
    else
        out_text("no daemon answers\n");
    return EXIT_OK;
}

const struct verb verb_version = {
    .name = "version",
    .group = "Other",
    .usage = "",
    .line = "the versions of this program and of the daemon",
    .about = NULL,
    .flags = VERB_ALONE,
    .run = run,
};
