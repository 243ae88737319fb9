/* What do codes mean to people, and on the wire? Both use the wire's table. Pure; any thread. */
#pragma once

#include <stddef.h>

/* text: "E_LOST: worker 3 …". → the code, MPOOL_EREMOTE when the name is unknown. */
int text_code(const char *text, size_t length);
