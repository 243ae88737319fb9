/* Where are the files that belong to this very binary? */
#pragma once

#include "daemon/supervisor/config.h"

/* Early, while argv and the binary are what they were. */
void places_init(void);
/* The directory of the shipped modules: the installed one, or beside a binary that was not installed. */
const char *places_modules(void);
/* The names of all modules in it, sorted. → 0 or -errno; free with places_free(). */
int places_shipped(struct config_strings *ret);
void places_free(struct config_strings *names);
