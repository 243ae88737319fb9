/* Checks the lines of a configuration file and prepares them for libeconf: config_lines.h. */
#include "daemon/config/config_lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config_report.h"

void config_entries_reset(struct config_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        free(entries->items[i].section);
        free(entries->items[i].key);
        free(entries->items[i].value);
    }
    free(entries->items);
    *entries = (struct config_entries){0};
}

struct looking {
    const char *path;
    struct config_report *report;
    struct config_entries *entries;
    const char *section; /* of the current line, borrowed from an entry; NULL: none yet, or an invalid one */
    size_t section_at;   /* index of its head */
    bool in_mistaken;    /* below an invalid head: its keys are not reported as well */
};

/* what: the text in question, or NULL. */
#define MISTAKE(looking, line_number, what, ...)                                                                       \
    config_report_mistake((looking)->report,                                                                           \
        &(struct config_place){                                                                                        \
            .file = (looking)->path, .line = (line_number), .section = (looking)->section, .key = (what)},             \
        __VA_ARGS__)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim(char **text)
{
    while (is_blank(**text))
        (*text)++;
    size_t length = strlen(*text);
    while (length > 0 && is_blank((*text)[length - 1]))
        (*text)[--length] = '\0';
}

/* Cuts a comment: `#` or `;` at the start of the line, `#` after a blank and outside of quotes. */
static void cut_comment(char *line)
{
    size_t start = strspn(line, " \t");
    if (line[start] == ';' || line[start] == '#') {
        line[0] = '\0';
        return;
    }
    bool quoted = false;
    for (char *at = line; *at; at++) {
        if (quoted && *at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (*at == '#' && !quoted && at > line && is_blank(at[-1])) {
            *at = '\0';
            return;
        }
    }
}

/* → 0, or -E2BIG, -ENOMEM. Strings are copied. */
static int add_entry(struct looking *looking, unsigned line, const char *section, const char *key)
{
    struct config_entries *entries = looking->entries;
    if (entries->count == CONFIG_LINES_MAX)
        return -E2BIG;
    struct config_entry *items = realloc(entries->items, (entries->count + 1) * sizeof *items);
    if (!items)
        return -ENOMEM;
    entries->items = items;
    struct config_entry entry = {.line = line, .section = strdup(section), .key = key ? strdup(key) : NULL};
    if (!entry.section || (key && !entry.key)) {
        free(entry.section);
        free(entry.key);
        return -ENOMEM;
    }
    items[entries->count++] = entry;
    return 0;
}

/* Replaces runs of blanks by one space. */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++)
        if (!is_blank(*at) || !is_blank(at[1]))
            *to++ = is_blank(*at) ? ' ' : *at;
    *to = '\0';
}

/* Checks a section's head, with blanks around it removed. → 1: valid; 0: a mistake; or a negative errno. */
static int look_at_head(struct looking *looking, unsigned number, char *head)
{
    size_t length = strlen(head);
    looking->section = NULL;
    looking->in_mistaken = true;
    if (head[length - 1] != ']' || strchr(head, ']') != head + length - 1) {
        MISTAKE(looking, number, head, "expected [section] and nothing else in the line");
        return 0;
    }
    head[length - 1] = '\0';
    head++;
    trim(&head);
    squeeze(head);
    if (!*head) {
        MISTAKE(looking, number, NULL, "a section needs a name: [daemon] or [pool NAME]");
        return 0;
    }
    for (size_t i = 0; i < looking->entries->count; i++)
        if (!looking->entries->items[i].key && strcmp(looking->entries->items[i].section, head) == 0) {
            looking->section = head; /* only for this report */
            MISTAKE(looking, number, NULL, "began in line %u already; keep its keys together",
                looking->entries->items[i].line);
            looking->section = NULL;
            return 0;
        }
    int r = add_entry(looking, number, head, NULL);
    if (r < 0)
        return r;
    looking->in_mistaken = false;
    looking->section_at = looking->entries->count - 1;
    looking->section = looking->entries->items[looking->section_at].section;
    return 1;
}

/* Checks a line that is not a head, with blanks around it removed. → as look_at_head(). */
static int look_at_key(struct looking *looking, unsigned number, char *line)
{
    if (looking->in_mistaken)
        return 0;
    if (!looking->section) {
        MISTAKE(looking, number, line, "stands before the first section; expected [daemon] or [pool NAME]");
        return 0;
    }
    char *equals = strchr(line, '=');
    if (!equals) {
        MISTAKE(looking, number, line, "expected key = value");
        return 0;
    }
    *equals = '\0';
    trim(&line);
    if (!*line || strpbrk(line, " \t\"")) {
        MISTAKE(looking, number, *line ? line : NULL, "expected one word before the =");
        return 0;
    }
    for (size_t i = looking->section_at + 1; i < looking->entries->count; i++)
        if (strcmp(looking->entries->items[i].key, line) == 0) {
            MISTAKE(looking, number, line, "is set in line %u already", looking->entries->items[i].line);
            return 0;
        }
    int r = add_entry(looking, number, looking->section, line);
    return r < 0 ? r : 1;
}

/* Control characters other than tabs, and other than \r at the line's end, are not allowed in a configuration; libeconf
 * would interpret some of them, and a NUL, in its own way. */
static bool is_text(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t' && (line[i] != '\r' || i + 1 < length))
            return false;
    return true;
}

/* Checks one line, without its newline, and replaces it by what libeconf should read: the line without its comment, or
 * nothing. → 0, -E2BIG, -ENOMEM. */
static int look_at_line(struct looking *looking, unsigned number, char *line, size_t length)
{
    if (length > CONFIG_LINE_MAX || !is_text(line, length)) {
        if (length > CONFIG_LINE_MAX)
            MISTAKE(looking, number, NULL, "the line is too long; %u bytes are allowed", CONFIG_LINE_MAX);
        else
            MISTAKE(looking, number, NULL, "this is not text");
        line[0] = '\0';
        return 0;
    }
    if (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
        memset(line, ' ', 3);
    cut_comment(line);

    _cleanup_(cleanup_free) char *copy = strdup(line);
    if (!copy)
        return -ENOMEM;
    char *text = copy;
    trim(&text);
    int r = !*text ? 0 : *text == '[' ? look_at_head(looking, number, text) : look_at_key(looking, number, text);
    if (r <= 0)
        line[0] = '\0';
    return r < 0 ? r : 0;
}

/* Writes one line for libeconf. Heads are written as in their entries. A value that begins with a quote gets an
 * additional pair of quotes around it, because libeconf removes one pair. */
static void write_line(FILE *out, const struct looking *looking, const char *line)
{
    const char *text = line + strspn(line, " \t\r");
    const char *equals = strchr(text, '=');
    if (*text == '[') {
        fprintf(out, "[%s]", looking->section);
    } else if (equals) {
        const char *value = equals + 1 + strspn(equals + 1, " \t\r");
        size_t length = strlen(value);
        while (length > 0 && is_blank(value[length - 1]))
            length--;
        const char *quote = value[0] == '"' ? "\"" : "";
        fprintf(out, "%s = %s%.*s%s", looking->entries->items[looking->entries->count - 1].key, quote, (int)length,
            value, quote);
    }
    putc('\n', out);
}

int config_lines_look(const char *path, char *text, size_t length, struct config_entries *entries, FILE *out,
    struct config_report *report)
{
    struct looking looking = {.path = path, .report = report, .entries = entries};
    unsigned number = 0;
    for (char *line = text; line < text + length;) {
        char *end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end)
            end = text + length;
        *end = '\0';
        number++;
        int r = look_at_line(&looking, number, line, (size_t)(end - line));
        if (r == -E2BIG) {
            MISTAKE(&looking, number, NULL, "more than %u sections and keys", CONFIG_LINES_MAX);
            return 0;
        }
        if (r < 0)
            return r;
        write_line(out, &looking, line);
        line = end + 1;
    }
    return 0;
}
