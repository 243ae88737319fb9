/* The shape of a verb and of its options: rows of const tables that drive the parser, --help and completion.
 *
 * A verb's file holds one `const struct verb`; verbs.h lists them. Option rows point to where their value is stored;
 * one process runs one verb, so these are static variables of the verb's file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct option_count {
    bool given;
    uint64_t value;
};

/* Values of an option that may be repeated, in order. The array is the parser's and lives as long as the process. */
struct option_list {
    const char **values;
    size_t count;
};

/* Exactly one of the pointers is set; it makes the option a flag or determines how its value is read. */
struct option_row {
    const char *name;  /* long name without dashes; NULL ends a table */
    char letter;       /* short name, or 0 */
    const char *value; /* what --help calls the value; NULL for flags */
    const char *words; /* completion: the values there are, or "@pool", "@function", "@file", "@directory" */
    const char *help;  /* one line */
    bool *flag;
    bool *unflag; /* a flag that sets false */
    const char **text;
    struct option_count *count;
    int64_t *duration_ms;
    uint64_t min, max; /* of a count; of a duration, in ms, where 0 is the maximum for a wait */
    struct option_list *list;
    char ***rest;   /* this word and all after it: a command; NULL after the last */
    bool is_choice; /* of a text: one of `words`, and nothing else */
    bool is_bare;   /* digits or capitals after a dash are its value: "-9", "-KILL" */
};

enum verb_flags {
    VERB_COMMAND = 1u << 0, /* options end at the first operand: what follows is another program's */
    VERB_NUMBERS = 1u << 1, /* "-5" is an operand */
    VERB_ITEMS = 1u << 2,   /* ":::" ends the options and stays among the operands */
    VERB_ALONE = 1u << 3,   /* takes no operands */
    VERB_NO_JSON = 1u << 4, /* takes no --json: what it prints is a command's own, or a text for people */
};

struct verb {
    const char *name;
    const char *group;    /* heading in --help; verbs of one group are adjacent in the table */
    const char *usage;    /* what follows "mpool NAME " */
    const char *line;     /* one line for --help */
    const char *about;    /* the rest of `mpool NAME --help`: paragraphs, then examples */
    const char *operands; /* completion, as option_row.words: "@function", "@task", "@file", "@verb", words, or NULL */
    const char *second;   /* … completion after one of those words; NULL: the same words again */
    unsigned flags;       /* enum verb_flags */
    const struct option_row *options; /* or NULL */
    /* operands: `count` strings, NULL after the last. → exit status */
    int (*run)(size_t count, char **operands);
};
