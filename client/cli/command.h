/* What a command that exec.run starts is given: where it runs and its environment. For `run` and `map --exec`. */
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
    bool input;         /* its standard input comes with the request */
    bool stream;        /* outputs are to come as they are made */
    bool merge;         /* into one, in the order of writing, where ours are one */
    int64_t timeout_ms; /* exec.run stops it after that, and keeps what it had written; 0: does not */
    const struct option_count *max_output; /* bytes kept of each output, where given; or NULL */
    size_t variables; /* that the caller appends, name and value each: they are the last in the map */
};

/* Appends exec.run's option map. → 0, or -1 after it was said what is wrong. */
int command_pack_options(struct wire_buf *to, const struct command_extras *extras);
