/* mpool kill: sends signals to processes. Those that had ended already are left as they are, and that is no failure. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

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
        .is_bare = true,
        .help = "a name such as KILL, or a number (default: TERM); also -KILL and -9"},
    {0},
};

/* → 0 with its number, or -1 after it was said that there is none. */
static int find_signal(const char *word, uint64_t *ret)
{
    const char *name = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
    if (options_number(word, 1, NSIG - 1, ret) == 0)
        return 0;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);
        if (known && strcasecmp(known, name) == 0) {
            *ret = (uint64_t)i;
            return 0;
        }
    }
    say_error(
        "kill: there is no signal '%s'; there are TERM, KILL, INT, HUP …, and numbers from 1 to %d", word, NSIG - 1);
    return -1;
}

static int run(size_t count, char **operands)
{
    uint64_t number;
    if (find_signal(signal_word, &number) < 0 || ids_check(IDS_PROCESSES, "kill", operands, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        bool sent = false;
        if (ids_parse(IDS_PROCESSES, "kill", operands[i], &id) < 0)
            return EXIT_OWN;
        _cleanup_(own_result) mpool_result *result = NULL;
        int r = mpool_request(client, &result, "signal", "uu", id, number);
        if (r == 0)
            r = mpool_result_bool(result, &sent);
        if (r == MPOOL_ENO_TASK)
            say_error("E_NO_TASK: there is no process %" PRIu64 "; `mpool ps` shows them", id);
        if (r < 0)
            status = r == MPOOL_ENO_TASK ? EXIT_OWN : daemon_say(client, r);
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
             "  mpool kill -KILL $(mpool ps --ids)\n",
    .operands = "@process",
    .options = options,
    .run = run,
};
