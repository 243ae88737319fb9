/* Prints a map from the daemon as "key value" lines. */
#pragma once

#include "client/cli/view.h"

/* Writes every pair of the map to stdout: durations, sizes and times by their keys' units (_ms, _us, _kib, _bytes), the
 * pairs of inner maps as "outer.inner", the rest as JSON; nil is left out. */
void fields_print(struct view map);
