/* How do mistakes in a configuration become text? Collected here, one line each, shown by whoever asked for the load.
 *
 * Foreign text is shortened and its control characters replaced, so a mistake stays one line. Capped: beyond
 * CONFIG_REPORT_LINES mistakes are counted and no more written. Where memory ends, a mistake is still counted.
 */
#pragma once

#include "daemon/config/config.h"

#define CONFIG_REPORT_LINES 200

/* Where a value stands. file: NULL for the command line. line: 0 for none. section, key, value: each may be NULL. All
 * borrowed. */
struct config_place {
    const char *file;
    unsigned line;
    const char *section; /* without brackets */
    const char *key;
    const char *value;
};

void config_report_mistake(struct config_report *report, const struct config_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
