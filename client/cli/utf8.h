/* Which characters beyond ASCII control a terminal? Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is there a control character U+0080 … U+009F at p? Some terminals obey these like ESC sequences. */
static inline bool utf8_is_c1(const uint8_t *p, size_t left)
{
    return left >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
}
