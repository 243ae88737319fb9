/* Which sections and keys stand in one configuration file, and where?
 *
 * Reads through libeconf, but looks at each line first. Left alone, libeconf 0.5 keeps the first of two equal keys and
 * says nothing, joins a line without `=` to the value before it, forgets empty sections, cuts values at a `#` even
 * in quotes and lines at 8 KiB, and stops at its first mistake. So each mistaken line is reported here, and libeconf is
 * given a copy of the file in which those lines are blank.
 * Knows no key by name. Without libeconf (HAVE_ECONF undefined) a file that is there is one mistake.
 */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/config.h"

#define CONFIG_FILE_MAX  (1u << 20) /* bytes */
#define CONFIG_LINE_MAX  8000u      /* bytes; libeconf reads lines into BUFSIZ */
#define CONFIG_LINES_MAX 10000u     /* sections and keys in one file */

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

/* path: a regular file, or /dev/null, which is an empty one. Nobody but owner and group may be able to write it.
 * → 0 with *ret (overwritten, caller's: what is sound) and mistakes in *report; -ENOMEM. */
int config_read_file(const char *path, struct config_entries *ret, struct config_report *report);
