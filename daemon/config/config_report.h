/* Collects the mistakes in a configuration as text, one line each, to be shown by the caller that requested the load.
 *
 * Foreign text is shortened and its control characters are replaced, so that a mistake stays one line. Capped: mistakes
 * beyond CONFIG_REPORT_LINES are counted but not written. When out of memory, a mistake is still counted. */
#pragma once

#include "daemon/config/config.h"

#define CONFIG_REPORT_LINES 200

/* The location of a value. file: NULL for the command line. line: 0 for none. section, key, value: each may be NULL.
 * All borrowed. */
struct config_place {
    const char *file;
    unsigned line;
    const char *section; /* without brackets */
    const char *key;
    const char *value;
};

void config_report_mistake(struct config_report *report, const struct config_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
