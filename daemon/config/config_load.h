/* config_load() with another root directory, only for the tests. */
#pragma once

#include "daemon/config/config.h"

/* root: prefix of the paths of the system's configuration files. */
int config_load_from(
    const char *root, struct config **ret, const struct config_arguments *arguments, struct config_report *report);
