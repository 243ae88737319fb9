/* config_load() with another root directory, for the tests alone. */
#pragma once

#include "daemon/config/config.h"

/* root: put before the paths of the system's configuration files. */
int config_load_from(
    const char *root, struct config **ret, const struct config_arguments *arguments, struct config_report *report);
