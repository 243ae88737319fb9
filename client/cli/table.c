/* How do rows become columns on a screen? See table.h. */
#include "client/cli/table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "client/cli/exit_codes.h"
#include "client/cli/options.h"
#include "client/cli/out.h"

enum {
    COLUMNS_MAX = 16,
    GAP = 2,        /* blanks between columns */
    SHRINK_MIN = 8, /* no column gets narrower than this by shrinking */
    CELL_BYTES = 4096,
};

struct cell {
    char *text;
    enum say_style style;
};

struct table {
    const struct table_column *columns;
    size_t count;
    struct cell *cells;
    size_t used, size;
};

static _Noreturn void no_memory(void)
{
    say_error("no memory");
    exit(EXIT_OWN);
}

struct table *table_new(const struct table_column *columns, size_t count)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table || count > COLUMNS_MAX)
        no_memory();
    table->columns = columns;
    table->count = count;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->used; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

void table_cell_styled(struct table *table, enum say_style style, const char *text)
{
    if (table->used == table->size) {
        size_t size = table->size ? table->size * 2 : 64;
        struct cell *grown = reallocarray(table->cells, size, sizeof *grown);
        if (!grown)
            no_memory();
        table->cells = grown;
        table->size = size;
    }
    char *copy = strdup(text ? text : "-");
    if (!copy)
        no_memory();
    table->cells[table->used++] = (struct cell){copy, style};
}

void table_cell(struct table *table, const char *text)
{
    table_cell_styled(table, SAY_PLAIN, text);
}

void table_cell_format(struct table *table, const char *format, ...)
{
    char text[CELL_BYTES];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    table_cell(table, text);
}

size_t table_rows(const struct table *table)
{
    return table->used / table->count;
}

size_t table_terminal_width(int fd)
{
    struct winsize window;
    uint64_t columns;
    if (ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        return window.ws_col;
    const char *env = getenv("COLUMNS");
    return env && options_number(env, 1, 10000, &columns) == 0 ? (size_t)columns : 80;
}

/* The next character: its bytes and its columns. Broken UTF-8 and control characters are one byte, one column. */
static size_t step(const char *p, size_t *ret_columns, bool *ret_shown)
{
    wchar_t c;
    mbstate_t state = {0};
    size_t n = mbrtowc(&c, p, MB_CUR_MAX, &state);
    bool whole = n != (size_t)-1 && n != (size_t)-2 && n > 0;
    int width = whole ? wcwidth(c) : -1;
    *ret_shown = width >= 0;
    *ret_columns = width >= 0 ? (size_t)width : 1;
    return whole ? n : 1;
}

static size_t width_of(const char *text)
{
    size_t width = 0, columns;
    bool shown;
    for (const char *p = text; *p; width += columns)
        p += step(p, &columns, &shown);
    return width;
}

/* Writes text in at most `room` columns, the end cut off with "…" if need be. → columns used. */
static size_t put_text(const char *text, size_t room)
{
    size_t keep = width_of(text) <= room ? room : room - 1;
    size_t used = 0, columns;
    bool shown;
    for (const char *p = text; *p;) {
        size_t n = step(p, &columns, &shown);
        if (used + columns > keep)
            break;
        out_bytes(shown ? p : "?", shown ? n : 1);
        used += columns;
        p += n;
    }
    if (keep != room) {
        out_text("…");
        used++;
    }
    return used;
}

static void pad(size_t columns)
{
    for (size_t i = 0; i < columns; i++)
        out_byte(' ');
}

static void put_cell(const struct table_column *column, const char *text, enum say_style style, size_t width, bool last)
{
    bool color = say_color(STDOUT_FILENO);
    size_t natural = width_of(text);
    size_t blank = natural < width ? width - natural : 0;
    if (column->right)
        pad(blank);
    out_text(say_style(color, style));
    size_t used = put_text(text, width);
    out_text(say_style_end(color, style));
    if (!last && !column->right)
        pad(width - used);
    if (!last)
        pad(GAP);
}

/* Narrows the widest shrinkable column, one character at a time, until the row fits or none can shrink further. */
static void fit(const struct table *table, size_t *widths, size_t room)
{
    for (;;) {
        size_t total = GAP * (table->count - 1), widest = table->count;
        for (size_t i = 0; i < table->count; i++) {
            total += widths[i];
            if (table->columns[i].shrinks && widths[i] > SHRINK_MIN &&
                (widest == table->count || widths[i] > widths[widest]))
                widest = i;
        }
        if (total <= room || widest == table->count)
            return;
        widths[widest]--;
    }
}

void table_print(const struct table *table)
{
    size_t widths[COLUMNS_MAX];
    for (size_t i = 0; i < table->count; i++)
        widths[i] = width_of(table->columns[i].title);
    for (size_t i = 0; i < table->used; i++) {
        size_t width = width_of(table->cells[i].text);
        if (width > widths[i % table->count])
            widths[i % table->count] = width;
    }
    if (isatty(STDOUT_FILENO))
        fit(table, widths, table_terminal_width(STDOUT_FILENO));
    for (size_t i = 0; i < table->count; i++)
        put_cell(&table->columns[i], table->columns[i].title, SAY_BOLD, widths[i], i == table->count - 1);
    out_byte('\n');
    for (size_t i = 0; i < table->used; i++) {
        size_t column = i % table->count;
        bool last = column == table->count - 1;
        put_cell(&table->columns[column], table->cells[i].text, table->cells[i].style, widths[column], last);
        if (last)
            out_byte('\n');
    }
}
