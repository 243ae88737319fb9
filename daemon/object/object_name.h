/* What are valid object names, and is a text a name or a handle?
 *
 * A name is 1 … OBJECT_NAME_MAX bytes of [A-Za-z0-9._:/@-]. A handle is "kind:number:key" with a key of 16 lower-case
 * hexadecimal digits: it grants its holder the right to open the object. A text of that form is always a handle, never
 * a name. Pure; no state; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/kinds.h"

#define OBJECT_NAME_MAX   128u
#define OBJECT_NUMBER_MAX ((1ull << 53) - 1)
#define OBJECT_HANDLE_MAX 64u /* bytes of a handle, including the final NUL */

struct object_handle {
    enum mpool_kind kind;
    uint64_t number; /* 1 … OBJECT_NUMBER_MAX */
    uint64_t key;
};

bool object_name_is_valid(const char *text, size_t length);
/* → whether the text is a handle. */
bool object_handle_parse(const char *text, size_t length, struct object_handle *ret);
void object_handle_format(const struct object_handle *handle, char out[OBJECT_HANDLE_MAX]);
