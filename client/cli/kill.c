/* mpool kill: sends signals to processes. Processes that have ended already are left as they are; that is not a
 * failure. */
#include <signal.h>

#include "client/cli/exit_codes.h"
#include "client/cli/ids.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/signals.h"
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

static int send_signal(mpool_client *client, uint64_t id, bool *ret_sent)
{
    _cleanup_(result_freep) mpool_result *result = NULL;
    int r = mpool_request(client, &result, "signal", "ti", id, signals_number(signal_word));
    if (r == 0)
        r = mpool_result_bool(result, ret_sent);
    return r;
}

static int run(size_t count, char **operands)
{
    static const struct ids_verb verb = {IDS_PROCESSES, "kill", send_signal, "sent", "had ended already"};
    if (signals_number(signal_word) > 0)
        return ids_each(&verb, operands, count);
    say_error("kill: there is no signal '%s'; there are TERM, KILL, INT, HUP …, and numbers from 1 to %d", signal_word,
        NSIG - 1);
    return EXIT_OWN;
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
