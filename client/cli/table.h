/* Aligned tables for people. On a terminal they fit its width: columns marked so are shortened, the widest first.
 *
 * Cells may hold anything: control characters are shown as "?", so that no task's name can drive the terminal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/say.h"

struct table_column {
    const char *title;
    bool right;   /* align right, for numbers */
    bool shrinks; /* may be shortened with "…" */
};

struct table;

/* columns: borrowed for the table's life. Never NULL: out of memory ends the program (there is nothing to undo). */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table *table);
/* The next cell of the row; rows begin by themselves after `count` cells. text is copied; NULL shows "-". */
void table_cell(struct table *table, const char *text);
void table_cell_format(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_cell_styled(struct table *table, enum say_style style, const char *text);
/* Writes it to stdout, its titles too. */
void table_print(const struct table *table);
size_t table_rows(const struct table *table);

static inline void table_cleanup(struct table **table)
{
    table_free(*table);
}

/* Columns of the terminal on fd; 80 if unknown. */
size_t table_terminal_width(int fd);
