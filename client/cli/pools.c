/* mpool pools: the pools, their size and health. */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/daemon.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/pools.h"
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

static void put_row(struct table *table, struct view pool)
{
    char text[512];
    uint64_t min = view_u64(pool, "min", 0), max = view_u64(pool, "max", 0);
    table_cell(table, view_text(pool, "name", text, sizeof text));
    const char *state = view_is_true(pool, "paused") ? "paused" : view_text(pool, "state", text, sizeof text);
    table_cell_styled(table, state ? show_state_style(state) : SAY_PLAIN, state);
    if (min == max)
        table_cell_format(table, "%" PRIu64 "/%" PRIu64, view_u64(pool, "workers", 0), max);
    else
        table_cell_format(table, "%" PRIu64 "/%" PRIu64 "..%" PRIu64, view_u64(pool, "workers", 0), min, max);
    table_cell_format(table, "%" PRIu64, view_u64(pool, "idle", 0));
    table_cell_format(table, "%" PRIu64, view_u64(pool, "busy", 0));
    table_cell_format(table, "%" PRIu64, view_u64(pool, "queued", 0));
    table_cell_format(table, "%" PRIu64, view_u64(pool, "running", 0));
    const char *error = view_text(pool, "error", text, sizeof text);
    table_cell_styled(table, error ? SAY_RED : SAY_PLAIN, error);
}

void pools_print(const mpool_result *pools)
{
    static const struct table_column columns[] = {{"POOL", false, true}, {"STATE", false, false},
        {"WORKERS", true, false}, {"IDLE", true, false}, {"BUSY", true, false}, {"QUEUED", true, false},
        {"RUNNING", true, false}, {"TROUBLE", false, true}};
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct view_list list = view_list(view_of(pools));
    for (struct view pool; view_next(&list, &pool);)
        put_row(table, pool);
    table_print(table);
}

static void print_names(const mpool_result *pools)
{
    struct view_list list = view_list(view_of(pools));
    for (struct view pool; view_next(&list, &pool);) {
        const void *name;
        size_t length;
        if (!view_bytes(pool, "name", &name, &length))
            continue;
        out_bytes(name, length);
        out_byte('\n');
    }
}

static int run(size_t count, char **operands)
{
    (void)count;
    (void)operands;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status == EXIT_OK)
        status = daemon_ask(client, "pools", &result);
    if (status != EXIT_OK)
        return status;
    if (settings.json)
        return show_json(result);
    if (names_only)
        print_names(result);
    else
        pools_print(result);
    return EXIT_OK;
}

const struct verb verb_pools = {
    .name = "pools",
    .group = "Look",
    .usage = "[OPTIONS]",
    .line = "the pools, their size and health",
    .about = "WORKERS: those there are, of those there may be. A pool whose modules cannot be loaded says so\n"
             "under TROUBLE.\n"
             "\n"
             "Examples:\n"
             "  mpool pools\n"
             "  mpool pools --json | jq '.[] | {name, modules}'\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
