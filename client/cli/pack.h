/* MessagePack strings whose bytes come from the operating system: words, variables, paths. Appends; check to->failed.
 */
#pragma once

#include <stddef.h>

#include "proto/buf.h"

/* str if the bytes are UTF-8, else bin. */
void pack_text(struct wire_buf *to, const char *text, size_t length);
/* Always str, for fields that accept nothing else. */
void pack_str(struct wire_buf *to, const char *text, size_t length);
