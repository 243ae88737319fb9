/* The shape of a verb and of its options: rows of const tables, from which the parser, --help and completion are made.
 *
 * A verb's file holds one `const struct verb`; verbs.h lists them. Option rows say where their value goes; one process
 * runs one verb, so those places are static variables of the verb's file.
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

/* Exactly one of the pointers is set; it makes the option a flag or says how its value is read. */
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
    uint64_t least, most; /* of a count; of a duration, in ms, and 0 is the most that a wait may take */
    struct option_list *list;
    char ***rest;   /* it and all words behind it: a command; NULL after the last */
    bool is_choice; /* of a text: one of `words`, and nothing else */
    bool is_bare;   /* digits or capitals behind a dash are its value: "-9", "-KILL" */
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
    const char *group;    /* heading in --help; verbs of one group stand together in the table */
    const char *usage;    /* what follows "mpool NAME " */
    const char *line;     /* one line for --help */
    const char *about;    /* the rest of `mpool NAME --help`: paragraphs, then examples */
    const char *operands; /* completion, as option_row.words: "@function", "@task", "@file", "@verb", words, or NULL */
    const char *second;   /* … of what stands behind one of those words; NULL: one of them again */
    unsigned flags;       /* enum verb_flags */
    const struct option_row *options; /* or NULL */
    /* operands: `count` strings, NULL after the last. → exit status */
    int (*run)(size_t count, char **operands);
};
