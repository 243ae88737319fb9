/* The entry point. Reads the options before the verb, finds the verb in the table of verbs, reads its options, and runs
 * it.
 *
 * Exit status: exit_codes.h. Must not know what any verb does.
 */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/help.h"
#include "client/cli/options.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/signals.h"
#include "client/cli/verbs.h"

static bool verb_has_option(const struct verb *verb, const char *name)
{
    for (const struct option_row *row = verb->options; row && row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return true;
    }
    return false;
}

/* --pool and --timeout may precede the verb, but only if the verb uses them. */
static bool leading_fit(const struct verb *verb)
{
    const char *unfit = settings.pool && !verb_has_option(verb, "pool")                 ? "pool"
                        : settings.timeout_ms >= 0 && !verb_has_option(verb, "timeout") ? "timeout"
                                                                                        : NULL;
    if (unfit)
        say_error("%s takes no --%s", verb->name, unfit);
    return !unfit;
}

static int run_verb(const struct verb *verb, char **words, size_t count)
{
    if (!leading_fit(verb))
        return EXIT_OWN;
    char who[32];
    snprintf(who, sizeof who, "mpool %s", verb->name);
    const struct option_row *tables[] = {verb->options, common_options};
    int operands = options_parse(who, tables, 2, verb->flags, words, count);
    if (operands < 0)
        return EXIT_OWN;
    if (settings.help) {
        help_verb(verb);
        return EXIT_OK;
    }
    if (settings.version)
        return verb_version.run(0, words + operands);
    if (!verbs_json_fits(verb))
        return EXIT_OWN;
    if ((verb->flags & VERB_ALONE) && operands > 0) {
        say_error("%s: unexpected argument '%s': it takes only options", verb->name, words[0]);
        return EXIT_OWN;
    }
    return verb->run((size_t)operands, words);
}

static int run(char **words, size_t count)
{
    const struct option_row *tables[] = {common_options, leading_options};
    int rest = options_parse("mpool", tables, 2, VERB_COMMAND, words, count);
    if (rest < 0)
        return EXIT_OWN;
    if (settings.version)
        return verb_version.run(0, words + rest);
    if (rest == 0 && !settings.help) {
        if (isatty(STDOUT_FILENO))
            help_short();
        else
            say_error("missing verb; `mpool --help` lists the verbs");
        return EXIT_OWN;
    }
    if (rest == 0) {
        help_overview();
        return EXIT_OK;
    }
    const struct verb *verb = verb_find_or_say(words[0]);
    return verb ? run_verb(verb, words + 1, (size_t)rest - 1) : EXIT_OWN;
}

/* If standard descriptors are closed, the first descriptors opened would take their numbers, and the connection might
 * be used as standard input. The placeholders are opened in the wrong direction, so that using them fails with EBADF as
 * before. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    /* Only for the widths of characters: output is UTF-8 whatever the locale. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
    /* So that out.c sees EPIPE and can still remove the progress bar. */
    signal(SIGPIPE, SIG_IGN);
    int status = argc > 0 ? run(argv + 1, (size_t)argc - 1) : EXIT_OWN;
    out_flush();
    return status > ENDED_BY ? signals_end_by(status - ENDED_BY) : status;
}
