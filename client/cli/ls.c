/* mpool ls: lists tasks, newest first. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/cli/daemon.h"
#include "client/cli/human.h"
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
#include "proto/tables.h"

static struct {
    const char *state, *function, *label;
    bool all, ids;
    struct option_count limit;
} opt;

#define X(id, name, ...) name " "
static const struct option_row options[] = {
    {.name = "state",
        .letter = 's',
        .value = "STATE",
        .words = MPOOL_STATES(X),
        .text = &opt.state,
        .is_choice = true,
        .help = "only those in this state: queued, running, done, failed, lost …"},
    {.name = "function",
        .letter = 'f',
        .value = "NAME",
        .words = "@function",
        .text = &opt.function,
        .help = "only those of this function"},
    {.name = "name", .value = "LABEL", .text = &opt.label, .help = "only those with this label"},
    {.name = "pool",
        .letter = 'p',
        .value = "NAME",
        .words = "@pool",
        .text = &settings.pool,
        .help = "only those of this pool"},
    {.name = "all", .letter = 'a', .flag = &opt.all, .help = "those of all users (for administrators)"},
    {.name = "limit",
        .letter = 'n',
        .value = "N",
        .count = &opt.limit,
        .min = 1,
        .max = 10000,
        .help = "at most N (default: 1000)"},
    {.name = "ids", .flag = &opt.ids, .help = "print the ids alone, for scripts"},
    {0},
};
#undef X

static void pack_filter(struct wire_buf *to)
{
    const char *const texts[][2] = {
        {"state", opt.state}, {"function", opt.function}, {"name", opt.label}, {"pool", settings.pool}};
    size_t pairs = (size_t)opt.limit.given + opt.all;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        pairs += texts[i][1] != NULL;
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_map(&pk, pairs);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i][1])
            wire_pack_key_text(&pk, texts[i][0], texts[i][1]);
    }
    if (opt.limit.given)
        wire_pack_key_u64(&pk, "limit", opt.limit.value);
    if (opt.all)
        wire_pack_key_bool(&pk, "all", true);
}

/* How long it ran, has been running, or has been waiting. */
static const char *time_of(struct view task, uint64_t now_ms, char *to, size_t size)
{
    uint64_t submitted = view_u64(task, "submitted_ms", now_ms);
    uint64_t started = view_u64(task, "started_ms", submitted);
    uint64_t ended = view_u64(task, "ended_ms", now_ms);
    return human_duration_ms(to, size, ended > started ? ended - started : 0);
}

static const char *user_of(struct view task, char *to, size_t size)
{
    uint64_t uid = view_u64(task, "uid", UINT64_MAX);
    const struct passwd *user = uid < UINT32_MAX ? getpwuid((uid_t)uid) : NULL;
    if (user)
        snprintf(to, size, "%s", user->pw_name);
    else if (uid < UINT32_MAX)
        snprintf(to, size, "%" PRIu64, uid);
    return uid < UINT32_MAX ? to : NULL;
}

static void put_row(struct table *table, struct view task, uint64_t now_ms)
{
    char state[32], text[256], time[HUMAN_SIZE];
    view_text(task, "state", state, sizeof state) ? (void)0 : (void)snprintf(state, sizeof state, "?");
    table_cell_format(table, "%" PRIu64, view_u64(task, "id", 0));
    if (opt.all)
        table_cell(table, user_of(task, text, sizeof text));
    table_cell_styled(table, show_state_style(state), state);
    table_cell(table, view_text(task, "function", text, sizeof text));
    table_cell(table, view_text(task, "pool", text, sizeof text));
    table_cell(table, time_of(task, now_ms, time, sizeof time));
    table_cell_format(table, "%" PRIu64 "/%" PRIu64, view_u64(task, "attempt", 0), view_u64(task, "attempts", 1));
    table_cell(table, view_text(task, "name", text, sizeof text));
    table_cell(table, view_text(task, "error", text, sizeof text));
}

static struct table *new_table(void)
{
    static const struct table_column whole[] = {{"ID", true, false}, {"USER", false, true}, {"STATE", false, false},
        {"FUNCTION", false, true}, {"POOL", false, true}, {"TIME", true, false}, {"RUN", true, false},
        {"NAME", false, true}, {"ERROR", false, true}};
    enum { COUNT = sizeof whole / sizeof whole[0] };
    if (opt.all)
        return table_new(whole, COUNT);
    static struct table_column own[COUNT - 1]; /* without USER, if it is the same in each row */
    own[0] = whole[0];
    memcpy(own + 1, whole + 2, sizeof own - sizeof own[0]);
    return table_new(own, COUNT - 1);
}

static int print(const mpool_result *result)
{
    _cleanup_(table_cleanup) struct table *table = new_table();
    uint64_t now_ms = clock_wall_ms();
    struct view_list list = view_list(view_of(result));
    for (struct view task; view_next(&list, &task);) {
        if (opt.ids)
            out_format("%" PRIu64 "\n", view_u64(task, "id", 0));
        else
            put_row(table, task, now_ms);
    }
    if (opt.ids)
        return EXIT_OK;
    if (table_rows(table) == 0)
        say_note("no tasks%s", opt.state || opt.function || opt.label || settings.pool ? " of that kind" : "");
    else
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
    if (view_list(view_of(result)).left == 0 && suggest_check(client, settings.pool, opt.function) != EXIT_OK)
        return EXIT_OWN;
    return settings.json ? show_json(result) : print(result);
}

const struct verb verb_ls = {
    .name = "ls",
    .group = "Follow tasks",
    .usage = "[OPTIONS]",
    .line = "list tasks, newest first",
    .about = "Your own: those that wait or run, and submitted ones that have ended, as long as their results are\n"
             "kept. With --all administrators see those of all users.\n"
             "\n"
             "Examples:\n"
             "  mpool ls\n"
             "  mpool ls --state failed --limit 20\n"
             "  sudo mpool ls --all\n"
             "  mpool ls --json | jq '.[] | select(.error) | .error'\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
