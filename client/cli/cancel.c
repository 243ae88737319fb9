/* mpool cancel: stops tasks. Tasks that have ended already are left as they are; that is not a failure. */
#include "client/cli/ids.h"
#include "client/cli/signals.h"
#include "client/cli/verbs.h"

static const char *signal_word;

static const struct option_row options[] = {
    {.name = "signal",
        .letter = 's',
        .value = "SIGNAL",
        .words = "INT TERM HUP QUIT",
        .text = &signal_word,
        .is_choice = true,
        .help = "by this signal: what exec.run runs gets it, and its end is the result"},
    {0},
};

static int cancel(mpool_client *client, uint64_t id, bool *ret_stopped)
{
    return mpool_cancel_by(client, id, signal_word ? signals_number(signal_word) : 0, ret_stopped);
}

static int run(size_t count, char **operands)
{
    static const struct ids_verb verb = {IDS_TASKS, "cancel", cancel, "cancelled", "had ended already"};
    return ids_each(&verb, operands, count);
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
             "  mpool cancel --signal INT 17\n"
             "  mpool cancel $(mpool ls --state queued --ids)\n",
    .operands = "@task",
    .options = options,
    .run = run,
};
