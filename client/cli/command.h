/* The options of a command that exec.run starts: its directory, environment, input and output. For `run` and `map
 * --exec`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/verb.h"
#include "proto/buf.h"

struct command_options {
    const char *directory; /* NULL: this program's own */
    struct option_list env;
    bool all_env;
};
extern struct command_options command_options;

#define OPTION_ROWS_COMMAND                                                                                            \
    {.name = "cwd",                                                                                                    \
        .letter = 'C',                                                                                                 \
        .value = "DIR",                                                                                                \
        .words = "@directory",                                                                                         \
        .text = &command_options.directory,                                                                            \
        .help = "where the command runs (default: here)"},                                                             \
        {.name = "env",                                                                                                \
            .letter = 'e',                                                                                             \
            .value = "NAME[=VALUE]",                                                                                   \
            .list = &command_options.env,                                                                              \
            .help = "set a variable, or hand on this one; may be repeated"},                                           \
    {                                                                                                                  \
        .name = "all-env", .letter = 'E', .flag = &command_options.all_env, .help = "hand on the whole environment"    \
    }

struct command_extras {
    bool input;         /* its standard input is sent with the request */
    bool stream;        /* outputs are sent as they are written */
    bool merge;         /* merge both outputs in the order of writing, if ours are one file */
    int64_t timeout_ms; /* exec.run stops it after this time and keeps its output so far; 0: no time-out */
    const struct option_count *max_output; /* bytes kept of each output, if given; or NULL */
    size_t variables;                      /* pairs of name and value that the caller appends at the end of the map */
};

/* Appends exec.run's option map. → 0, or -1 after reporting what is wrong. */
int command_pack_options(struct wire_buf *to, const struct command_extras *extras);
