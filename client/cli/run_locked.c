/* How is a command run while holding an object? See run_locked.h. */
#include "client/cli/run_locked.h"

#include <errno.h>
#include <stdio.h>

#include "client/cli/child.h"
#include "client/cli/daemon.h"
#include "client/cli/held.h"
#include "client/cli/keeper.h"
#include "client/cli/options.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/verbs.h"

struct lock_options lock_options = {.wait_ms = -1};

int run_locked_parse(
    const struct locker *locker, const struct option_row *rows, size_t count, char **words, char ***ret_command)
{
    char who[32];
    snprintf(who, sizeof who, "mpool %s", locker->what);
    if (count == 0) {
        say_error("%s needs a name and a command: mpool %s NAME -- COMMAND…", locker->what, locker->what);
        return EXIT_OWN;
    }
    const struct option_row *tables[] = {rows, common_options};
    int left = options_parse(who, tables, 2, VERB_COMMAND, words + 1, count - 1);
    if (left < 0 || !verbs_json_fits(locker->verb))
        return EXIT_OWN;
    if (left == 0) {
        say_error("%s: missing command after the name: mpool %s %s -- COMMAND…", locker->what, locker->what, words[0]);
        return EXIT_OWN;
    }
    *ret_command = words + 1;
    return EXIT_OK;
}

static int refused(const struct locker *locker, const char *name)
{
    say_note("%s '%s' timed out", locker->what, name);
    return lock_options.refused.given ? (int)lock_options.refused.value : EXIT_TASK_FAILED;
}

static int give_back(const struct locker *locker, struct held *held, mpool_object *object, const char *name)
{
    bool lost = held_is_lost(held); /* also detects a loss in the last moment */
    int r = locker->release(object);
    if (lost || r == -EPERM || r == -ECONNRESET) {
        say_error("%s '%s' was lost while the command ran: the daemon has ended, or has closed the connection; "
                  "somebody else may have had it meanwhile",
            locker->what, name);
        return EXIT_LOST;
    }
    if (r == 0)
        return EXIT_OK;
    return daemon_say_object(object, r);
}

/* keeper: NULL with --close. */
static int hold(const struct locker *locker, mpool_client *client, mpool_object *object, const char *name,
    char **command, struct keeper *keeper)
{
    struct held held = {.client = client};
    const struct child child = {.words = command, .input = -1, .watch = held_watch(&held)};
    bool abandoned;
    int r = locker->acquire(object, lock_options.try_only ? 0 : lock_options.wait_ms, &abandoned);
    if (r == -ETIMEDOUT)
        return refused(locker, name);
    if (r < 0)
        return daemon_say_object(object, r);
    if (abandoned)
        say_note("%s '%s' was abandoned: whoever had it before died with it", locker->what, name);
    int status = keeper && keeper_stay(keeper) < 0 ? EXIT_OWN : child_run(&child);
    if (keeper && !held_is_lost(&held))
        keeper_release(keeper, status);
    int given = give_back(locker, &held, object, name);
    return given == EXIT_OK ? status : given;
}

struct work {
    const struct locker *locker;
    const mpool_object_options *options;
    const char *name;
    char **command;
};

static int run(struct keeper *keeper, void *userdata)
{
    const struct work *work = userdata;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    mpool_object *object;
    int r = mpool_object_open(client, &object, work->locker->kind, work->name, work->options);
    if (r < 0)
        return daemon_say(client, r);
    status = hold(work->locker, client, object, work->name, work->command, keeper);
    mpool_object_close(object);
    return status;
}

int run_locked(const struct locker *locker, const mpool_object_options *options, const char *name, char **command)
{
    struct work work = {locker, options, name, command};
    return lock_options.close ? run(NULL, &work) : keeper_run(run, &work);
}
