/* Finds the files that belong to this binary. */
#pragma once

#include "daemon/config/config.h"

/* Call early, while argv and the binary are unchanged. */
void paths_init(void);
/* The directory of the shipped modules: the installed one, or beside a binary that was not installed. */
const char *paths_modules(void);
/* The names of all modules in it, sorted. → 0 or -errno; free with paths_free(). */
int paths_shipped(struct config_strings *ret);
void paths_free(struct config_strings *names);
