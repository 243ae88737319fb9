/* Checks the lines of a configuration file, finds its sections and keys, and prepares a copy for libeconf.
 *
 * By itself libeconf 0.5 silently keeps the first of two equal keys, joins a line without `=` to the value before it,
 * forgets empty sections, cuts values at a `#` even in quotes and lines at 8 KiB, and stops at its first mistake. So
 * each line is checked here first; in the copy that libeconf reads, invalid lines are blank. Knows no file and no key
 * by name. Pure. */
#pragma once

#include <stdio.h>

#include "daemon/config/config.h"

#define CONFIG_LINE_MAX  8000u  /* bytes; libeconf reads lines into BUFSIZ */
#define CONFIG_LINES_MAX 10000u /* sections and keys in one file */

/* Passed to libeconf as its comment character: a byte that no line in the copy contains. */
#define CONFIG_NO_COMMENT "\x01"

/* A section's head, or a key with its value. */
struct config_entry {
    unsigned line;
    char *section; /* owned; blanks around it removed, and those within it reduced to one */
    char *key;     /* owned; NULL: the section's head */
    char *value;   /* owned; "" if empty; NULL for a head */
};

struct config_entries {
    struct config_entry *items; /* in the order of the file */
    size_t count;
};
void config_entries_reset(struct config_entries *entries);

/* text: `length` bytes and a NUL; it is modified. path: for the reports. Appends the valid entries to *entries, without
 * values, and writes the copy to out, line for line. → 0 with mistakes in *report; -ENOMEM. */
int config_lines_look(const char *path, char *text, size_t length, struct config_entries *entries, FILE *out,
    struct config_report *report);
