/* mpool-manual: fills the tables of verbs, options and exit status into the source of the manual page, for the build.
 *
 *     mpool-manual mpool.1.scd > page.scd
 *
 * A line "@VERBS@", "@OPTIONS@" or "@EXIT@" is replaced by the table it names. Exits with 1 and a message on
 * failure.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/verbs.h"

static const char examples_head[] = "Examples:\n";

/* Escapes scdoc's special characters in running text. */
static void put_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (strchr("_*\\#`<>[]|~.", text[i]))
            out_byte('\\');
        out_byte(text[i]);
    }
}

/* Writes a literal block, in which only the backslash is special to scdoc. */
static void put_examples(const char *text)
{
    out_text("```\n");
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            out_byte('\\');
        out_byte(*p);
    }
    out_text("```\n\n");
}

static void put_options(const struct option_row *rows)
{
    for (const struct option_row *row = rows; row && row->name; row++) {
        if (row->letter)
            out_format("*-%c*, ", row->letter);
        out_format("*--%s*", row->name);
        if (row->value) {
            out_byte(' ');
            put_text(row->value, strlen(row->value));
        }
        out_text("\n\t");
        put_text(row->help, strlen(row->help));
        out_text("\n\n");
    }
}

static void put_verb(const struct verb *verb)
{
    out_format("## %s\n\n*mpool %s* ", verb->name, verb->name);
    for (const char *line = verb->usage, *end; *line; line = *end ? end + 1 : end) {
        end = strchrnul(line, '\n');
        while (*line == ' ')
            line++;
        put_text(line, (size_t)(end - line));
        if (*end)
            out_text("++\n");
    }
    out_text("\n\n");
    put_text(verb->line, strlen(verb->line));
    out_text(".\n\n");
    const char *examples = verb->about ? strstr(verb->about, examples_head) : NULL;
    if (verb->about)
        put_text(verb->about, examples ? (size_t)(examples - verb->about) : strlen(verb->about));
    out_byte('\n');
    if (examples)
        put_examples(examples + sizeof examples_head - 1);
    put_options(verb->options);
}

static void put_verbs(void)
{
    for (const struct verb *const *v = verbs; *v; v++)
        put_verb(*v);
}

static void put_exit(void)
{
#define X(name, value, shown, whose, sentence)                                                                         \
    out_text("*" shown "*\n\t");                                                                                       \
    put_text(sentence, strlen(sentence));                                                                              \
    out_text("\n\n");
    EXIT_CODES(X)
#undef X
}

int main(int argc, char **argv)
{
    char line[1024];
    FILE *page = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (!page) {
        say_error("manual: %s: %s", argc == 2 ? argv[1] : "one file is needed", argc == 2 ? strerror(errno) : "usage");
        return 1;
    }
    while (fgets(line, sizeof line, page)) {
        if (strcmp(line, "@VERBS@\n") == 0) {
            put_verbs();
        } else if (strcmp(line, "@OPTIONS@\n") == 0) {
            put_options(common_options);
            put_options(leading_options);
        } else if (strcmp(line, "@EXIT@\n") == 0) {
            put_exit();
        } else {
            out_text(line);
        }
    }
    int failed = ferror(page);
    fclose(page);
    if (failed)
        say_error("manual: %s: %s", argv[1], strerror(EIO));
    out_flush();
    return failed ? 1 : 0;
}
