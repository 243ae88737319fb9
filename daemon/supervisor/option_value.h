/* Is the value of an option what it may be? For the tables of options (options.h, object_options.h). Pure; any thread.
 *
 * Each reads one value and moves past it. → 0; -EINVAL with a sentence that names the option, what was expected and
 * what came.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reader.h"

/* Where a sentence goes. */
struct option_why {
    char *text;
    size_t size;
};

/* expected: in words, "a bool". in: at the value. → -EINVAL */
int option_wrong(const char *name, const char *expected, const struct wire_reader *in, struct option_why why);
int option_read_bool(struct wire_reader *in, const char *name, bool *ret, struct option_why why);
int option_read_uint(
    struct wire_reader *in, const char *name, uint64_t least, uint64_t most, uint64_t *ret, struct option_why why);
/* least, most: bytes. *ret points into what is read. */
int option_read_text(struct wire_reader *in, const char *name, uint64_t least, uint64_t most, const char **ret,
    size_t *ret_length, struct option_why why);
