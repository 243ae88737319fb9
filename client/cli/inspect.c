/* mpool inspect: who has a shared object open, and who holds it. */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/daemon.h"
#include "client/cli/human.h"
#include "client/cli/out.h"
#include "client/cli/own.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/table.h"
#include "client/cli/users.h"
#include "client/cli/verbs.h"
#include "client/cli/view.h"

/* What is shown where it is told, in this order. */
static const struct {
    const char *key, *title;
    bool is_bool;
} facts[] = {
    {"type", "type", false},
    {"count", "elements", false},
    {"capacity", "capacity", false},
    {"parties", "parties", false},
    {"items", "items", false},
    {"item_bytes", "bytes", false},
    {"unfinished", "unfinished", false},
    {"putters", "putters", false},
    {"getters", "getters", false},
    {"joiners", "joiners", false},
    {"free", "free", false},
    {"held", "held", false},
    {"abandoned", "abandoned", false},
    {"depth", "depth", false},
    {"fence", "fence", false},
    {"waiters", "waiters", true},
    {"set", "set", true},
    {"broken", "broken", true},
    {"at_least_once", "confirmed", true},
    {"finished", "finished", true},
};

static void print_facts(struct view object)
{
    char text[256], user[64];
    const char *label = view_text(object, "handle", text, sizeof text);
    out_format("%-10s %s\n", "object", label ? label : "-");
    out_format("%-10s %s\n", "kind", view_text(object, "kind", user, sizeof user) ? user : "-");
    out_format("%-10s %s, mode %04" PRIo64 "\n", "owner", users_name(view_u64(object, "uid", 0), text, sizeof text),
        view_u64(object, "mode", 0));
    out_format("%-10s %s\n", "made", human_time(text, sizeof text, view_u64(object, "created_ms", 0)));
    uint64_t held_ms = view_u64(object, "held_since_ms", 0);
    if (held_ms > 0)
        out_format("%-10s %s, at least\n", "held since", human_time(text, sizeof text, held_ms));
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        struct view value;
        if (!view_get(object, facts[i].key, &value))
            continue;
        if (facts[i].is_bool)
            out_format("%-10s %s\n", facts[i].title, view_is_true(object, facts[i].key) ? "yes" : "no");
        else if (view_text(object, facts[i].key, text, sizeof text))
            out_format("%-10s %s\n", facts[i].title, text);
        else
            out_format("%-10s %" PRIu64 "\n", facts[i].title, view_u64(object, facts[i].key, 0));
    }
}

static void print_parties(struct view object)
{
    static const struct table_column columns[] = {{"PID", true, false}, {"USER", false, false},
        {"PROGRAM", false, true}, {"OPEN SINCE", false, false}, {"HOLDS", false, false}};
    struct view parties;
    char text[256];
    if (!view_get(object, "parties_open", &parties))
        return;
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct view_list list = view_list(parties);
    for (struct view party; view_next(&list, &party);) {
        table_cell_format(table, "%" PRIu64, view_u64(party, "pid", 0));
        table_cell(table, users_name(view_u64(party, "uid", 0), text, sizeof text));
        table_cell(table, view_text(party, "client", text, sizeof text));
        table_cell(table, human_time(text, sizeof text, view_u64(party, "opened_ms", 0)));
        bool holds = view_is_true(party, "holds");
        table_cell_styled(table, holds ? SAY_BOLD : SAY_PLAIN,
            holds                          ? "yes"
            : view_is_true(party, "next")  ? "next"
            : view_is_true(party, "waits") ? "waits"
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
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    _cleanup_(own_result) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    int r = mpool_request(client, &result, "inspect", "s", names[0]);
    if (r < 0)
        return daemon_say(client, r);
    if (settings.json)
        return show_json(result);
    print_facts(view_of(result));
    print_parties(view_of(result));
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
             "  mpool inspect deploy --json | jq '.parties_open[] | select(.holds) | .pid'\n",
    .operands = "@object",
    .run = run,
};
