/* mpool forget: makes the daemon drop the results of submitted tasks before their time to live is over. */
#include "client/cli/ids.h"
#include "client/cli/verbs.h"

static int run(size_t count, char **operands)
{
    static const struct ids_verb forget = {
        IDS_TASKS, "forget", mpool_forget, "forgotten", "has not ended: it goes on, and is forgotten at its end"};
    return ids_each(&forget, operands, count);
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
