/* Reads a verb's words into the places that its option rows name.
 *
 * Long and short options, in any order among the operands (unless the verb says otherwise), "--" ends them. Errors are
 * reported on stderr with what is allowed; there is no guessing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/verb.h"

/* who: "mpool map", for messages. tables: `table_count` option tables, each ended by a row without a name (NULL tables
 * are skipped). words: `count` strings, permuted so that the operands come first.
 * → how many operands there are, or -1 after reporting the error. */
int options_parse(const char *who, const struct option_row *const *tables, size_t table_count, unsigned verb_flags,
    char **words, size_t count);

/* Digits alone. → 0, or -1. */
int options_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
