/* mpool result: prints the result of a submitted task, or the error that it ended with. */
#include "client/cli/daemon.h"
#include "client/cli/ids.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

static bool raw;

static const struct option_row options[] = {
    {.name = "raw", .letter = 'r', .flag = &raw, .help = "write the bytes of a string or binary result as they are"},
    OPTION_ROW_TIMEOUT("wait so long for the task's end (default: do not wait)"),
    {0},
};

static int run(size_t count, char **operands)
{
    uint64_t id;
    if (count > 1) {
        say_error("result takes one id");
        return EXIT_OWN;
    }
    if (ids_check(IDS_TASKS, "result", operands, count) != EXIT_OK ||
        ids_parse(IDS_TASKS, "result", operands[0], &id) < 0)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int r = mpool_fetch(client, id, settings.timeout_ms > 0 ? settings.timeout_ms : 0, &result);
    return r < 0 ? daemon_say(client, r) : show_result(result, raw);
}

const struct verb verb_result = {
    .name = "result",
    .group = "Follow tasks",
    .usage = "[OPTIONS] ID",
    .line = "print the result of a submitted task",
    .about = "Exit status 124 if the task has not ended yet, 1 if it ended with an error.\n"
             "\n"
             "Examples:\n"
             "  mpool result 17\n"
             "  mpool result 17 --timeout 1m      wait up to a minute for it\n"
             "  mpool result 17 --raw > picture.png\n",
    .operands = "@task",
    .options = options,
    .run = run,
};
