/* Which threads does this process have, besides the calling one? */
#pragma once

#include <stddef.h>

/* → how many others there are; *ret: their names, as "a, b, c", cut to `size`. Waits briefly for threads that have just
 * been joined to vanish. Cheap if there are none. */
size_t threads_others(char *ret, size_t size);
