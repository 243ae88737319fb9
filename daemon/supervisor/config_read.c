/* One configuration file into entries: config_read.h. */
#include "daemon/supervisor/config_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#ifdef HAVE_ECONF
#include <libeconf.h>
#endif

#include "daemon/base/cleanup.h"
#include "daemon/supervisor/config_report.h"

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

#ifndef HAVE_ECONF

int config_read_file(const char *path, struct config_entries *ret, struct config_report *report)
{
    struct config_place place = {.file = path};
    struct stat st;
    if (stat(path, &st) < 0)
        config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
    else if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        config_report_mistake(report, &place,
            "this mpoold was built without libeconf and reads no configuration; remove the file or rebuild");
    *ret = (struct config_entries){0};
    return 0;
}

#else

/* What libeconf takes for the begin of a comment: a byte that no line which gets there contains. */
#define NO_COMMENT "\x01"

struct reading {
    const char *path;
    struct config_report *report;
    struct config_entries entries;
    const char *section; /* of the current line, borrowed from an entry; NULL: none yet, or a mistaken one */
    size_t section_at;   /* index of its head */
    bool in_mistaken;    /* below a mistaken head: its keys are not reported on top */
};

/* what: the text in question, or NULL. */
#define MISTAKE(reading, line_number, what, ...)                                                                       \
    config_report_mistake((reading)->report,                                                                           \
        &(struct config_place){                                                                                        \
            .file = (reading)->path, .line = (line_number), .section = (reading)->section, .key = (what)},             \
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

/* Cuts a comment: `#` or `;` first in the line, `#` after a blank and outside of quotes. */
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
static int add_entry(struct reading *reading, unsigned line, const char *section, const char *key)
{
    struct config_entries *entries = &reading->entries;
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

/* Makes runs of blanks one space. */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++)
        if (!is_blank(*at) || !is_blank(at[1]))
            *to++ = is_blank(*at) ? ' ' : *at;
    *to = '\0';
}

/* A section's head, blanks around it gone. → 1: sound; 0: a mistake; or a negative errno. */
static int look_at_head(struct reading *reading, unsigned number, char *head)
{
    size_t length = strlen(head);
    reading->section = NULL;
    reading->in_mistaken = true;
    if (head[length - 1] != ']' || strchr(head, ']') != head + length - 1) {
        MISTAKE(reading, number, head, "expected [section] and nothing else in the line");
        return 0;
    }
    head[length - 1] = '\0';
    head++;
    trim(&head);
    squeeze(head);
    if (!*head) {
        MISTAKE(reading, number, NULL, "a section needs a name: [daemon] or [pool NAME]");
        return 0;
    }
    for (size_t i = 0; i < reading->entries.count; i++)
        if (!reading->entries.items[i].key && strcmp(reading->entries.items[i].section, head) == 0) {
            reading->section = head; /* for this one report */
            MISTAKE(reading, number, NULL, "began in line %u already; keep its keys together",
                reading->entries.items[i].line);
            reading->section = NULL;
            return 0;
        }
    int r = add_entry(reading, number, head, NULL);
    if (r < 0)
        return r;
    reading->in_mistaken = false;
    reading->section_at = reading->entries.count - 1;
    reading->section = reading->entries.items[reading->section_at].section;
    return 1;
}

/* A line that is no head, blanks around it gone. → as look_at_head(). */
static int look_at_key(struct reading *reading, unsigned number, char *line)
{
    if (reading->in_mistaken)
        return 0;
    if (!reading->section) {
        MISTAKE(reading, number, line, "stands before the first section; expected [daemon] or [pool NAME]");
        return 0;
    }
    char *equals = strchr(line, '=');
    if (!equals) {
        MISTAKE(reading, number, line, "expected key = value");
        return 0;
    }
    *equals = '\0';
    trim(&line);
    if (!*line || strpbrk(line, " \t\"")) {
        MISTAKE(reading, number, *line ? line : NULL, "expected one word before the =");
        return 0;
    }
    for (size_t i = reading->section_at + 1; i < reading->entries.count; i++)
        if (strcmp(reading->entries.items[i].key, line) == 0) {
            MISTAKE(reading, number, line, "is set in line %u already", reading->entries.items[i].line);
            return 0;
        }
    int r = add_entry(reading, number, reading->section, line);
    return r < 0 ? r : 1;
}

/* Control characters but tabs, and \r at the line's end, have no place in a configuration; some of them, and a NUL,
 * libeconf would understand in its own way. */
static bool is_text(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t' && (line[i] != '\r' || i + 1 < length))
            return false;
    return true;
}

/* Looks at one line, without its newline, and leaves in it what libeconf is to see: itself without a comment, or
 * nothing. → 0, -E2BIG, -ENOMEM. */
static int look_at_line(struct reading *reading, unsigned number, char *line, size_t length)
{
    if (length > CONFIG_LINE_MAX || !is_text(line, length)) {
        if (length > CONFIG_LINE_MAX)
            MISTAKE(reading, number, NULL, "the line is too long; %u bytes are allowed", CONFIG_LINE_MAX);
        else
            MISTAKE(reading, number, NULL, "this is not text");
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
    int r = !*text ? 0 : *text == '[' ? look_at_head(reading, number, text) : look_at_key(reading, number, text);
    if (r <= 0)
        line[0] = '\0';
    return r < 0 ? r : 0;
}

/* Writes what libeconf is to see of one line. Heads are written as their entries name them. A value that begins with a
 * quote gets a pair around it, of which libeconf takes one away again. */
static void write_line(FILE *out, const struct reading *reading, const char *line)
{
    const char *text = line + strspn(line, " \t\r");
    const char *equals = strchr(text, '=');
    if (*text == '[') {
        fprintf(out, "[%s]", reading->section);
    } else if (equals) {
        const char *value = equals + 1 + strspn(equals + 1, " \t\r");
        size_t length = strlen(value);
        while (length > 0 && is_blank(value[length - 1]))
            length--;
        const char *quote = value[0] == '"' ? "\"" : "";
        fprintf(out, "%s = %s%.*s%s", reading->entries.items[reading->entries.count - 1].key, quote, (int)length, value,
            quote);
    }
    putc('\n', out);
}

/* text: `length` bytes and a NUL, which it cuts up. */
static int look_at_lines(struct reading *reading, char *text, size_t length, FILE *out)
{
    unsigned number = 0;
    for (char *line = text; line < text + length;) {
        char *end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end)
            end = text + length;
        *end = '\0';
        number++;
        int r = look_at_line(reading, number, line, (size_t)(end - line));
        if (r == -E2BIG) {
            MISTAKE(reading, number, NULL, "more than %u sections and keys", CONFIG_LINES_MAX);
            return 0;
        }
        if (r < 0)
            return r;
        write_line(out, reading, line);
        line = end + 1;
    }
    return 0;
}

/* → 0 with the file's bytes and a NUL; -ENOMEM; 1: reported as a mistake. */
static int slurp(const char *path, char **ret, size_t *ret_length, struct config_report *report)
{
    struct config_place place = {.file = path};
    struct stat st;
    /* O_NONBLOCK: a FIFO put there must not stop the daemon. */
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
        return 1;
    }
    bool empty = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    if (!empty && !S_ISREG(st.st_mode)) {
        config_report_mistake(report, &place, "is not a file");
        return 1;
    }
    if (!empty && (st.st_mode & S_IWOTH)) {
        config_report_mistake(report, &place, "may be written by everybody; chmod o-w it");
        return 1;
    }
    if (st.st_size > CONFIG_FILE_MAX) {
        config_report_mistake(report, &place, "is too large; %u bytes are allowed", CONFIG_FILE_MAX);
        return 1;
    }
    size_t room = empty ? 0 : (size_t)st.st_size, length = 0;
    _cleanup_(cleanup_free) char *text = malloc(room + 1);
    if (!text)
        return -ENOMEM;
    while (length < room) {
        ssize_t n = read(fd, text + length, room - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            config_report_mistake(report, &place, "cannot be read: %s", strerror(errno));
            return 1;
        }
        if (n == 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    *ret = TAKE(text);
    *ret_length = length;
    return 0;
}

static void cleanup_econf(econf_file **file)
{
    if (*file)
        econf_freeFile(*file);
}

/* Asks libeconf for the values of all entries. copy: `length` bytes. → 0, -ENOMEM; mistakes are reported. */
static int read_values(struct reading *reading, const char *copy, size_t length)
{
    struct config_place place = {.file = reading->path};
    _cleanup_(fd_close) int fd = memfd_create("mpoold.conf", MFD_CLOEXEC);
    if (fd < 0) {
        config_report_mistake(reading->report, &place, "cannot be copied: %s", strerror(errno));
        return 0;
    }
    while (length > 0) {
        ssize_t n = write(fd, copy, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            config_report_mistake(reading->report, &place, "cannot be copied: %s", strerror(errno));
            return 0;
        }
        copy += n;
        length -= (size_t)n;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    _cleanup_(cleanup_econf) econf_file *file = NULL;
    econf_err error = econf_readFile(&file, path, "=", NO_COMMENT);
    if (error == ECONF_NOMEM)
        return -ENOMEM;
    if (error != ECONF_SUCCESS) {
        _cleanup_(cleanup_free) char *name = NULL;
        uint64_t line = 0;
        file = NULL;
        econf_errLocation(&name, &line);
        place.line = (unsigned)line;
        config_report_mistake(reading->report, &place, "%s", econf_errString(error));
        return 0;
    }
    for (size_t i = 0; i < reading->entries.count; i++) {
        struct config_entry *entry = &reading->entries.items[i];
        if (!entry->key)
            continue;
        error = econf_getStringValue(file, entry->section, entry->key, &entry->value);
        if (error == ECONF_SUCCESS && !entry->value) /* `key=` */
            entry->value = strdup("");
        if (error == ECONF_NOMEM || (error == ECONF_SUCCESS && !entry->value))
            return -ENOMEM;
        if (error != ECONF_SUCCESS) {
            place = (struct config_place){reading->path, entry->line, entry->section, entry->key, NULL};
            config_report_mistake(reading->report, &place, "%s", econf_errString(error));
        }
    }
    return 0;
}

/* Entries whose value libeconf did not have were reported; nobody shall see them. */
static void drop_valueless(struct config_entries *entries)
{
    size_t kept = 0;
    for (size_t i = 0; i < entries->count; i++) {
        struct config_entry *entry = &entries->items[i];
        if (!entry->key || entry->value) {
            entries->items[kept++] = *entry;
            continue;
        }
        free(entry->section);
        free(entry->key);
    }
    entries->count = kept;
}

static void reading_deinit(struct reading *reading)
{
    config_entries_reset(&reading->entries);
}

int config_read_file(const char *path, struct config_entries *ret, struct config_report *report)
{
    _cleanup_(reading_deinit) struct reading reading = {.path = path, .report = report};
    _cleanup_(cleanup_free) char *text = NULL, *copy = NULL;
    size_t length = 0, copy_length = 0;
    int r = slurp(path, &text, &length, report);
    if (r == 0) {
        FILE *out = open_memstream(&copy, &copy_length);
        if (!out)
            return -ENOMEM;
        r = look_at_lines(&reading, text, length, out);
        if (fclose(out) != 0)
            r = -ENOMEM;
        if (r == 0 && reading.entries.count > 0)
            r = read_values(&reading, copy, copy_length);
    }
    if (r < 0)
        return r;
    drop_valueless(&reading.entries);
    *ret = reading.entries;
    reading.entries = (struct config_entries){0};
    return 0;
}

#endif
