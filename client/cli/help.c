/* mpool help, and --help: how are they laid out? See help.h. Every list in them is made from one of the tables; nothing
 * is maintained by hand. */
#include "client/cli/help.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

enum {
    OPTION_COLUMN = 26, /* where an option's explanation begins */
    EXIT_COLUMN = 10,
    VARIABLE_COLUMN = 16,
    WIDTH_MAX = 100,      /* longer lines are hard to read */
    WIDTH_ELSEWHERE = 80, /* if stdout is not a terminal */
    WORDS_MIN = 30,       /* minimum columns for words, even on a narrow terminal */
};

static const char examples_head[] = "Examples:\n";

static void heading(const char *text)
{
    bool color = say_color(STDOUT_FILENO);
    out_format("\n%s%s:%s\n", say_style(color, SAY_BOLD), text, say_style_end(color, SAY_BOLD));
}

static size_t columns_of(const char *text, size_t length)
{
    size_t columns = 0;
    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)text[i] & 0xc0) != 0x80;
    return columns;
}

/* Writes words up to `end` as wrapped lines. The cursor is already at column `indent`, where the other lines begin. */
static void wrap(const char *text, const char *end, size_t indent)
{
    size_t terminal = isatty(STDOUT_FILENO) ? table_terminal_width(STDOUT_FILENO) : WIDTH_ELSEWHERE;
    size_t width = terminal < WIDTH_MAX ? terminal : WIDTH_MAX, column = indent;
    if (width < indent + WORDS_MIN)
        width = indent + WORDS_MIN;
    while (text < end) {
        size_t length = strcspn(text, " \n");
        size_t columns = columns_of(text, length), gap = column > indent;
        if (column > indent && column + gap + columns >= width) {
            out_format("\n%*s", (int)indent, "");
            column = indent;
            gap = 0;
        }
        out_format("%*s%.*s", (int)gap, "", (int)length, text);
        column += gap + columns;
        text += length;
        text += strspn(text, " \n");
    }
    out_byte('\n');
}

/* Writes the verb's long description: paragraphs, wrapped, and then examples, verbatim. */
static void about(const char *text)
{
    const char *examples = strstr(text, examples_head);
    const char *end = examples ? examples : text + strlen(text);
    while (text < end) {
        const char *next = strstr(text, "\n\n");
        next = next && next < end ? next + 2 : end;
        out_byte('\n');
        wrap(text, next, 0);
        text = next;
    }
    if (examples)
        out_format("\n%s", examples);
}

/* flags: of the verb. */
static void options(const struct option_row *rows, unsigned flags)
{
    for (const struct option_row *row = rows; row && row->name; row++) {
        if ((flags & VERB_NO_JSON) && row->flag == &settings.json)
            continue;
        char left[64];
        int n =
            snprintf(left, sizeof left, "  %c%c%s --%s%s%s", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
                row->letter ? "," : " ", row->name, row->value ? " " : "", row->value ? row->value : "");
        if (n >= OPTION_COLUMN)
            out_format("%s\n%*s", left, OPTION_COLUMN, "");
        else
            out_format("%-*s", OPTION_COLUMN, left);
        wrap(row->help, row->help + strlen(row->help), OPTION_COLUMN);
    }
}

static bool is_among(const char *word, const char *words)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length) {
        if ((at == words || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    }
    return false;
}

/* verb: NULL for those common to all verbs. */
static void exit_codes(const struct verb *verb)
{
    heading("Exit status");
#define X(id, value, shown, whose, sentence)                                                                           \
    if (!verb || !*(whose) || is_among(verb->name, whose)) {                                                           \
        out_format("  %-*s", EXIT_COLUMN - 2, shown);                                                                  \
        wrap(sentence, (sentence) + strlen(sentence), EXIT_COLUMN);                                                    \
    }
    EXIT_CODES(X)
#undef X
}

static void verbs_by_group(void)
{
    const char *group = NULL;
    for (const struct verb *const *v = verbs; *v; v++) {
        if (!group || strcmp(group, (*v)->group) != 0)
            heading((*v)->group);
        group = (*v)->group;
        out_format("  %-11s %s\n", (*v)->name, (*v)->line);
    }
}

static void usage(void)
{
    out_text("mpool - send tasks to mpoold, the pool of warm worker processes\n\n"
             "Usage: mpool [OPTIONS] VERB [ARGUMENTS]\n"
             "       mpool VERB --help     what a verb does, with examples\n");
}

static void environment(void)
{
    static const char *const variables[][2] = {
        {"MPOOL_SOCKET", "the daemon's socket, unless --socket says otherwise"},
        {"NO_COLOR", "no color where it would be chosen automatically"},
        {"MPOOLD", "the mpoold that `mpool module` runs"},
    };
    heading("Environment");
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        out_format("  %-*s", VARIABLE_COLUMN - 2, variables[i][0]);
        wrap(variables[i][1], variables[i][1] + strlen(variables[i][1]), VARIABLE_COLUMN);
    }
}

void help_short(void)
{
    usage();
    verbs_by_group();
    out_text("\n`mpool --help` has the options, too, and `mpool status` shows the daemon.\n");
}

void help_overview(void)
{
    usage();
    verbs_by_group();
    heading("Options of every verb");
    options(common_options, 0);
    heading("Options of tasks, also before the verb");
    options(leading_options, 0);
    exit_codes(NULL);
    environment();
}

void help_verb(const struct verb *verb)
{
    out_format("mpool %s - %s\n\nUsage: mpool %s%s%s\n", verb->name, verb->line, verb->name, *verb->usage ? " " : "",
        verb->usage);
    if (verb->about)
        about(verb->about);
    if (verb->options) {
        heading("Options");
        options(verb->options, verb->flags);
    }
    heading("Options of every verb");
    options(common_options, verb->flags);
    exit_codes(verb);
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
    .flags = VERB_NO_JSON,
    .run = run,
};
