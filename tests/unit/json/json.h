/* Values of the wire for tests: JSON in, text out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

/* One value of JSON as MessagePack, at the end of the buffer. Fails the test if it is not JSON. */
void json_pack_text(struct wire_buf *b, const char *json);
/* One whole value of MessagePack as text such as [1, "two", nil]. → its length in bytes; 0: more must come. Fails the
 * test if it is malformed, or longer than the text may be. */
size_t json_show(const uint8_t *bytes, size_t length, char *text, size_t size);
