/* The fields of a shared object, for `mpool inspect` and `mpool queue stat`. */
#pragma once

#include "client/cli/view.h"

/* object: what the daemon answered to "inspect". Writes a line for each fact that its kind has to stdout. */
void inspect_print(struct view object);
