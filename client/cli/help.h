/* `mpool --help` and `mpool VERB --help`, made from the tables. Writes to stdout; never fails (see out.h). */
#pragma once

#include "client/cli/verb.h"

/* Lists only the verbs. */
void help_short(void);
void help_overview(void);
void help_verb(const struct verb *verb);
