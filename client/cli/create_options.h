/* Options for creating a shared object that does not exist yet: --mode, --group, --ttl. */
#pragma once

#include <mpool/shared.h>

#include "client/cli/verb.h"

struct create_options {
    const char *mode, *group;
    int64_t ttl_ms; /* -1: not given */
};
extern struct create_options create_options;

#define OPTION_ROWS_CREATE                                                                                             \
    {.name = "mode",                                                                                                   \
        .letter = 'm',                                                                                                 \
        .value = "OCTAL",                                                                                              \
        .text = &create_options.mode,                                                                                  \
        .help = "if it is made: who may use it, as of a file (default: 0600)"},                                        \
        {.name = "group",                                                                                              \
            .letter = 'g',                                                                                             \
            .value = "GROUP",                                                                                          \
            .text = &create_options.group,                                                                             \
            .help = "if it is made: its group"},                                                                       \
    {                                                                                                                  \
        .name = "ttl", .value = "TIME", .duration_ms = &create_options.ttl_ms, .min = 1000,                            \
        .max = UINT64_C(365) * 86400 * 1000,                                                                           \
        .help = "if it is made: it goes so long after its last use (default: when it is removed)"                      \
    }

/* → 0 with the options set, or EXIT_OWN after reporting what is wrong. */
int create_options_read(mpool_object_options *ret);
