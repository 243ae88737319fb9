/* Which lines of a configuration file are sound, which sections and keys do they name, and what is libeconf to see?
 *
 * Left alone, libeconf 0.5 keeps the first of two equal keys and says nothing, joins a line without `=` to the value
 * before it, forgets empty sections, cuts values at a `#` even in quotes and lines at 8 KiB, and stops at its first
 * mistake. So each line is looked at here first; the copy that libeconf reads has the mistaken ones blank. Knows no
 * file and no key by name. Pure.
 */
#pragma once

#include <stdio.h>

#include "daemon/config/config.h"

#define CONFIG_LINE_MAX  8000u  /* bytes; libeconf reads lines into BUFSIZ */
#define CONFIG_LINES_MAX 10000u /* sections and keys in one file */

/* What libeconf is to take for the begin of a comment: a byte that no line which gets there contains. */
#define CONFIG_NO_COMMENT "\x01"

/* A section's head, or a key with its value. */
struct config_entry {
    unsigned line;
    char *section; /* owned; blanks around it gone and those within it made one */
    char *key;     /* owned; NULL: the section's head */
    char *value;   /* owned; "" when nothing is there; NULL for a head */
};

struct config_entries {
    struct config_entry *items; /* in the order of the file */
    size_t count;
};
void config_entries_reset(struct config_entries *entries);

/* text: `length` bytes and a NUL, which is cut up. path: for the reports. Appends what is sound to *entries, without
 * values, and writes the copy to out, line for line. → 0 with mistakes in *report; -ENOMEM. */
int config_lines_look(const char *path, char *text, size_t length, struct config_entries *entries, FILE *out,
    struct config_report *report);
