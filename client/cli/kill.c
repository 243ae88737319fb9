/* mpool kill: sends signals to processes. Those that had ended already are left as they are, and that is no failure. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "client/cli/daemon.h"
#include "client/cli/ids.h"
#include "client/cli/options.h"
#include "client/cli/out.h"
#include "client/cli/own.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static const char *signal_word = "TERM";

static const struct option_row options[] = {
    {.name = "signal",
        .letter = 's',
        .value = "SIGNAL",
        .words = "TERM KILL INT HUP QUIT USR1 USR2 STOP CONT",
        .text = &signal_word,
        .help = "a name such as KILL, or a number (default: TERM)"},
    {0},
};

static int send_one(mpool_client *client, uint64_t id, mpool_result **ret)
{
    uint64_t number;
    if (options_number(signal_word, 1, NSIG - 1, &number) == 0)
        return mpool_request(client, ret, "signal", "uu", id, number);
    return mpool_request(client, ret, "signal", "us", id, signal_word);
}

static int run(size_t count, char **operands)
{
    if (ids_check("kill", operands, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        bool sent = false;
        if (ids_parse("kill", operands[i], &id) < 0)
            return EXIT_OWN;
        _cleanup_(own_result) mpool_result *result = NULL;
        int r = send_one(client, id, &result);
        if (r == 0)
            r = mpool_result_bool(result, &sent);
        if (r < 0)
            status = daemon_say(client, r);
        else if (settings.json)
            out_format("{\"id\": %" PRIu64 ", \"sent\": %s}\n", id, sent ? "true" : "false");
        else if (!sent)
            say_note("process %" PRIu64 " had ended already", id);
    }
    return status;
}

const struct verb verb_kill = {
    .name = "kill",
    .group = "Processes",
    .usage = "[OPTIONS] ID…",
    .line = "send processes a signal",
    .about = "For processes that spawn has started; tasks are stopped with cancel.\n"
             "\n"
             "Examples:\n"
             "  mpool kill 17\n"
             "  mpool kill -s KILL $(mpool ps --ids)\n",
    .operands = "@task",
    .options = options,
    .run = run,
};
