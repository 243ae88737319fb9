/* mpool inspect: shows which processes have a shared object open, and which hold it. */
#include "client/cli/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <mpool/shared.h>

#include "client/cli/daemon.h"
#include "client/cli/human.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/table.h"
#include "client/cli/users.h"
#include "client/cli/value.h"
#include "client/cli/verbs.h"
#include "proto/kinds.h"

#define KIND(id) (1u << MPOOL_KIND_##id)
#define LOCKS    (KIND(LOCK) | KIND(RLOCK) | KIND(VALUE) | KIND(ARRAY) | KIND(CONDITION)) /* or that have one */
#define TOKENS   (KIND(SEMAPHORE) | KIND(BOUNDED_SEMAPHORE))
#define QUEUES   (KIND(QUEUE) | KIND(JOINABLE_QUEUE) | KIND(PIPE))

/* The fields to show if reported, in this order. The daemon reports some that do not apply to the kind. */
static const struct {
    unsigned kinds;
    const char *key, *title;
} fields[] = {
    {KIND(VALUE) | KIND(ARRAY), "type", "type"},
    {KIND(ARRAY), "count", "elements"},
    {TOKENS | QUEUES, "capacity", "capacity"},
    {KIND(BARRIER), "parties", "parties"},
    {QUEUES, "items", "items"},
    {QUEUES, "item_bytes", "bytes"},
    {QUEUES, "put", "put"},
    {QUEUES, "taken", "taken"},
    {QUEUES, "returned", "returned"},
    {QUEUES, "lost", "lost"},
    {KIND(JOINABLE_QUEUE), "unfinished", "unfinished"},
    {QUEUES, "putters", "putters"},
    {QUEUES, "getters", "getters"},
    {KIND(JOINABLE_QUEUE), "joiners", "joiners"},
    {TOKENS, "free", "free"},
    {LOCKS | TOKENS | QUEUES, "held", "held"},
    {LOCKS | TOKENS, "abandoned", "abandoned"},
    {LOCKS & ~KIND(LOCK), "depth", "depth"},
    {LOCKS | TOKENS, "fence", "fence"},
    {~QUEUES, "waiters", "waiters"},
    {KIND(EVENT), "set", "set"},
    {KIND(BARRIER), "broken", "broken"},
    {QUEUES & ~KIND(PIPE), "at_least_once", "confirmed"},
    {QUEUES, "finished", "finished"},
    {KIND(PIPE), "duplex", "duplex"},
};

void inspect_print(struct view object)
{
    char text[256], user[64];
    const char *label = view_text(object, "handle", text, sizeof text);
    out_format("%-10s %s\n", "object", label ? label : "-");
    const char *kind = view_text(object, "kind", user, sizeof user);
    int known = kind ? wire_kind_find(kind, strlen(kind)) : -1;
    out_format("%-10s %s\n", "kind", kind ? kind : "-");
    out_format("%-10s %s, mode %04" PRIo64 "\n", "owner", users_name(view_u64(object, "uid", 0), text, sizeof text),
        view_u64(object, "mode", 0));
    out_format("%-10s %s\n", "made", human_time(text, sizeof text, view_u64(object, "created_ms", 0)));
    uint64_t held_ms = view_u64(object, "held_since_ms", 0);
    if (held_ms > 0)
        out_format("%-10s %s, at least\n", "held since", human_time(text, sizeof text, held_ms));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct view value;
        if ((known >= 0 && !(fields[i].kinds & 1u << known)) || !view_get(object, fields[i].key, &value))
            continue;
        if (wire_peek(&value.at) == WIRE_TYPE_BOOL)
            out_format("%-10s %s\n", fields[i].title, view_is_true(object, fields[i].key) ? "yes" : "no");
        else if (view_text(object, fields[i].key, text, sizeof text))
            out_format("%-10s %s\n", fields[i].title, text);
        else
            out_format("%-10s %" PRIu64 "\n", fields[i].title, view_u64(object, fields[i].key, 0));
    }
}

/* Prints a value's number if the user may read it. */
static void print_number(mpool_client *client, const char *name)
{
    mpool_object *value;
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    options.create = MPOOL_CREATE_NO;
    options.read_only = true;
    if (mpool_object_open(client, &value, "value", name, &options) < 0)
        return;
    out_format("%-10s ", "number");
    (void)value_print(value);
    mpool_object_close(value);
}

static void print_clients(struct view object)
{
    static const struct table_column columns[] = {{"PID", true, false}, {"USER", false, false},
        {"PROGRAM", false, true}, {"OPEN SINCE", false, false}, {"HOLDS", false, false}};
    struct view clients;
    char text[256];
    if (!view_get(object, "clients", &clients))
        return;
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct view_list list = view_list(clients);
    for (struct view client; view_next(&list, &client);) {
        table_cell_format(table, "%" PRIu64, view_u64(client, "pid", 0));
        table_cell(table, users_name(view_u64(client, "uid", 0), text, sizeof text));
        table_cell(table, view_text(client, "client", text, sizeof text));
        table_cell(table, human_time(text, sizeof text, view_u64(client, "opened_ms", 0)));
        bool holds = view_is_true(client, "holds");
        table_cell_styled(table, holds ? SAY_BOLD : SAY_PLAIN,
            holds                           ? "yes"
            : view_is_true(client, "next")  ? "next"
            : view_is_true(client, "waits") ? "waits"
                                            : "no");
    }
    if (table_rows(table) == 0) {
        say_note("nobody has it open");
        return;
    }
    out_byte('\n');
    table_print(table);
}

static int run(size_t count, char **names)
{
    if (count != 1) {
        say_error("inspect needs the name of one object; `mpool objects` lists them");
        return EXIT_OWN;
    }
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    int r = mpool_request(client, &result, "inspect", "s", names[0]);
    if (r < 0)
        return daemon_say(client, r);
    if (settings.json)
        return show_json(result);
    inspect_print(view_of(result));
    char kind[16];
    if (view_text(view_of(result), "kind", kind, sizeof kind) && strcmp(kind, "value") == 0)
        print_number(client, names[0]);
    print_clients(view_of(result));
    return EXIT_OK;
}

const struct verb verb_inspect = {
    .name = "inspect",
    .group = "Share",
    .usage = "NAME",
    .line = "who has a shared object open, and who holds it",
    .about = "HOLDS: yes; waits; or next, where it waits and will be the next to have it. That is read from the memory "
             "that\n"
             "all its users may write, at this moment: one of them that lies can make it say anything.\n"
             "\n"
             "Examples:\n"
             "  mpool inspect deploy\n"
             "  mpool inspect deploy --json | jq '.clients[] | select(.holds) | .pid'\n",
    .operands = "@object",
    .run = run,
};
