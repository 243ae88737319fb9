/* MessagePack values as JSON on stdout, straight from their bytes.
 *
 * What JSON lacks: binary, and strings, that are not UTF-8 become {"base64": "…"}; ext becomes {"ext": type, "base64":
 * "…"}; NaN and infinities become null; keys that are not text are written as text, those that are arrays, maps or ext
 * as the base64 of their MessagePack bytes. Values are untrusted: malformed or too deep ones (over 128 levels) cause an
 * error, never a crash.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/reader.h"

/* Writes one value. → 0 with the reader past it; -EBADMSG or -ENODATA for malformed bytes; a part may have been written
 * then. */
int json_out_value(struct wire_reader *r);

/* Writes a JSON string of the bytes if they are UTF-8, else the base64 object. */
void json_out_bytes(const void *bytes, size_t length);

/* Writes the first value of `length` bytes and a newline; reports malformed bytes. → exit status. */
int json_out_print(const void *msgpack, size_t length);
