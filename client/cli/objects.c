/* mpool objects: lists the shared objects. */
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
#include "client/cli/users.h"
#include "client/cli/verbs.h"
#include "client/cli/view.h"
#include "proto/kinds.h"

static bool all, names_only;
static const char *kind;

#define X(id, name, ...) name " "
static const struct option_row options[] = {
    {.name = "kind",
        .letter = 'k',
        .value = "KIND",
        .words = MPOOL_KINDS(X),
        .text = &kind,
        .is_choice = true,
        .help = "only those of this kind: value, array, lock, queue, joinable_queue …"},
    {.name = "all", .letter = 'a', .flag = &all, .help = "those of all users (for administrators)"},
    {.name = "names", .flag = &names_only, .help = "print the names alone, for scripts"},
    {0},
};
#undef X

static void put_row(struct table *table, struct view object)
{
    char text[256], size[HUMAN_SIZE];
    const char *name = view_text(object, "name", text, sizeof text);
    table_cell_styled(table, name ? SAY_PLAIN : SAY_DIM, name ? name : view_text(object, "handle", text, sizeof text));
    table_cell(table, view_text(object, "kind", text, sizeof text));
    table_cell(table, view_text(object, "type", text, sizeof text));
    table_cell(table, users_name(view_u64(object, "uid", 0), text, sizeof text));
    table_cell_format(table, "%04" PRIo64, view_u64(object, "mode", 0));
    table_cell_format(table, "%" PRIu64, view_u64(object, "users", 0));
    table_cell(table, human_kib(size, sizeof size, (view_u64(object, "bytes", 0) + 1023) / 1024));
    table_cell(table, human_time(text, sizeof text, view_u64(object, "created_ms", 0)));
}

static void print_table(const mpool_result *objects)
{
    static const struct table_column columns[] = {{"NAME", false, true}, {"KIND", false, false}, {"TYPE", false, false},
        {"OWNER", false, false}, {"MODE", true, false}, {"OPEN", true, false}, {"SIZE", true, false},
        {"MADE", false, false}};
    _cleanup_(table_cleanup) struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct view_list list = view_list(view_of(objects));
    for (struct view object; view_next(&list, &object);)
        put_row(table, object);
    if (table_rows(table) == 0)
        say_note("no shared objects%s", kind ? " of that kind" : "");
    else
        table_print(table);
}

static void print_names(const mpool_result *objects)
{
    char text[256];
    struct view_list list = view_list(view_of(objects));
    for (struct view object; view_next(&list, &object);)
        if (view_text(object, "name", text, sizeof text))
            out_format("%s\n", text);
}

static int run(size_t count, char **operands)
{
    (void)count;
    (void)operands;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    int r = kind ? mpool_request(client, &result, "objects", "{sbss}", "all", all, "kind", kind)
                 : mpool_request(client, &result, "objects", "{sb}", "all", all);
    if (r < 0)
        return daemon_say(client, r);
    if (settings.json)
        return show_json(result);
    if (names_only)
        print_names(result);
    else
        print_table(result);
    return EXIT_OK;
}

const struct verb verb_objects = {
    .name = "objects",
    .group = "Share",
    .usage = "[OPTIONS]",
    .line = "the shared objects that there are",
    .about = "Yours, and those of others that you may open. OPEN: how often it is open at this moment.\n"
             "\n"
             "Examples:\n"
             "  mpool objects\n"
             "  mpool objects --names | grep '^job\\.' | xargs mpool remove\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
