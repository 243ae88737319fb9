/* mpool lock: runs a command while a lock is held, like flock(1), and knows when a holder has died. */
#include "client/cli/exit_codes.h"
#include "client/cli/run_locked.h"
#include "client/cli/verbs.h"

static const struct option_row options[] = {
    OPTION_ROWS_LOCK,
    {.name = "nonblock", .letter = 'n', .flag = &lock_options.try_only, .help = "do not wait at all"},
    OPTION_ROWS_CREATE,
    {0},
};

static int run(size_t count, char **words)
{
    static const struct locker locker = {&verb_lock, "lock", "lock", mpool_lock_acquire, mpool_lock_release};
    char **command;
    mpool_object_options made;
    int status = run_locked_parse(&locker, options, count, words, &command);
    if (status == EXIT_OK)
        status = create_options_read(&made);
    return status == EXIT_OK ? run_locked(&locker, &made, words[0], command) : status;
}

const struct verb verb_lock = {
    .name = "lock",
    .group = "Share",
    .usage = "NAME [OPTIONS] [--] COMMAND [ARGUMENT…]",
    .line = "run a command while a lock is held",
    .about =
        "Waits until nobody else has the lock NAME, runs the command here, and gives the lock back when it has ended\n"
        "and all that it started: also what it left running, and whether or not mpool was killed meanwhile. (A\n"
        "second process, mpool-keeper, sees to that.) With --close only the command itself counts, and when\n"
        "mpool is killed it gets SIGTERM, and whoever takes the lock next is told that it was abandoned. The\n"
        "lock is made if there is none.\n"
        "\n"
        "When the daemon ends while the command runs, the lock is lost: the command gets SIGTERM.\n"
        "\n"
        "Exit status: the command's; 1 (or -E N) when the wait timed out; 123 when it was lost.\n"
        "\n"
        "Examples:\n"
        "  mpool lock backup -- rsync -a /srv /mnt/backup\n"
        "  mpool lock deploy -n -E 75 -- ./deploy.sh    # somebody deploys already: exit 75 at once\n"
        "  mpool lock db.migrate -w 30s -- ./migrate\n",
    .operands = "@lock",
    .flags = VERB_COMMAND | VERB_NO_JSON,
    .options = options,
    .run = run,
};
