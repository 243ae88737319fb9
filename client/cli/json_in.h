/* Words and JSON texts as MessagePack, for arguments and items.
 *
 * A word is JSON where it parses, else a string: `7` is a number, `hello` and `a b` are strings, `"7"` is the string 7.
 * Integers that do not fit in 64 bits are refused rather than converted. jansson bounds the depth of JSON (2,048); the
 * daemon's limit is lower, and it refuses deeper values.
 */
#pragma once

#include <stddef.h>

#include "proto/buf.h"

enum json_in_kind {
    JSON_IN_WORD,  /* JSON where it parses, else a string */
    JSON_IN_TEXT,  /* always a string */
    JSON_IN_ARRAY, /* must be a JSON array, which becomes the value */
};

enum { JSON_IN_WHY = 256 }; /* size of the buffer for an error text */

/* Appends `text` (`length` bytes) as one value. Bytes that are not UTF-8 go in as bin. why: JSON_IN_WHY bytes.
 * → 0; -EINVAL or -ENOMEM with the reason in `why`, as in "argument 2: REASON"; the buffer is then unchanged. */
int json_in_value(struct wire_buf *to, enum json_in_kind kind, const char *text, size_t length, char *why);
