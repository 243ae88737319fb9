/* mpool map: runs a function, or a command, over many items.
 *
 * Millions of items run in constant memory: they are read only as fast as the daemon accepts them. The loop waits
 * for the connection, for signals and for a source that has run dry in one poll(), so results are printed as they
 * arrive. The first signal cancels the map and shows the items that still end; the second exits immediately.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/bar.h"
#include "client/cli/command.h"
#include "client/cli/daemon.h"
#include "client/cli/halt_policy.h"
#include "client/cli/suggest.h"
#include "client/cli/map_input.h"
#include "client/cli/map_output.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/signals.h"
#include "client/cli/verbs.h"
#include "proto/clock.h"

enum {
    JOBS_MAX = 65536,
    FAILURES_SHOWN = 100,
    STOP_MS = 5000, /* exec.run stops a command within a second of its time-out, else its worker is killed */
};

static struct {
    const char *exec, *halt;
    struct option_count jobs, max_output;
    bool keep_order, nul, strings, lists, bar, sum;
} opt = {.bar = true};

static bool bar_wanted;

static const struct option_row options[] = {
    {.name = "exec",
        .letter = 'x',
        .value = "COMMAND",
        .words = "@command",
        .text = &opt.exec,
        .help = "run a shell command for each item; {} is the item, as one word, {#} its number"},
    {.name = "max-output",
        .value = "BYTES",
        .count = &opt.max_output,
        .max = 1u << 30,
        .help = "of a command (--exec): bytes kept of each output (default: 16 MiB)"},
    {.name = "keep-order", .letter = 'k', .flag = &opt.keep_order, .help = "print results in the items' order"},
    {.name = "jobs",
        .letter = 'j',
        .value = "N",
        .count = &opt.jobs,
        .min = 1,
        .max = JOBS_MAX,
        .help = "at most N items at the daemon at a time"},
    {.name = "halt",
        .value = "WHEN",
        .words = "now soon now,fail=1 soon,fail=1",
        .text = &opt.halt,
        .help = "give up at a failure: now (stop what runs), soon (let it end); now,fail=N at the Nth"},
    {.name = "sum", .flag = &opt.sum, .help = "add the results up and print the sum alone"},
    {.name = "null", .letter = '0', .flag = &opt.nul, .help = "items on standard input end with a NUL, not a newline"},
    {.name = "strings", .letter = 's', .flag = &opt.strings, .help = "items are strings, even if they look like JSON"},
    {.name = "args-json", .flag = &opt.lists, .help = "each item is a JSON array, the function's whole argument list"},
    {.name = "bar", .flag = &bar_wanted, .help = "show progress, though results go to the terminal, too"},
    {.name = "no-bar", .unflag = &opt.bar, .help = "show no progress"},
    OPTION_ROWS_COMMAND,
    OPTION_ROWS_TASK,
    {0},
};

struct map {
    struct map_input input;
    struct map_output output;
    struct halt halt;
    const char *function;
    mpool_options task;
    mpool_map_options options;
    int64_t heard_ms;     /* when the daemon answered last */
    mpool_client *client; /* borrowed */
    mpool_map *items;
    bool halted;
    int signal; /* the first signal received */
};

static void map_reset(struct map *map)
{
    bar_end();
    mpool_map_free(map->items);
    map_input_reset(&map->input);
}

/* ---- operands and options ---- */

static int check_options(struct map *map)
{
    if (daemon_check_task_options() != EXIT_OK || halt_parse(opt.halt, &map->halt) < 0)
        return -1;
    const char *clash = opt.max_output.given && !opt.exec ? "--max-output is of commands, which --exec runs"
                        : opt.exec && opt.lists           ? "--exec takes text, not --args-json"
                        : opt.strings && opt.lists        ? "--strings and --args-json exclude one another"
                        : opt.sum && opt.exec             ? "--sum adds results of functions, and --exec has none"
                        : opt.sum && settings.json        ? "--sum and --json exclude one another"
                                                          : NULL;
    if (clash)
        say_error("map: %s", clash);
    return clash ? -1 : 0;
}

/* Accepts FN ::: items, FN (items on standard input), or no FN with --exec. → 0 with the function, or -1. */
static int read_operands(struct map *map, size_t count, char **operands)
{
    size_t at = 0;
    while (at < count && strcmp(operands[at], ":::") != 0)
        at++;
    if (opt.exec ? at > 0 : at != 1) {
        if (at > 1 && at == count && !opt.exec)
            say_error("map: items stand behind \":::\", as in `mpool map %s ::: %s%s`", operands[0], operands[1],
                at > 2 ? " …" : "");
        else if (at > 1 || opt.exec)
            say_error("map: unexpected '%s' before \":::\": only one function is allowed there%s", operands[at - 1],
                opt.exec ? ", and with --exec none" : "");
        else
            say_error("map needs a function, or --exec; `mpool map --help` has examples");
        return -1;
    }
    map->function = opt.exec ? "exec.run" : operands[0];
    for (size_t i = at + 1; i < count; i++) {
        if (strcmp(operands[i], ":::") == 0 || strcmp(operands[i], "::::") == 0 || strcmp(operands[i], ":::+") == 0) {
            say_error("map: there is one list of items, and '%s' would begin a second one; an item of that name can "
                      "come on standard input",
                operands[i]);
            return -1;
        }
    }
    if (at < count)
        items_from_words(&map->input.items, operands + at + 1, count - at - 1);
    else
        items_from_fd(&map->input.items, STDIN_FILENO, opt.nul ? '\0' : '\n');
    if (at == count && isatty(STDIN_FILENO))
        say_note("reading items from the terminal, one a line, until Ctrl-D");
    return 0;
}

static int prepare_command(struct map_input *input)
{
    input->exec = true;
    if (template_read(&input->template, "map", opt.exec, TEMPLATE_ITEM_APPENDED) < 0)
        return -1;
    struct command_extras extras = {.merge = !settings.json,
        .timeout_ms = settings.timeout_ms,
        .max_output = &opt.max_output,
        .variables = template_variables(&input->template)};
    return command_pack_options(&input->options, &extras);
}

static int prepare(struct map *map, size_t count, char **operands)
{
    if (check_options(map) < 0 || read_operands(map, count, operands) < 0)
        return -1;
    map->input.kind = opt.lists ? JSON_IN_ARRAY : opt.strings ? JSON_IN_TEXT : JSON_IN_WORD;
    if (opt.exec && prepare_command(&map->input) < 0)
        return -1;
    map->output.exec = opt.exec != NULL;
    map->output.json = settings.json;
    map->output.sum = opt.sum;
    map->options = (mpool_map_options)MPOOL_MAP_OPTIONS_INIT;
    map->task = daemon_task_options();
    map->options.task = &map->task;
    if (opt.exec && settings.timeout_ms > 0)
        map->task.timeout_ms += STOP_MS < INT32_MAX - settings.timeout_ms ? STOP_MS : 0;
    map->options.unordered = !opt.keep_order;
    map->options.star = opt.lists || opt.exec;
    map->options.window = (uint32_t)opt.jobs.value;
    /* commands differ too much for the pace to be measured, and --jobs N means N items at a time */
    map->options.chunk = opt.exec || opt.jobs.given ? 1 : 0;
    return 0;
}

/* ---- the loop ---- */

static void update_bar(struct map *map)
{
    if (!bar_is_due())
        return;
    if (!map->input.dry)
        items_read_ahead(&map->input.items);
    struct bar_state state = {.done = map->output.done, .failed = map->output.failed, .read = map->input.pulled};
    state.total_known = items_total(&map->input.items, &state.total);
    bar_update(&state);
}

/* → true to exit at once. */
static bool on_signal(struct map *map, int number)
{
    if (map->signal)
        return true;
    map->signal = number;
    map->output.cancelled = true;
    mpool_map_cancel_by(map->items, number);
    if (isatty(STDERR_FILENO))
        say_note("stopping what runs; press Ctrl-C again to leave at once");
    return false;
}

static void look_at_halt(struct map *map)
{
    if (map->output.refused && !map->output.cancelled) {
        map->output.cancelled = true;
        mpool_map_cancel(map->items);
    }
    if (map->halted || map->halt.when == HALT_NEVER || map->output.failed < map->halt.failures)
        return;
    map->halted = true;
    if (map->halt.when == HALT_SOON) {
        map->input.stopped = true;
        return;
    }
    map->output.cancelled = true;
    mpool_map_cancel(map->items);
}

/* Waits until there is something to do. → 0; 1 exit at once; -errno. */
static int wait(struct map *map)
{
    mpool_client *client = map->client;
    uint64_t pulled, given;
    mpool_map_progress(map->items, &pulled, &given);
    if (pulled == given) /* it is the source that is waited for */
        map->heard_ms = clock_now_ms();
    out_flush();
    update_bar(map);
    enum { DAEMON, SIGNALS, SOURCE, COUNT };
    struct pollfd p[COUNT] = {
        [DAEMON] = {.fd = mpool_fd(client), .events = (short)mpool_events(client)},
        [SIGNALS] = {.fd = signals_fd(), .events = POLLIN},
        [SOURCE] = {.fd = map->input.dry && !map->input.stopped ? map->input.items.fd : -1, .events = POLLIN},
    };
    int timeout_ms = clock_sooner_ms(mpool_timeout_ms(client), bar_wait_ms());
    if (poll(p, COUNT, clock_sooner_ms(timeout_ms, daemon_left_ms(map->heard_ms))) < 0 && errno != EINTR)
        return -errno;
    if (p[DAEMON].revents)
        map->heard_ms = clock_now_ms();
    else if (daemon_left_ms(map->heard_ms) == 0)
        return -ETIMEDOUT;
    if (p[SOURCE].revents)
        map->input.dry = false;
    int number = p[SIGNALS].revents ? signals_take() : 0;
    if (number && on_signal(map, number))
        return 1;
    (void)mpool_dispatch(client); /* a lost connection is reported by the items, and then by the end of the map */
    return 0;
}

/* Called between results, so that an endless stream of them does not starve signals, the bar, or the source. → true to
 * exit at once. */
static bool look_around(struct map *map)
{
    update_bar(map);
    map->input.dry = false;
    int number = signals_take();
    return number && on_signal(map, number);
}

/* → 0; 1 exit at once; negative. */
static int loop(struct map *map)
{
    for (uint64_t n = 0;; n++) {
        mpool_item item = MPOOL_ITEM_INIT;
        int r = mpool_map_next(map->items, &item, 0);
        if (r == 1) {
            size_t length = 0;
            const char *refused = "";
            _cleanup_(freep) char *text = inflight_take(&map->input.inflight, item.index, &length, &refused);
            map_output_item(&map->output, &item, text, length, refused);
            look_at_halt(map);
            if (n % 64 == 0 && look_around(map))
                return 1;
        } else if (r == -EAGAIN || r == -ETIMEDOUT) {
            r = wait(map);
            if (r != 0)
                return r;
        } else {
            return r;
        }
    }
}

static int finish(struct map *map, int r)
{
    struct map_output *o = &map->output;
    bar_end();
    if (o->sum && r == 0 && !o->lost && !o->refused && !map->signal && !map->input.failed)
        map_output_sum(o);
    out_flush();
    if (o->stopped > 0 && map->halted)
        say_note("halted after %" PRIu64 " failed; %" PRIu64 " more were stopped", o->failed, o->stopped);
    if (map->signal)
        return ENDED_BY + map->signal;
    if (o->lost || (r < 0 && !map->input.failed))
        daemon_say(map->client, o->lost ? o->lost : r);
    if (o->refused == MPOOL_ENO_FUNCTION && !strchr(map->function, '.'))
        say_hint("A command is run by --exec, as in `mpool map --exec '%s {}' ::: …`.", map->function);
    if (o->unanswered > 0 && (o->lost || o->done > o->unanswered + o->stopped))
        say_error("%" PRIu64 " item%s no answer", o->unanswered, o->unanswered == 1 ? " has" : "s have");
    if (r == -ETIMEDOUT)
        return EXIT_TIMED_OUT;
    if (r < 0 || o->lost || o->refused || o->broken || map->input.failed)
        return EXIT_OWN;
    return o->failed > FAILURES_SHOWN ? EXIT_MAP_MANY : (int)o->failed;
}

static int run(size_t count, char **operands)
{
    _cleanup_(map_reset) struct map map = {0};
    if (prepare(&map, count, operands) < 0)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    map.client = client;
    int r = signals_open(); /* only once there is something to cancel: connecting may take a while */
    if (r < 0) {
        say_error("signalfd: %s", strerror(-r));
        return EXIT_OWN;
    }
    if (opt.jobs.given && suggest_jobs(client, settings.pool, map.function, opt.jobs.value) != EXIT_OK)
        return EXIT_OWN;
    r = mpool_map_start(client, &map.items, map.function, map_input_pull, &map.input, &map.options);
    if (r < 0)
        return daemon_say(client, r);
    if (opt.bar && !settings.quiet && bar_possible() && (bar_wanted || !isatty(STDOUT_FILENO)))
        bar_start();
    map.heard_ms = clock_now_ms();
    r = loop(&map);
    return r == 1 ? ENDED_BY + map.signal : finish(&map, r);
}

const struct verb verb_map = {
    .name = "map",
    .group = "Run tasks",
    .usage = "[OPTIONS] FUNCTION [::: ITEM…]\n       mpool map [OPTIONS] --exec COMMAND [::: ITEM…]",
    .line = "run a function or a command over many items",
    .about =
        "Items stand after \":::\", or come on standard input, one a line. They are JSON where they parse, else\n"
        "strings. A function runs where the daemon does: it finds a file by its whole path.\n"
        "\n"
        "Results are printed as they come, one a line: text as it is, the rest as JSON; failures go\n"
        "to standard error. With --json each line is {\"index\", \"item\", \"result\" or \"error\"}; the index begins\n"
        "at 0, items in messages and {#} at 1.\n"
        "\n"
        "With --exec a shell runs COMMAND for each item; its outputs are written unmixed when it ends. {} is the\n"
        "item as one word, whatever is in it, and needs no quotes: where the shell would read it otherwise, as in\n"
        "'…', it is refused. {.} is the item without its extension, {/} without its directory, {//} the directory,\n"
        "{/.} the name without both, {#} the item's number. The command has the item in $MPOOL_ITEM, too.\n"
        "Without any of them the item is appended.\n"
        "\n"
        "The exit status is the number of items that failed, up to 100; 101 for more.\n"
        "\n"
        "Examples:\n"
        "  mpool map math.square ::: 1 2 3\n"
        "  find /usr/include -type f -print0 | mpool map -0 --sum text.wordcount\n"
        "  seq 1000000 | mpool map -k math.square > squares\n"
        "  mpool map -j 4 --exec 'convert {} {.}.png' ::: *.jpg\n"
        "  printf '%s\\n' '[2, 3]' '[4, 5]' | mpool map --args-json math.add\n"
        "  mpool map --halt now --timeout 5s --exec 'curl -fsSO {}' < urls\n",
    .operands = "@function",
    .flags = VERB_ITEMS,
    .options = options,
    .run = run,
};
