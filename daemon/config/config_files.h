/* Which files make up the configuration, in the order in which they are applied? Later ones win, key by key.
 *
 * As in systemd: the administrator's main file replaces the vendor's; drop-ins (*.conf in a directory named after the
 * main file with .d appended) come after the main file, sorted by name across all directories, and one of the
 * administrator's replaces the vendor's of the same name. Reads names only; the contents are read by config_read.h. */
#pragma once

#include "daemon/config/config.h"

#define CONFIG_FILE_NAME   "mpoold/mpoold.conf"
#define CONFIG_ETC         "/etc/" CONFIG_FILE_NAME
#define CONFIG_VENDOR      "/usr/lib/" CONFIG_FILE_NAME
#define CONFIG_DROPINS_MAX 1000

/* file: the main file, which is listed even if it is absent, with FILE.d; NULL: the system's, of which those that exist
 * are listed. root: prefix of the system's paths, "" except in tests. → 0 with *ret (overwritten, caller's); -ENOMEM. A
 * directory that cannot be read is reported in *report. */
int config_files_list(const char *root, const char *file, struct config_strings *ret, struct config_report *report);
