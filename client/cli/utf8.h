/* Which bytes are a character of UTF-8, and which characters control a terminal? Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at p (RFC 3629: no overlong forms, no surrogates), 0 when there is none. left: at
 * least 1. */
static inline size_t utf8_step(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t need = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (need == 0 || need > left)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return need;
}

/* Is there a control character U+0080 … U+009F at p? Some terminals obey these like ESC sequences. */
static inline bool utf8_is_c1(const uint8_t *p, size_t left)
{
    return left >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
}
