/* mpool sem: runs a command while holding one of N places: at most N such commands run at a time. */
#include "client/cli/exit_codes.h"
#include "client/cli/run_locked.h"
#include "client/cli/verbs.h"

static struct option_count places;

static const struct option_row options[] = {
    {.name = "at-most",
        .letter = 'n',
        .value = "N",
        .count = &places,
        .min = 1,
        .max = 256,
        .help = "so many commands at a time (default: 1)"},
    OPTION_ROWS_LOCK,
    {.name = "nonblock", .flag = &lock_options.try_only, .help = "do not wait at all"},
    OPTION_ROWS_CREATE,
    {0},
};

static int run(size_t count, char **words)
{
    static const struct locker locker = {
        &verb_sem, "sem", "bounded_semaphore", mpool_semaphore_acquire, mpool_semaphore_release};
    char **command;
    mpool_object_options made;
    int status = run_locked_parse(&locker, options, count, words, &command);
    if (status == EXIT_OK)
        status = create_options_read(&made);
    if (status != EXIT_OK)
        return status;
    if (places.given)
        made.tokens = (int64_t)places.value;
    return run_locked(&locker, &made, words[0], command);
}

const struct verb verb_sem = {
    .name = "sem",
    .group = "Share",
    .usage = "NAME [-n N] [OPTIONS] [--] COMMAND [ARGUMENT…]",
    .line = "run a command, at most N of them at a time",
    .about =
        "Waits until fewer than N commands run under the semaphore NAME, and runs one more. The first one decides\n"
        "how many there may be: another N is an error from then on, and without -n the first one's holds; `mpool\n"
        "remove NAME` lets it be made again. A place is free again when the command has\n"
        "ended and all that it started, as with `mpool lock`, which see for --close.\n"
        "\n"
        "When the daemon ends while the command runs, the place is lost: the command gets SIGTERM.\n"
        "\n"
        "Exit status: the command's; 1 (or -E N) when the wait timed out; 123 when it was lost.\n"
        "\n"
        "Examples:\n"
        "  mpool sem downloads -n 4 -- curl -O https://example.org/file\n"
        "  for f in *.wav; do mpool sem encode -n 2 -- flac \"$f\" & done; wait\n",
    .operands = "@semaphore",
    .flags = VERB_COMMAND | VERB_NO_JSON,
    .options = options,
    .run = run,
};
