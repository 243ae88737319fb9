/* Which sections and keys does one configuration file contain, and on which lines?
 *
 * config_lines.h checks the lines, libeconf reads the values. Knows no key by name. Without libeconf (HAVE_ECONF
 * undefined) an existing file is one mistake. */
#pragma once

#include "daemon/config/config_lines.h"

#define CONFIG_FILE_MAX (1u << 20) /* bytes */

/* path: a regular file, or /dev/null, which counts as empty. It must not be writable by anybody but owner and group. →
 * 0 with *ret (overwritten, caller's: the valid entries) and mistakes in *report; -ENOMEM. */
int config_read_file(const char *path, struct config_entries *ret, struct config_report *report);
