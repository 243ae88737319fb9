/* Reads maps of options by a table of keys: the options of tasks and of objects, of hello, and the filters.
 *
 * All of them accept the same forms: nil in place of the map or of a value means absent; keys and texts may be str or
 * bin; integers and empty maps are what reader.h accepts as such. A key that is not in the table is an error. Pure; any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reader.h"

struct option_text {
    const char *at; /* not terminated, points into the message; NULL: not given */
    size_t length;
};

struct option_number {
    bool is_whole, is_negative;
    union {
        uint64_t u;
        int64_t i; /* is_negative */
    };             /* is_whole */
    double f;      /* always set */
};

enum option_type {
    OPTION_UINT,   /* uint64_t: an integer within bounds */
    OPTION_BOOL,   /* bool */
    OPTION_TEXT,   /* struct option_text: its length in bytes within bounds */
    OPTION_NUMBER, /* struct option_number: any */
};

struct option_row {
    const char *name;
    enum option_type type;
    size_t at; /* offset of its field in the struct that is filled */
    uint64_t min, max;
    unsigned where; /* bits: where the option is allowed */
};

struct option_table {
    const char *noun; /* "option", "filter" */
    const struct option_row *rows;
    uint32_t count; /* at most 32 */
};

/* Receives an error sentence. */
struct option_why {
    char *text;
    size_t size;
};

/* in: at a map or nil; moves past it. where: one bit of option_row.where, or UINT_MAX for any; here: what that bit is,
 * in words ("call", "a lock"). Fills the fields of the options that are given, and sets the bit 1 << row of each in
 * *ret_given (may be NULL). → 0; -EINVAL with a sentence that names the key, what was expected and what was found. */
int option_table_read(const struct option_table *table, unsigned where, const char *here, struct wire_reader *in,
    void *ret, uint32_t *ret_given, struct option_why why);

/* Is it this word? */
bool option_is(const struct option_text *text, const char *word);
