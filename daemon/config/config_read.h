/* Which sections and keys stand in one configuration file, and where?
 *
 * config_lines.h looks at the lines, libeconf reads the values.
 * Knows no key by name. Without libeconf (HAVE_ECONF undefined) a file that is there is one mistake.
 */
#pragma once

#include "daemon/config/config_lines.h"

#define CONFIG_FILE_MAX (1u << 20) /* bytes */

/* path: a regular file, or /dev/null, which is an empty one. Nobody but owner and group may be able to write it.
 * → 0 with *ret (overwritten, caller's: what is sound) and mistakes in *report; -ENOMEM. */
int config_read_file(const char *path, struct config_entries *ret, struct config_report *report);
