/* mpool workers: lists the workers and their current tasks. */
#include "client/cli/workers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/daemon.h"
#include "client/cli/human.h"
#include "client/cli/json_out.h"
#include "client/cli/suggest.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

static const struct option_row options[] = {
    {.name = "pool",
        .letter = 'p',
        .value = "NAME",
        .words = "@pool",
        .text = &settings.pool,
        .help = "only the workers of this pool"},
    {0},
};

static void put_number(struct table *table, struct view worker, const char *key)
{
    if (view_has(worker, key))
        table_cell_format(table, "%" PRIu64, view_u64(worker, key, 0));
    else
        table_cell(table, NULL);
}

static void put_duration(struct table *table, struct view worker, const char *key)
{
    char text[HUMAN_SIZE];
    table_cell(table, view_has(worker, key) ? human_duration_ms(text, sizeof text, view_u64(worker, key, 0)) : NULL);
}

static void put_row(struct table *table, struct view worker)
{
    char text[256], size[HUMAN_SIZE];
    put_number(table, worker, "id");
    table_cell(table, view_text(worker, "pool", text, sizeof text));
    put_number(table, worker, "pid");
    const char *state = view_text(worker, "state", text, sizeof text);
    table_cell_styled(table, state ? show_state_style(state) : SAY_PLAIN, state);
    put_duration(table, worker, "since_ms");
    put_number(table, worker, "task");
    table_cell(table, view_text(worker, "function", text, sizeof text));
    put_number(table, worker, "tasks");
    table_cell(
        table, view_has(worker, "rss_kib") ? human_kib(size, sizeof size, view_u64(worker, "rss_kib", 0)) : NULL);
    put_duration(table, worker, "cpu_ms");
    put_duration(table, worker, "age_ms");
}

/* pool: NULL for any. */
static bool is_of(struct view worker, const char *pool)
{
    char name[256];
    return !pool || (view_text(worker, "pool", name, sizeof name) && strcmp(name, pool) == 0);
}

void workers_print(const mpool_result *workers, const char *pool)
{
    static const struct table_column columns[] = {{"WORKER", true, false}, {"POOL", false, true}, {"PID", true, false},
        {"STATE", false, false}, {"SINCE", true, false}, {"TASK", true, false}, {"FUNCTION", false, true},
        {"DONE", true, false}, {"MEMORY", true, false}, {"CPU", true, false}, {"AGE", true, false}};
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct view_list list = view_list(view_of(workers));
    for (struct view worker; view_next(&list, &worker);) {
        if (is_of(worker, pool))
            put_row(table, worker);
    }
    if (table_rows(table) == 0)
        say_note("no workers");
    else
        table_print(table);
}

static size_t count_of(const mpool_result *workers, const char *pool)
{
    size_t count = 0;
    struct view_list list = view_list(view_of(workers));
    for (struct view worker; view_next(&list, &worker);)
        count += is_of(worker, pool);
    return count;
}

static int print_json(const mpool_result *workers, const char *pool)
{
    const char *between = "";
    struct view_list list = view_list(view_of(workers));
    out_byte('[');
    for (struct view worker; view_next(&list, &worker);) {
        if (!is_of(worker, pool))
            continue;
        out_text(between);
        between = ", ";
        if (json_out_value(&worker.at) < 0)
            return EXIT_OWN;
    }
    out_text("]\n");
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
        status = daemon_ask(client, "workers", &result);
    if (status != EXIT_OK)
        return status;
    if (count_of(result, settings.pool) == 0 && suggest_check(client, settings.pool, NULL) != EXIT_OK)
        return EXIT_OWN;
    if (settings.json)
        return settings.pool ? print_json(result, settings.pool) : show_json(result);
    workers_print(result, settings.pool);
    return EXIT_OK;
}

const struct verb verb_workers = {
    .name = "workers",
    .group = "Look",
    .usage = "[OPTIONS]",
    .line = "the workers, and what each one does",
    .about = "Examples:\n"
             "  mpool workers\n"
             "  mpool workers --json | jq '.[] | select(.state == \"busy\") | .pid'\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
