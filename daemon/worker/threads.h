/* Which threads does this process have, beside the one that asks? */
#pragma once

#include <stddef.h>

/* → how many others there are; *ret: their names, as "a, b, c", cut to `size`. Those that were joined a moment ago are
 * given the time to vanish. Cheap where there is none. */
size_t threads_others(char *ret, size_t size);
