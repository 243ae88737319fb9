/* mpool submit: submits a task that outlives this program, and prints its id. */
#include <inttypes.h>

#include "client/cli/args.h"
#include "client/cli/daemon.h"
#include "client/cli/suggest.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static const struct option_row options[] = {
    OPTION_ROWS_ARGS,
    OPTION_ROW_TTL,
    OPTION_ROWS_TASK,
    {0},
};

static int run(size_t count, char **operands)
{
    if (count == 0) {
        say_error("submit needs a function; `mpool functions` lists them");
        return EXIT_OWN;
    }
    _cleanup_(wire_buf_reset) struct wire_buf args = {0};
    if (daemon_check_task_options() != EXIT_OK || args_pack(&args, operands + 1, count - 1) < 0)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    mpool_options task = daemon_task_options();
    uint64_t id;
    int r = mpool_submit_raw(client, &id, operands[0], wire_buf_at(&args), wire_buf_length(&args), &task);
    if (r < 0)
        return suggest_say(client, r, operands[0]);
    out_format("%" PRIu64 "\n", id);
    return EXIT_OK;
}

const struct verb verb_submit = {
    .name = "submit",
    .group = "Run tasks",
    .usage = "[OPTIONS] FUNCTION [ARGUMENT…]",
    .line = "hand in a task that outlives its client, print its id",
    .about = "The task runs whether or not anybody waits. Its result is kept for a while: see wait and result.\n"
             "\n"
             "Examples:\n"
             "  id=$(mpool submit text.wordcount /etc/services)\n"
             "  mpool wait $id && mpool result $id\n"
             "  mpool submit exec.run '[\"make\", \"-C\", \"/srv/site\"]' --name nightly --ttl 1d\n",
    .operands = "@function",
    .flags = VERB_NUMBERS,
    .options = options,
    .run = run,
};
