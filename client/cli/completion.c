/* mpool completion: the completion scripts of bash and zsh, made from the tables of verbs and options.
 *
 * The scripts ask the daemon for names of functions and pools and ids of tasks; without a daemon these are not
 * completed.
 */
#include <string.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/verbs.h"

/* The requests to the daemon, by the words used in the tables. */
static const struct {
    const char *word, *command;
} asked[] = {
    {"function", "mpool functions --names"},
    {"pool", "mpool pools --names"},
    {"task", "mpool ls --ids"},
    {"process", "mpool ps --ids"},
    {"object", "mpool objects --names"},
    {"value", "mpool objects --names --kind value"},
    {"lock", "mpool objects --names --kind lock"},
    {"semaphore", "mpool objects --names --kind bounded_semaphore"},
    {"queue", "mpool objects --names --kind queue; mpool objects --names --kind joinable_queue"},
};
enum { ASKED_COUNT = sizeof asked / sizeof asked[0] };

/* NAME -- COMMAND… */
static bool is_guard(const struct verb *verb)
{
    return (verb->flags & VERB_COMMAND) && verb->operands && strcmp(verb->operands, "@command") != 0;
}

/* ---- bash ---- */

static const char bash_head[] =
    "# bash completion for mpool, made by `mpool completion bash`\n"
    "\n"
    "_mpool_reply() {\n"
    "    case $1 in\n"
    "    @file) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); compopt -o filenames ;;\n"
    "    @directory) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); compopt -o filenames ;;\n"
    "    @command) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\" | sort -u) ;;\n"
    "    @any) COMPREPLY=() ;;\n";

static const char bash_body[] = "    *) mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\") ;;\n"
                                "    esac\n"
                                "}\n"
                                "\n"
                                "_mpool_behind() { # the words that come first, and what stands behind one of them\n"
                                "    local word\n"
                                "    for word in \"${COMP_WORDS[@]:i+1:COMP_CWORD-i-1}\"; do\n"
                                "        [[ \" $1 \" == *\" $word \"* ]] || continue\n"
                                "        if [[ $word == \"$prev\" ]]; then _mpool_reply \"$2\"; fi\n"
                                "        return\n"
                                "    done\n"
                                "    _mpool_reply \"$1\"\n"
                                "}\n"
                                "\n"
                                "_mpool() {\n"
                                "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= i\n"
                                "    COMPREPLY=()\n"
                                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                                "        case ${COMP_WORDS[i]} in\n";

static void bash_option_names(const struct option_row *rows, const char *between, bool with_values_only)
{
    bool first = true;
    for (const struct option_row *row = rows; row && row->name; row++) {
        if (with_values_only && !row->value)
            continue;
        out_format("%s--%s", first ? "" : between, row->name);
        if (row->letter)
            out_format("%s-%c", between, row->letter);
        first = false;
    }
}

/* Writes one case for each option with a value: its possible values. verb: "*" for all. */
static void bash_values(const char *verb, const struct option_row *rows)
{
    for (const struct option_row *row = rows; row && row->name; row++) {
        if (!row->value)
            continue;
        out_format("    %s:--%s", verb, row->name);
        if (row->letter)
            out_format(" | %s:-%c", verb, row->letter);
        out_format(") _mpool_reply '%s'; return ;;\n", row->words ? row->words : "@any");
    }
}

static void bash_verb_names(void)
{
    for (const struct verb *const *v = verbs; *v; v++)
        out_format("%s%s", v == verbs ? "" : " ", (*v)->name);
}

static void bash_operands(const struct verb *verb)
{
    const char *words = verb->operands;
    out_format("    %s) ", verb->name);
    if (words && strcmp(words, "@verb") == 0) {
        out_text("_mpool_reply '");
        bash_verb_names();
        out_text("' ;;\n");
    } else if (verb->second) {
        out_format("_mpool_behind '%s' '%s' ;;\n", words, verb->second);
    } else if (is_guard(verb)) {
        out_format("if ((COMP_CWORD == i + 1)); then _mpool_reply %s; "
                   "elif ((COMP_CWORD == i + 2)) || [[ $prev == -* ]]; then _mpool_reply @command; "
                   "else _mpool_reply @file; fi ;;\n",
            words);
    } else if (words && (verb->flags & VERB_COMMAND)) { /* the command's own words are likely to be files */
        out_text("if [[ $prev == run || $prev == -* ]]; then _mpool_reply @command; else _mpool_reply @file; fi ;;\n");
    } else if (words && strcmp(words, "@function") == 0) { /* after the function: its arguments */
        out_text("if ((COMP_CWORD == i + 1)) || [[ $prev == -* ]]; then _mpool_reply @function; "
                 "else _mpool_reply @file; fi ;;\n");
    } else {
        out_format("_mpool_reply '%s' ;;\n", words ? words : "@any");
    }
}

static void print_bash(void)
{
    out_text(bash_head);
    for (size_t i = 0; i < ASKED_COUNT; i++)
        out_format("    @%s) mapfile -t COMPREPLY < <(compgen -W \"$({ %s; } 2>/dev/null)\" -- \"$cur\") ;;\n",
            asked[i].word, asked[i].command);
    out_text(bash_body);
    out_text("        ");
    bash_option_names(common_options, " | ", true);
    out_text(" | ");
    bash_option_names(leading_options, " | ", true);
    out_text(") ((i++)) ;;\n"
             "        -*) ;;\n"
             "        *) verb=${COMP_WORDS[i]}; break ;;\n"
             "        esac\n"
             "    done\n"
             "    case $verb:$prev in\n");
    bash_values("*", common_options);
    for (const struct verb *const *v = verbs; *v; v++)
        bash_values((*v)->name, (*v)->options);
    bash_values("", leading_options);
    out_text("    esac\n"
             "    case $verb in\n"
             "    '') if [[ $cur == -* ]]; then _mpool_reply '");
    bash_option_names(common_options, " ", false);
    out_byte(' ');
    bash_option_names(leading_options, " ", false);
    out_text("'; else _mpool_reply '");
    bash_verb_names();
    out_text("'; fi; return ;;\n"
             "    esac\n"
             "    if [[ $cur == -* ]]; then\n"
             "        case $verb in\n");
    for (const struct verb *const *v = verbs; *v; v++) {
        out_format("        %s) _mpool_reply '", (*v)->name);
        bash_option_names((*v)->options, " ", false);
        out_byte(' ');
        bash_option_names(common_options, " ", false);
        out_text("' ;;\n");
    }
    out_text("        esac\n"
             "        return\n"
             "    fi\n"
             "    case $verb in\n");
    for (const struct verb *const *v = verbs; *v; v++)
        bash_operands(*v);
    out_text("    esac\n"
             "}\n"
             "\n"
             "complete -F _mpool mpool\n");
}

/* ---- zsh ---- */

static const char zsh_head[] = "#compdef mpool\n"
                               "# zsh completion for mpool, made by `mpool completion zsh`\n"
                               "\n";

static void zsh_asked(void)
{
    for (size_t i = 0; i < ASKED_COUNT; i++)
        out_format("_mpool_%s() { local -a names; names=(${(f)\"$({ %s; } 2>/dev/null)\"}); compadd -a names }\n",
            asked[i].word, asked[i].command);
}

/* Escapes what is special to zsh or its _arguments within '…[help]'. */
static void zsh_help(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            out_text("'\\''");
        else if (strchr("[]:\\", *p))
            out_format("\\%c", *p);
        else
            out_byte(*p);
    }
}

static void zsh_action(const char *words)
{
    static const char *const actions[][2] = {
        {"@file", "_files"}, {"@directory", "_files -/"}, {"@verb", "_mpool_verbs"}, {"@command", "_command_names -e"}};
    if (!words)
        return;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(words, actions[i][0]) == 0) {
            out_text(actions[i][1]);
            return;
        }
    }
    if (*words == '@')
        out_format("_mpool_%s", words + 1);
    else
        out_format("(%s)", words);
}

static void zsh_options(const char *indent, const struct option_row *rows)
{
    for (const struct option_row *row = rows; row && row->name; row++) {
        const char *repeat = row->list ? "*" : "";
        if (row->letter && !row->list)
            out_format(" \\\n%s'(-%c --%s)'{-%c,--%s}'[", indent, row->letter, row->name, row->letter, row->name);
        else if (row->letter)
            out_format(" \\\n%s'%s'{-%c,--%s}'[", indent, repeat, row->letter, row->name);
        else
            out_format(" \\\n%s'%s--%s[", indent, repeat, row->name);
        zsh_help(row->help);
        out_byte(']');
        if (row->value) {
            out_byte(':');
            zsh_help(row->value);
            out_byte(':');
            zsh_action(row->words);
        }
        out_byte('\'');
    }
}

static void zsh_verb(const struct verb *verb)
{
    out_format("        %s)\n            _arguments -s", verb->name);
    zsh_options("                ", verb->options);
    zsh_options("                ", common_options);
    if (is_guard(verb))
        out_format(" \\\n                '1:object:_mpool_%s' '*::command:_normal'", verb->operands + 1);
    else if (verb->flags & VERB_COMMAND)
        out_text(" \\\n                '(-)1:command:_command_names -e' '*::argument:_normal'");
    else if (verb->operands && strcmp(verb->operands, "@function") == 0)
        out_text(" \\\n                '1:function:_mpool_function' '*:argument:_files'");
    else if (verb->operands) {
        out_format(" \\\n                '%s:operand:", verb->second ? "1" : "*");
        zsh_action(verb->operands);
        out_byte('\'');
    }
    if (verb->second) {
        out_text(" '2:operand:");
        zsh_action(verb->second);
        out_byte('\'');
    }
    out_text("\n            ;;\n");
}

static void print_zsh(void)
{
    out_text(zsh_head);
    zsh_asked();
    out_text("\n_mpool_verbs() {\n    local -a verbs=(\n");
    for (const struct verb *const *v = verbs; *v; v++) {
        out_format("        '%s:", (*v)->name);
        zsh_help((*v)->line);
        out_text("'\n");
    }
    out_text("    )\n    _describe verb verbs\n}\n\n"
             "_mpool() {\n"
             "    local state line\n"
             "    _arguments -s -C");
    zsh_options("        ", common_options);
    zsh_options("        ", leading_options);
    out_text(" \\\n        '1:verb:_mpool_verbs' '*::argument:->verb'\n"
             "    [[ $state == verb ]] || return\n"
             "    case $line[1] in\n");
    for (const struct verb *const *v = verbs; *v; v++)
        zsh_verb(*v);
    out_text("    esac\n}\n\n_mpool \"$@\"\n");
}

static int run(size_t count, char **operands)
{
    if (count == 1 && strcmp(operands[0], "bash") == 0)
        print_bash();
    else if (count == 1 && strcmp(operands[0], "zsh") == 0)
        print_zsh();
    else {
        say_error("completion needs the shell: bash or zsh");
        return EXIT_OWN;
    }
    return EXIT_OK;
}

const struct verb verb_completion = {
    .name = "completion",
    .group = "Other",
    .usage = "bash | zsh",
    .line = "print a completion script",
    .about = "Examples:\n"
             "  source <(mpool completion bash)\n"
             "  mpool completion zsh > \"${fpath[1]}/_mpool\"\n",
    .operands = "bash zsh",
    .flags = VERB_NO_JSON,
    .run = run,
};
