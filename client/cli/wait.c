/* mpool wait: waits until submitted tasks have ended; its exit status tells whether all succeeded.
 *
 * --timeout holds for all of them together.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "client/cli/command_end.h"
#include "client/cli/daemon.h"
#include "client/cli/ids.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"
#include "proto/clock.h"
#include "proto/tables.h"

static const struct option_row options[] = {
    OPTION_ROW_TIMEOUT("give up after TIME (exit status 124); 0 only looks"),
    {0},
};

/* A failed command is a successful result of exec.run: read its exit status from the result. → exit status. */
static int report_command(mpool_client *client, uint64_t id)
{
    _cleanup_(result_freep) mpool_result *result = NULL;
    int r = mpool_fetch(client, id, 0, &result);
    if (r < 0)
        return daemon_say(client, r);
    char trouble[COMMAND_END_SIZE];
    struct view end = view_of(result);
    if (*command_end_trouble(end, trouble) && !settings.json)
        say_error("task %" PRIu64 ": %s", id, trouble);
    return command_end_status(end);
}

/* → exit status of this task's end. */
static int report(mpool_client *client, const mpool_result *status, uint64_t id)
{
    struct view s = view_of(status);
    char text[1024], state[32];
    if (settings.json)
        show_json(status);
    if (show_succeeded(s)) {
        const char *function = view_text(s, "function", text, sizeof text);
        return function && command_end_is_of(function) ? report_command(client, id) : EXIT_OK;
    }
    const char *known = view_text(s, "state", state, sizeof state);
    if (!settings.json) {
        const char *error = view_text(s, "error", text, sizeof text);
        say_error("task %" PRIu64 ": %s", id,
            error   ? error
            : known ? known
                    : "ended in a state that is not known here");
    }
    return known && wire_state_find(known, strlen(known)) == MPOOL_STATE_TIMEOUT ? EXIT_TIMED_OUT : EXIT_TASK_FAILED;
}

/* The most severe status wins: mpool's own failure, then a time-out, then the status of the first failed task. */
static int worse(int a, int b)
{
    if (a == EXIT_OK || b == EXIT_OK)
        return a == EXIT_OK ? b : a;
    return b == EXIT_OWN || (b == EXIT_TIMED_OUT && a != EXIT_OWN) ? b : a;
}

static int run(size_t count, char **operands)
{
    if (ids_check(IDS_TASKS, "wait", operands, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int64_t end_ms = clock_now_ms() + settings.timeout_ms;
    int exit_status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        if (ids_parse(IDS_TASKS, "wait", operands[i], &id) < 0)
            return EXIT_OWN;
        int64_t left_ms = settings.timeout_ms < 0 ? -1 : end_ms - clock_now_ms();
        if (settings.timeout_ms >= 0 && left_ms < 0)
            left_ms = 0;
        _cleanup_(result_freep) mpool_result *status = NULL;
        int r = mpool_wait(client, id, left_ms, &status);
        exit_status = worse(exit_status, r < 0 ? daemon_say(client, r) : report(client, status, id));
    }
    return exit_status;
}

const struct verb verb_wait = {
    .name = "wait",
    .group = "Follow tasks",
    .usage = "[OPTIONS] ID…",
    .line = "wait until tasks have ended",
    .about = "Exit status 0 only if every one of them succeeded, 1 if one failed, 124 after the time-out, or if one\n"
             "ran for too long, 125 if one is not known. A command (exec.run) that ended has its own status, as\n"
             "`mpool run` would: 3 for `exit 3`, 128+N where signal N killed it, 127 where there is none of its\n"
             "name. Of several tasks, the first that failed is told.\n"
             "\n"
             "Examples:\n"
             "  mpool wait 17 18 19 && echo all went well\n"
             "  mpool wait --timeout 10s 17\n"
             "  mpool wait $(mpool submit exec.run 'make -C /srv/site')\n"
             "  mpool wait --json 17 | jq .verdict\n",
    .operands = "@task",
    .options = options,
    .run = run,
};
