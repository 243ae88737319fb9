/* Which files make up the configuration, in the order in which they are applied? Later ones win, key by key.
 *
 * As systemd does it: the administrator's main file replaces the vendor's; drop-ins (*.conf in a directory that is
 * called as the main file with .d behind) come after the main file, sorted by name wherever they lie, and one of the
 * administrator's replaces the vendor's of the same name. Reads names only; what is in the files is config_read.h's.
 */
#pragma once

#include "daemon/config/config.h"

#define CONFIG_FILE_NAME   "mpoold/mpoold.conf"
#define CONFIG_ETC         "/etc/" CONFIG_FILE_NAME
#define CONFIG_VENDOR      "/usr/lib/" CONFIG_FILE_NAME
#define CONFIG_DROPINS_MAX 1000

/* file: the main file, which is listed whether it is there or not, with FILE.d; NULL: the system's, of which those that
 * are there are listed. root: put before the system's paths, "" but in tests. → 0 with *ret (overwritten, caller's);
 * -ENOMEM. A directory that cannot be read goes to *report. */
int config_files_list(const char *root, const char *file, struct config_strings *ret, struct config_report *report);
