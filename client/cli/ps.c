/* mpool ps: lists the processes that spawn has started, newest first. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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
#include "proto/buf.h"
#include "proto/clock.h"

static bool all, ended, ids;

static const struct option_row options[] = {
    {.name = "pool",
        .letter = 'p',
        .value = "NAME",
        .words = "@pool",
        .text = &settings.pool,
        .help = "only those of this pool"},
    {.name = "ended", .letter = 'e', .flag = &ended, .help = "also those that have ended, while their result is kept"},
    {.name = "all", .letter = 'a', .flag = &all, .help = "those of all users (for administrators)"},
    {.name = "ids", .flag = &ids, .help = "print the ids alone, for scripts"},
    {0},
};

static void pack_filter(struct wire_buf *to)
{
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_map(&pk, 2u + all + (settings.pool != NULL));
    wire_pack_key_bool(&pk, "process", true);
    wire_pack_key_u64(&pk, "limit", 10000);
    if (all)
        wire_pack_key_bool(&pk, "all", true);
    if (settings.pool)
        wire_pack_key_text(&pk, "pool", settings.pool);
}

static bool has_ended(struct view process)
{
    return view_u64(process, "ended_ms", 0) != 0;
}

/* "running", "exit 3", "SIGTERM", or why it never ran. */
static const char *state_of(struct view process, char *to, size_t size)
{
    int64_t code;
    struct view exitcode;
    if (!has_ended(process))
        return view_text(process, "state", to, size);
    if (!view_get(process, "exitcode", &exitcode) || wire_read_i64(&exitcode.at, &code) < 0)
        return view_text(process, "state", to, size);
    const char *name = code < 0 && code > -NSIG ? sigabbrev_np((int)-code) : NULL;
    if (name)
        snprintf(to, size, "SIG%s", name);
    else
        snprintf(to, size, "exit %" PRId64, code);
    return to;
}

static void put_row(struct table *table, struct view process, uint64_t now_ms)
{
    char text[256], time[HUMAN_SIZE];
    uint64_t started = view_u64(process, "started_ms", now_ms), until = view_u64(process, "ended_ms", now_ms);
    table_cell_format(table, "%" PRIu64, view_u64(process, "id", 0));
    uint64_t pid = view_u64(process, "pid", 0);
    if (pid)
        table_cell_format(table, "%" PRIu64, pid);
    else
        table_cell(table, NULL);
    table_cell(table, state_of(process, text, sizeof text));
    table_cell(table, human_duration_ms(time, sizeof time, until > started ? until - started : 0));
    table_cell(table, view_text(process, "function", text, sizeof text));
    table_cell(table, view_text(process, "pool", text, sizeof text));
    table_cell(table, view_text(process, "name", text, sizeof text));
}

static int print(const mpool_result *result)
{
    static const struct table_column columns[] = {{"ID", true, false}, {"PID", true, false}, {"STATE", false, false},
        {"TIME", true, false}, {"FUNCTION", false, true}, {"POOL", false, true}, {"NAME", false, true}};
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    uint64_t now_ms = clock_wall_ms();
    size_t shown = 0;
    struct view_list list = view_list(view_of(result));
    if (settings.json && !ids)
        out_byte('[');
    for (struct view process; view_next(&list, &process);) {
        if (has_ended(process) && !ended)
            continue;
        if (ids) {
            out_format("%" PRIu64 "\n", view_u64(process, "id", 0));
        } else if (settings.json) {
            out_text(shown ? ", " : "");
            if (json_out_value(&process.at) < 0)
                return EXIT_OWN;
        } else {
            put_row(table, process, now_ms);
        }
        shown++;
    }
    if (settings.json && !ids)
        out_text("]\n");
    else if (!ids && shown == 0)
        say_note("no processes");
    else if (!ids)
        table_print(table);
    return EXIT_OK;
}

static int run(size_t count, char **operands)
{
    (void)count;
    (void)operands;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(wire_buf_reset) struct wire_buf filter = {0};
    pack_filter(&filter);
    if (filter.failed) {
        say_error("no memory");
        return EXIT_OWN;
    }
    _cleanup_(result_freep) mpool_result *result = NULL;
    int r = mpool_request(client, &result, "list", "r", (const void *)wire_buf_at(&filter), wire_buf_length(&filter));
    if (r < 0)
        return daemon_say(client, r);
    if (view_list(view_of(result)).left == 0 && suggest_check(client, settings.pool, NULL) != EXIT_OK)
        return EXIT_OWN;
    return print(result);
}

const struct verb verb_ps = {
    .name = "ps",
    .group = "Processes",
    .usage = "[OPTIONS]",
    .line = "list the processes that spawn has started",
    .about = "Those that run, with the process id that other tools know them by; with --ended also the others and how\n"
             "they ended: \"exit 0\", or the signal. ls shows them among all tasks.\n"
             "\n"
             "Examples:\n"
             "  mpool ps\n"
             "  mpool ps --ended --json | jq '.[] | select(.exitcode != 0)'\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
