/* How is an item inserted into a command? See template.h. */
#include "client/cli/template.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cleanup.h"
#include "client/cli/pack.h"
#include "client/cli/say.h"

struct piece {
    const char *text;
    size_t length;
};

/* ---- the parts of an item ---- */

static struct piece whole(struct piece item)
{
    return item;
}

static struct piece base(struct piece item)
{
    const char *slash = memrchr(item.text, '/', item.length);
    size_t skipped = slash ? (size_t)(slash - item.text) + 1 : 0;
    return (struct piece){item.text + skipped, item.length - skipped};
}

static struct piece directory(struct piece item)
{
    const char *slash = memrchr(item.text, '/', item.length);
    if (!slash)
        return (struct piece){".", 1};
    return (struct piece){item.text, slash == item.text ? 1 : (size_t)(slash - item.text)};
}

/* A dot that begins a name begins no extension. */
static struct piece stem(struct piece item)
{
    struct piece name = base(item);
    const char *dot = name.length > 1 ? memrchr(name.text + 1, '.', name.length - 1) : NULL;
    return dot ? (struct piece){item.text, (size_t)(dot - item.text)} : item;
}

static struct piece base_stem(struct piece item)
{
    return stem(base(item));
}

static const struct {
    const char *place, *variable;
    struct piece (*of)(struct piece item);
} parts[] = {
    {"{}", "MPOOL_ITEM", whole},
    {"{.}", "MPOOL_ITEM_STEM", stem},
    {"{/}", "MPOOL_ITEM_BASE", base},
    {"{//}", "MPOOL_ITEM_DIR", directory},
    {"{/.}", "MPOOL_ITEM_BASE_STEM", base_stem},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

#define WHOLE 1u /* always in the environment: programs that the command runs may use it */

/* → which part's place begins here, or -1. */
static int part_at(const char *p)
{
    for (int i = 0; i < PARTS; i++) {
        if (strncmp(p, parts[i].place, strlen(parts[i].place)) == 0)
            return i;
    }
    return -1;
}

/* Placeholders of other programs of this kind that we do not support: {1}, {2.}, {-1/}, {%}. → its length, or 0. */
static size_t unknown_at(const char *p)
{
    if (strncmp(p, "{%}", 3) == 0)
        return 3;
    size_t sign = p[1] == '-', digits = *p == '{' ? strspn(p + 1 + sign, "0123456789") : 0;
    size_t length = 1 + sign + digits;
    length += digits ? strspn(p + length, "/.") : 0;
    return digits && p[length] == '}' ? length + 1 : 0;
}

/* ---- where in the shell's text are we? -----------------------------------------------------------------------------
 *
 * Follows quotes and brackets as far as needed to know the context of a place. Where the shell parses differently (a
 * `case` within $(…), syntax of a dialect), an item may be refused or split into words, but it is never executed,
 * because it is not part of the text. */

enum context { PLAIN, PARENTHESES, DOUBLE_QUOTES, BACKTICKS, BRACES, ARITHMETIC };
enum { DEPTH_CAP = 32 };

#define HARMLESS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,:=@%+-{}#"

struct reader {
    struct template *to;
    const char *verb, *at;
    struct {
        enum context context;
        bool bare;            /* DOUBLE_QUOTES around something that is one word even without them */
        unsigned parentheses; /* ARITHMETIC: open parentheses within it */
    } stack[DEPTH_CAP];
    size_t depth;
    bool in_word; /* a # here does not begin a comment */
    bool here_document;
    bool placed;
};

static int refuse(const struct reader *r, const char *place, const char *why)
{
    say_error("%s --exec: %s %s", r->verb, place, why);
    return -1;
}

static void copy(struct reader *r, size_t length)
{
    wire_buf_append(&r->to->text, r->at, length);
    r->at += length;
}

static int enter(struct reader *r, enum context context, size_t length)
{
    if (r->depth + 1 == DEPTH_CAP)
        return refuse(r, "the command", "is nested too deep");
    r->depth++;
    r->stack[r->depth].context = context;
    r->stack[r->depth].parentheses = 0;
    r->stack[r->depth].bare = false;
    copy(r, length);
    if (context == DOUBLE_QUOTES) {
        size_t harmless = strspn(r->at, HARMLESS);
        r->stack[r->depth].bare = r->at[harmless] == '"';
    }
    r->in_word = context != PARENTHESES;
    return 0;
}

static void leave(struct reader *r, size_t length)
{
    r->depth--;
    copy(r, length);
    r->in_word = true;
}

static const char *why_not_here(const struct reader *r)
{
    if (r->here_document)
        return "cannot stand behind <<: put it before, or write $MPOOL_ITEM there, which is the item";
    switch (r->stack[r->depth].context) {
    case PLAIN:
    case PARENTHESES: return NULL;
    case DOUBLE_QUOTES:
        if (r->stack[r->depth].bare)
            return NULL;
        return "is quoted already and stands outside of quotes, as in \"some text \"{}";
    case BACKTICKS: return "cannot stand between backticks; write $(…) instead";
    case BRACES: return "cannot stand within ${…}; $MPOOL_ITEM is the item, as in ${MPOOL_ITEM%.*}";
    case ARITHMETIC: return "cannot stand within ((…)), where it might be executed";
    }
    return NULL;
}

static int place_part(struct reader *r, int part)
{
    const char *why = why_not_here(r);
    if (why)
        return refuse(r, parts[part].place, why);
    bool quoted = r->stack[r->depth].context == DOUBLE_QUOTES;
    struct wire_buf *to = &r->to->text;
    wire_buf_append(to, quoted ? "${" : "\"${", quoted ? 2 : 3);
    wire_buf_append(to, parts[part].variable, strlen(parts[part].variable));
    wire_buf_append(to, quoted ? "}" : "}\"", quoted ? 1 : 2);
    r->at += strlen(parts[part].place);
    r->to->parts |= 1u << part;
    r->placed = r->in_word = true;
    return 0;
}

/* → 1 a place was taken care of, 0 there is none here, -1 refused. */
static int read_place(struct reader *r)
{
    if (strncmp(r->at, "{#}", 3) == 0) { /* a number is harmless anywhere */
        wire_buf_append(&r->to->text, "", 1);
        r->at += 3;
        r->in_word = true;
        return 1;
    }
    int part = part_at(r->at);
    if (part >= 0)
        return place_part(r, part) < 0 ? -1 : 1;
    size_t unknown = unknown_at(r->at);
    if (unknown == 0)
        return 0;
    char place[16];
    snprintf(place, sizeof place, "%.*s", (int)unknown, r->at);
    return refuse(r, place,
        "is not known: a command has one item, {}, and {.} {/} {//} {/.} of it, and its number {#}; within single "
        "quotes it stands for itself");
}

static int read_single_quotes(struct reader *r)
{
    copy(r, 1);
    while (*r->at && *r->at != '\'') {
        int part = part_at(r->at);
        if (part >= 0)
            return refuse(
                r, parts[part].place, "cannot stand within single quotes: it is quoted already, as in 'some text '{}");
        if (strncmp(r->at, "{#}", 3) == 0)
            read_place(r);
        else
            copy(r, 1);
    }
    if (!*r->at)
        return refuse(r, "a single quote", "is not closed");
    copy(r, 1);
    r->in_word = true;
    return 0;
}

/* A comment is not executed. A place in it still counts as one, so that the item is not appended to the command. */
static void read_comment(struct reader *r)
{
    while (*r->at && *r->at != '\n') {
        r->placed |= part_at(r->at) >= 0;
        copy(r, 1);
    }
}

static int read_plain(struct reader *r)
{
    switch (*r->at) {
    case '\'': return read_single_quotes(r);
    case '"': return enter(r, DOUBLE_QUOTES, 1);
    case '`': return enter(r, BACKTICKS, 1);
    case '(':
        if (r->at[1] == '(')
            return enter(r, ARITHMETIC, 2);
        return enter(r, PARENTHESES, 1);
    case ')':
        if (r->stack[r->depth].context == PARENTHESES)
            leave(r, 1);
        else
            copy(r, 1);
        return 0;
    case '#':
        if (!r->in_word)
            read_comment(r);
        else
            copy(r, 1);
        return 0;
    case '<':
        r->here_document |= r->at[1] == '<' && r->at[2] != '<';
        r->in_word = false;
        copy(r, strspn(r->at, "<"));
        return 0;
    default:
        r->in_word = !strchr(" \t\n;&|>", *r->at);
        copy(r, 1);
        return 0;
    }
}

/* One step. → 0, or -1 refused. */
static int read_next(struct reader *r)
{
    enum context context = r->stack[r->depth].context;
    int placed = read_place(r);
    if (placed)
        return placed < 0 ? -1 : 0;
    if (r->here_document) { /* no places are allowed in it */
        copy(r, 1);
        return 0;
    }
    if (*r->at == '\\' && r->at[1]) {
        copy(r, 2);
        if (r->at[-1] == '{' && *r->at == '}')
            copy(r, 1); /* \{} is {} for the shell, not a place */
        r->in_word = true;
        return 0;
    }
    if (r->at[0] == '$' && (r->at[1] == '(' || r->at[1] == '{')) {
        if (r->at[1] == '{')
            return enter(r, BRACES, 2);
        return r->at[2] == '(' ? enter(r, ARITHMETIC, 3) : enter(r, PARENTHESES, 2);
    }
    switch (context) {
    case PLAIN:
    case PARENTHESES: return read_plain(r);
    case ARITHMETIC:
        if (*r->at == ')' && r->stack[r->depth].parentheses == 0) {
            leave(r, r->at[1] == ')' ? 2 : 1);
            return 0;
        }
        r->stack[r->depth].parentheses += (unsigned)(*r->at == '(') - (unsigned)(*r->at == ')');
        break;
    case DOUBLE_QUOTES:
    case BACKTICKS:
    case BRACES:
        if (*r->at == (context == DOUBLE_QUOTES ? '"' : context == BACKTICKS ? '`' : '}')) {
            leave(r, 1);
            return 0;
        }
        if (context == BRACES && *r->at == '"')
            return enter(r, DOUBLE_QUOTES, 1);
        break;
    }
    copy(r, 1);
    return 0;
}

/* Whether the command names the variable. */
static bool names(const char *command, const char *variable)
{
    size_t length = strlen(variable);
    for (const char *at = command; (at = strstr(at, variable)); at += length) {
        if (!at[length] || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at[length]))
            return true;
    }
    return false;
}

int template_read(struct template *template, const char *verb, const char *command, enum template_without_place without)
{
    struct reader r = {.to = template, .verb = verb, .at = command};
    template->parts = 0;
    for (int i = 0; i < PARTS; i++) {
        if (names(command, parts[i].variable)) {
            template->parts |= 1u << i;
            r.placed = true;
        }
    }
    while (*r.at) {
        if (read_next(&r) < 0)
            return -1;
    }
    if (!r.placed && without == TEMPLATE_ITEM_APPENDED) {
        if (r.here_document || r.depth > 0)
            return refuse(&r, parts[0].place, "is missing, and the item cannot follow an open quote, bracket or <<");
        wire_buf_append(&template->text, " ", 1);
        r.at = parts[0].place;
        place_part(&r, 0);
    }
    if (template->text.failed)
        say_error("no memory");
    return template->text.failed ? -1 : 0;
}

bool template_has_place(const char *word)
{
    for (; *word; word++) {
        if (part_at(word) >= 0 || unknown_at(word) > 0 || strncmp(word, "{#}", 3) == 0)
            return true;
    }
    return false;
}

bool template_is_harmless(const char *word)
{
    return !word[strspn(word, HARMLESS)];
}

void template_reset(struct template *template)
{
    wire_buf_reset(&template->text);
}

/* ---- for each item ---- */

int template_line(const struct template *template, struct wire_buf *to, uint64_t number)
{
    const char *at = (const char *)wire_buf_at(&template->text), *end = at + wire_buf_length(&template->text);
    for (const char *mark; (mark = memchr(at, 0, (size_t)(end - at))); at = mark + 1) {
        char text[24];
        int n = snprintf(text, sizeof text, "%" PRIu64, number);
        wire_buf_append(to, at, (size_t)(mark - at));
        wire_buf_append(to, text, (size_t)n);
    }
    return wire_buf_append(to, at, (size_t)(end - at));
}

size_t template_variables(const struct template *template)
{
    return (size_t)__builtin_popcount(template->parts | WHOLE);
}

bool template_owns(const char *name, size_t length)
{
    for (int i = 0; i < PARTS; i++) {
        if (strlen(parts[i].variable) == length && memcmp(name, parts[i].variable, length) == 0)
            return true;
    }
    return false;
}

int template_pack(const struct template *template, struct wire_buf *to, const char *item, size_t length)
{
    if (memchr(item, 0, length))
        return -EINVAL;
    for (int i = 0; i < PARTS; i++) {
        if (!((template->parts | WHOLE) & 1u << i))
            continue;
        struct piece part = parts[i].of((struct piece){item, length});
        pack_str(to, parts[i].variable, strlen(parts[i].variable));
        pack_text(to, part.text, part.length);
    }
    return to->failed ? -ENOBUFS : 0;
}

/* The maximum length of a variable with its name on Linux (MAX_ARG_STRLEN). */
enum { VARIABLE_CAP = 128 << 10 };

/* → 0, or -1: the environment cannot hold it. */
static int export_part(const char *variable, struct piece part)
{
    if (memchr(part.text, 0, part.length) || strlen(variable) + part.length + sizeof "=" > VARIABLE_CAP)
        return -1;
    _cleanup_(freep) char *value = strndup(part.text, part.length);
    return value ? setenv(variable, value, 1) : -1;
}

int template_export(const struct template *template, const char *verb, const char *item, size_t length)
{
    for (int i = 0; i < PARTS; i++) {
        bool wanted = template->parts & 1u << i;
        if (!wanted && !(WHOLE & 1u << i))
            continue;
        if (export_part(parts[i].variable, parts[i].of((struct piece){item, length})) == 0)
            continue;
        unsetenv(parts[i].variable);
        if (wanted) {
            say_error("%s --exec: the item does not go where %s stands: it holds a NUL byte, or is longer than %d KiB",
                verb, parts[i].place, VARIABLE_CAP >> 10);
            return -1;
        }
    }
    return 0;
}
