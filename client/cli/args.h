/* The argument array of `call` and `submit`, from words, --args-json, or JSON on standard input. */
#pragma once

#include <stddef.h>

#include "client/cli/verb.h"
#include "proto/buf.h"

#define ARGS_STDIN_CAP (256u << 20) /* bytes of standard input, for arguments and for `run` */

/* One process runs one verb: these rows and what they set are shared by call and submit. */
struct args_options {
    const char *json;
    bool from_stdin;
    bool strings;
};
extern struct args_options args_options;

#define OPTION_ROWS_ARGS                                                                                               \
    {.name = "args-json", .value = "JSON", .text = &args_options.json, .help = "all arguments as one JSON array"},     \
        {.name = "stdin", .flag = &args_options.from_stdin, .help = "read that JSON array from standard input"},       \
    {                                                                                                                  \
        .name = "strings", .letter = 's', .flag = &args_options.strings,                                               \
        .help = "arguments are strings, even if they look like JSON"                                                   \
    }

/* Appends the array. words: those after the function's name. → 0, or -1 after reporting what is wrong. */
int args_pack(struct wire_buf *to, char **words, size_t count);
