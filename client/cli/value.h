/* The number of a value, for `mpool value` and `mpool inspect`. */
#pragma once

#include <mpool/shared.h>

/* Writes it and a newline to stdout. → 0, or negative as mpool_value_get_i64(). */
int value_print(mpool_object *value);
