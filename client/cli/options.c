/* How do words on the command line become settings? See options.h. Knows no verb. */
#include "client/cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/say.h"
#include "proto/tables.h"

#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum {
    NAMES_CAP = 64, /* options of one verb that a suggestion looks at */
    CHOICES_SIZE = 256,
    MS_PER_DAY = 86400 * 1000,
};

struct parse {
    const char *who;
    const struct option_row *const *tables;
    size_t table_count;
};

int options_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    if (!*text || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    if (errno || value < min || value > max)
        return -1;
    *ret = value;
    return 0;
}

/* "500ms", "5s", "1.5m", "2h", "1d"; a bare number is seconds. → 0 with milliseconds, rounded up; -1: not a duration,
 * or over most_ms. */
static int options_duration(const char *text, uint64_t most_ms, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
    if (!isdigit((unsigned char)*text) && *text != '.')
        return -1; /* strtod also takes signs, blanks, "inf" and hexadecimal */
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return -1;
    char *end;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        double ms = ceil(value * units[i].ms);
        if (!(ms >= 0 && ms <= (double)most_ms))
            return -1;
        *ret_ms = (int64_t)ms;
        return 0;
    }
    return -1;
}

static const struct option_row *find_row(const struct parse *p, const char *name, size_t length, char letter)
{
    for (size_t t = 0; t < p->table_count; t++) {
        for (const struct option_row *row = p->tables[t]; row && row->name; row++) {
            if (letter ? row->letter == letter : strlen(row->name) == length && memcmp(row->name, name, length) == 0)
                return row;
        }
    }
    return NULL;
}

static int say_unknown(const struct parse *p, const char *name, size_t length)
{
    const char *names[NAMES_CAP];
    size_t count = 0;
    for (size_t t = 0; t < p->table_count; t++) {
        for (const struct option_row *row = p->tables[t]; row && row->name && count < NAMES_CAP; row++)
            names[count++] = row->name;
    }
    const char *near = wire_nearest(name, length, names, count);
    if (near)
        say_error("there is no option '--%.*s'; did you mean '--%s'?", (int)length, name, near);
    else
        say_error("there is no option '--%.*s'; see `%s --help`", (int)length, name, p->who);
    return -1;
}

static int append(struct option_list *list, const char *value)
{
    const char **grown = reallocarray(list->values, list->count + 1, sizeof *grown);
    if (!grown) {
        say_error("no memory");
        return -1;
    }
    list->values = grown;
    list->values[list->count++] = value;
    return 0;
}

static int set_duration(const struct option_row *row, const char *value)
{
    uint64_t max = row->max ? row->max : INT32_MAX;
    if (options_duration(value, max, row->duration_ms) < 0) {
        say_error("--%s: '%s' is not a time; allowed are 500ms, 5s, 1.5m, 2h, up to %" PRIu64 " days", row->name, value,
            max / MS_PER_DAY);
        return -1;
    }
    if ((uint64_t)*row->duration_ms < row->min) {
        say_error("--%s: at least %" PRIu64 "ms", row->name, row->min);
        return -1;
    }
    return 0;
}

/* Sets a text that must be one of the row's words. */
static int set_choice(const struct option_row *row, const char *value)
{
    char allowed[CHOICES_SIZE] = "";
    size_t used = 0;
    for (const char *word = row->words; *word;) {
        size_t length = strcspn(word, " ");
        if (length == strlen(value) && memcmp(word, value, length) == 0) {
            *row->text = value;
            return 0;
        }
        if (used + length + sizeof ", " < sizeof allowed)
            used +=
                (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%.*s", used ? ", " : "", (int)length, word);
        word += length;
        word += strspn(word, " ");
    }
    say_error("--%s: '%s' is not one of %s", row->name, value, allowed);
    return -1;
}

static int set_value(const struct option_row *row, const char *value)
{
    if (row->text && row->is_choice)
        return set_choice(row, value);
    if (row->text) {
        *row->text = value;
        return 0;
    }
    if (row->list)
        return append(row->list, value);
    if (row->duration_ms)
        return set_duration(row, value);
    if (options_number(value, row->min, row->max, &row->count->value) < 0) {
        say_error("--%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, row->name, value, row->min, row->max);
        return -1;
    }
    row->count->given = true;
    return 0;
}

/* Sets a flag. → whether the row is one. */
static bool set_flag(const struct option_row *row)
{
    if (row->flag)
        *row->flag = true;
    else if (row->unflag)
        *row->unflag = false;
    return row->flag || row->unflag;
}

/* attached: the value if it is part of words[0]; NULL: it is words[1]. → words used, or -1. */
static int take_value(const struct option_row *row, char *attached, char **words, size_t count)
{
    size_t at = attached ? 0 : 1;
    if (row->rest && !attached && count > 1 && strcmp(words[1], "--") == 0)
        at++;
    if (at >= count) {
        say_error("--%s needs a value: %s", row->name, row->value);
        return -1;
    }
    if (attached)
        words[0] = attached;
    if (row->rest) {
        *row->rest = words + at;
        return (int)count;
    }
    return set_value(row, words[at]) < 0 ? -1 : (int)at + 1;
}

/* "--name", "--name=value", "--name value". → words used, or -1. */
static int take_long(const struct parse *p, char **words, size_t count)
{
    char *name = words[0] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option_row *row = find_row(p, name, length, 0);
    if (!row)
        return say_unknown(p, name, length);
    if (row->flag || row->unflag) {
        if (equals) {
            say_error("--%s takes no value", row->name);
            return -1;
        }
        set_flag(row);
        return 1;
    }
    return take_value(row, equals ? equals + 1 : NULL, words, count);
}

/* "-k", "-kj4", "-j4", "-j 4". → words used, or -1. */
static int take_short(const struct parse *p, char **words, size_t count)
{
    for (char *letter = words[0] + 1; *letter; letter++) {
        const struct option_row *row = find_row(p, NULL, 0, *letter);
        if (!row) {
            say_error("there is no option '-%c'; see `%s --help`", *letter, p->who);
            return -1;
        }
        if (set_flag(row))
            continue;
        return take_value(row, letter[1] ? letter + 1 : NULL, words, count);
    }
    return 1;
}

/* word: begins with a dash. "-9" and "-KILL" are values if a row is marked is_bare. → the row, or NULL. */
static const struct option_row *find_bare(const struct parse *p, const char *word)
{
    size_t digits = strspn(word + 1, "0123456789"), capitals = strspn(word + 1, CAPITALS "0123456789");
    if (word[1 + (digits ? digits : capitals)] || (digits == 0 && capitals < 2)) /* a single letter is a short option */
        return NULL;
    for (size_t t = 0; t < p->table_count; t++) {
        for (const struct option_row *row = p->tables[t]; row && row->name; row++) {
            if (row->is_bare)
                return row;
        }
    }
    return NULL;
}

static bool is_option(const char *word, unsigned flags)
{
    if (word[0] != '-' || !word[1])
        return false; /* "-" alone is an operand */
    return !((flags & VERB_NUMBERS) && (isdigit((unsigned char)word[1]) || word[1] == '.'));
}

int options_parse(const char *who, const struct option_row *const *tables, size_t table_count, unsigned verb_flags,
    char **words, size_t count)
{
    struct parse p = {who, tables, table_count};
    size_t operands = 0, at = 0;
    while (at < count) {
        if (strcmp(words[at], "--") == 0) {
            at++;
            break;
        }
        if ((verb_flags & VERB_ITEMS) && strcmp(words[at], ":::") == 0)
            break;
        if (!is_option(words[at], verb_flags)) {
            if (verb_flags & VERB_COMMAND)
                break;
            words[operands++] = words[at++];
            continue;
        }
        const struct option_row *bare = find_bare(&p, words[at]);
        if (bare) {
            if (set_value(bare, words[at++] + 1) < 0)
                return -1;
            continue;
        }
        int used = words[at][1] == '-' ? take_long(&p, words + at, count - at) : take_short(&p, words + at, count - at);
        if (used < 0)
            return -1;
        at += (size_t)used;
    }
    memmove(words + operands, words + at, (count - at) * sizeof *words);
    operands += count - at;
    words[operands] = NULL; /* never beyond main's own terminating NULL */
    return (int)operands;
}
