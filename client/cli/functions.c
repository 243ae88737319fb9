/* mpool functions: lists the functions that can be called, and their pools. */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/daemon.h"
#include "client/cli/human.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

static bool names_only;

static const struct option_row options[] = {
    {.name = "names", .flag = &names_only, .help = "print the names alone, for scripts"},
    {0},
};

/* "default, gpu" */
static void join_pools(struct view function, char *to, size_t size)
{
    struct view pools, pool;
    size_t used = 0;
    to[0] = 0;
    if (!view_get(function, "pools", &pools))
        return;
    struct view_list list = view_list(pools);
    while (view_next(&list, &pool) && used < size) {
        const char *name;
        size_t length;
        if (wire_read_text(&pool.at, &name, &length) == 0)
            used += (size_t)snprintf(to + used, size - used, "%s%.*s", used ? ", " : "", (int)length, name);
    }
}

static void put_row(struct table *table, struct view function)
{
    char text[512], mean[HUMAN_SIZE];
    table_cell(table, view_text(function, "name", text, sizeof text));
    join_pools(function, text, sizeof text);
    table_cell(table, text);
    table_cell(table, view_text(function, "version", text, sizeof text));
    table_cell(table, view_is_true(function, "idempotent") ? "yes" : "no");
    table_cell_format(table, "%" PRIu64, view_u64(function, "calls", 0));
    table_cell(table,
        view_has(function, "mean_us") ? human_duration_us(mean, sizeof mean, view_f64(function, "mean_us", 0)) : NULL);
    const char *summary = view_text(function, "summary", text, sizeof text);
    table_cell(table, summary ? summary : "");
}

static int print(const mpool_result *result)
{
    static const struct table_column columns[] = {{"FUNCTION", false, false}, {"POOLS", false, true},
        {"VERSION", false, false}, {"RERUN", false, false}, {"CALLS", true, false}, {"MEAN", true, false},
        {"WHAT IT DOES", false, true}};
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct view_list list = view_list(view_of(result));
    for (struct view function; view_next(&list, &function);) {
        const void *name;
        size_t length;
        if (!names_only) {
            put_row(table, function);
        } else if (view_bytes(function, "name", &name, &length)) {
            out_bytes(name, length);
            out_byte('\n');
        }
    }
    if (names_only)
        return EXIT_OK;
    if (table_rows(table) == 0)
        say_note("no functions: no pool has loaded a module; `mpool pools` says why");
    else
        table_print(table);
    return EXIT_OK;
}

static int run(size_t count, char **operands)
{
    (void)count;
    (void)operands;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status == EXIT_OK)
        status = daemon_ask(client, "functions", &result);
    if (status != EXIT_OK)
        return status;
    return settings.json ? show_json(result) : print(result);
}

const struct verb verb_functions = {
    .name = "functions",
    .group = "Look",
    .usage = "[OPTIONS]",
    .line = "list what can be called, and in which pools",
    .about = "RERUN: whether a task is run again when its worker dies. MEAN: its measured time.\n"
             "\n"
             "Examples:\n"
             "  mpool functions\n"
             "  mpool functions --names | grep '^text\\.'\n"
             "  mpool functions --json | jq '.[] | {name, timeout_ms}'\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
