/* `map --exec`: a command line with places for an item. {} is the item, quoted for the shell; {#} its number, from 1.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

/* Appends the command line for one item to `to`, without an end mark. Without any {} the item goes at its end.
 * → 0, or -ENOBUFS. The item may not hold NUL bytes: -EINVAL. */
int template_fill(struct wire_buf *to, const char *template, uint64_t number, const char *item, size_t length);
