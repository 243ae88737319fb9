/* Options for creating a shared object that does not exist yet: --mode, --group, --ttl. */
#pragma once

#include <mpool/shared.h>

#include "client/cli/verb.h"

struct making {
    const char *mode, *group;
    int64_t ttl_ms; /* -1: not given */
};
extern struct making making;

#define OPTION_ROWS_MAKING                                                                                             \
    {.name = "mode",                                                                                                   \
        .letter = 'm',                                                                                                 \
        .value = "OCTAL",                                                                                              \
        .text = &making.mode,                                                                                          \
        .help = "if it is made: who may use it, as of a file (default: 0600)"},                                        \
        {.name = "group", .letter = 'g', .value = "GROUP", .text = &making.group, .help = "if it is made: its group"}, \
    {                                                                                                                  \
        .name = "ttl", .value = "TIME", .duration_ms = &making.ttl_ms, .least = 1000,                                  \
        .most = UINT64_C(365) * 86400 * 1000,                                                                          \
        .help = "if it is made: it goes so long after its last use (default: when it is removed)"                      \
    }

/* → 0 with the options set, or EXIT_OWN after reporting what is wrong. */
int making_options(mpool_object_options *ret);

/* A property requested on the command line, for a new object: "-n 4" for its fact "capacity". */
struct making_wish {
    bool given;
    const char *option, *fact;
    uint64_t value;
};
/* Does the existing object match the request? wishes: `count` of them. → EXIT_OK, or EXIT_OWN after reporting what
 * differs. */
int making_check(mpool_client *client, const char *name, const struct making_wish *wishes, size_t count);
