/* mpool help, and --help: what do they look like? See help.h. Every list in it is one of the tables; nothing is counted
 * or kept by hand. */
#include "client/cli/help.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/verbs.h"

enum { OPTION_COLUMN = 26 }; /* where an option's explanation begins */

static void heading(const char *text)
{
    bool color = say_color(STDOUT_FILENO);
    out_format("\n%s%s:%s\n", say_style(color, SAY_BOLD), text, say_style_end(color, SAY_BOLD));
}

static void options(const struct option_row *rows)
{
    for (const struct option_row *row = rows; row && row->name; row++) {
        char left[64];
        int n =
            snprintf(left, sizeof left, "  %c%c%s --%s%s%s", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
                row->letter ? "," : " ", row->name, row->value ? " " : "", row->value ? row->value : "");
        if (n >= OPTION_COLUMN)
            out_format("%s\n%*s%s\n", left, OPTION_COLUMN, "", row->help);
        else
            out_format("%-*s%s\n", OPTION_COLUMN, left, row->help);
    }
}

static void exit_codes(void)
{
    heading("Exit status");
#define X(name, value, shown, sentence) out_format("  %-7s %s\n", shown, sentence);
    EXIT_CODES(X)
#undef X
}

void help_overview(void)
{
    out_text("mpool - send tasks to mpoold, the pool of warm worker processes\n\n"
             "Usage: mpool [OPTIONS] VERB [ARGUMENTS]\n"
             "       mpool VERB --help     what a verb does, with examples\n");
    const char *group = NULL;
    for (const struct verb *const *v = verbs; *v; v++) {
        if (!group || strcmp(group, (*v)->group) != 0)
            heading((*v)->group);
        group = (*v)->group;
        out_format("  %-11s %s\n", (*v)->name, (*v)->line);
    }
    heading("Options of every verb");
    options(common_options);
    heading("Options of tasks, also before the verb");
    options(leading_options);
    exit_codes();
    heading("Environment");
    out_text("  MPOOL_SOCKET  the daemon's socket, unless --socket says otherwise\n"
             "  NO_COLOR      no color where it would be chosen automatically\n");
}

void help_verb(const struct verb *verb)
{
    out_format("mpool %s - %s\n\nUsage: mpool %s%s%s\n", verb->name, verb->line, verb->name, *verb->usage ? " " : "",
        verb->usage);
    if (verb->about)
        out_format("\n%s", verb->about);
    if (verb->options) {
        heading("Options");
        options(verb->options);
    }
    heading("Options of every verb");
    options(common_options);
    exit_codes();
}

static int run(size_t count, char **operands)
{
    if (count == 0) {
        help_overview();
        return EXIT_OK;
    }
    for (size_t i = 0; i < count; i++) {
        const struct verb *verb = verb_find_or_say(operands[i]);
        if (!verb)
            return EXIT_OWN;
        help_verb(verb);
    }
    return EXIT_OK;
}

const struct verb verb_help = {
    .name = "help",
    .group = "Other",
    .usage = "[VERB…]",
    .line = "what a verb does, with examples",
    .about = NULL,
    .operands = "@verb",
    .run = run,
};
