/* Is this text allowed for this key, and if so, what does it change? One value into a field of the configuration.
 *
 * A text that is not allowed leaves the field as it was and puts one mistake, with what is allowed, into the report.
 * Who the process is counts too: another user, another group or a nice below 0 need root.
 */
#pragma once

#include "daemon/config/config_keys.h"
#include "daemon/config/config_report.h"

/* base: the struct config or struct config_pool whose field is written. text: NULL for the key's default.
 * cpus: what auto means. → 0, also for a mistake; -ENOMEM. */
int config_assign(const struct config_key *key, void *base, const char *text, unsigned cpus,
    const struct config_place *place, struct config_report *report);

/* Adds a module of the command line: a name, or a path, which is made absolute. → as above. */
int config_assign_module(
    struct config_strings *modules, const char *text, const struct config_place *place, struct config_report *report);
