/* Checks the text of one value and assigns it to a field of the configuration.
 *
 * A text that is not allowed leaves the field unchanged and adds one mistake, with what is allowed, to the report. The
 * process' own user matters, too: another user, another group or a nice below 0 need root. */
#pragma once

#include "daemon/config/config_keys.h"
#include "daemon/config/config_report.h"

/* base: the struct config or struct config_pool whose field is written. text: NULL for the key's default. cpus: the
 * value of auto. → 0, also for a mistake; -ENOMEM. */
int config_assign(const struct config_key *key, void *base, const char *text, unsigned cpus,
    const struct config_place *place, struct config_report *report);

/* Adds a module from the command line: a name, or a path, which is made absolute. → as above. */
int config_assign_module(
    struct config_strings *modules, const char *text, const struct config_place *place, struct config_report *report);
