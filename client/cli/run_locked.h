/* What `lock` and `sem` share: wait for an object, run a command while holding it, release it. */
#pragma once

#include <mpool/shared.h>

#include "client/cli/create_options.h"
#include "client/cli/verb.h"

struct lock_options {
    int64_t wait_ms; /* -1: forever */
    bool try_only;
    bool close;                  /* given back when the command itself has ended, or mpool is killed */
    struct option_count refused; /* exit status when the wait timed out */
};
extern struct lock_options lock_options;

#define OPTION_ROWS_LOCK                                                                                               \
    {.name = "wait",                                                                                                   \
        .letter = 'w',                                                                                                 \
        .value = "TIME",                                                                                               \
        .duration_ms = &lock_options.wait_ms,                                                                          \
        .help = "give up after TIME: 500ms, 5s, 2m; a bare number is seconds"},                                        \
        {.name = "timeout", .letter = 't', .value = "TIME", .duration_ms = &lock_options.wait_ms, .help = "the same"}, \
        {.name = "close",                                                                                              \
            .letter = 'o',                                                                                             \
            .flag = &lock_options.close,                                                                               \
            .help = "only the command itself counts, not what it leaves running; and if mpool is killed, it ends"},    \
    {                                                                                                                  \
        .name = "conflict-exit-code", .letter = 'E', .value = "N", .count = &lock_options.refused, .min = 0,           \
        .max = 255, .help = "the exit status when the wait timed out (default: 1)"                                     \
    }

struct locker {
    const struct verb *verb;
    const char *what; /* "lock" */
    const char *kind; /* of the object */
    int (*acquire)(mpool_object *object, int64_t timeout_ms, bool *ret_abandoned);
    int (*release)(mpool_object *object);
};

/* words: NAME, options that follow it, optionally "--", and the command. rows: the verb's. Sets the options. → 0 with
 * *ret_command, or EXIT_OWN after reporting what is wrong. */
int run_locked_parse(
    const struct locker *locker, const struct option_row *rows, size_t count, char **words, char ***ret_command);
/* options: of the object: one that exists and is another is refused. → exit
 * status. */
int run_locked(const struct locker *locker, const mpool_object_options *options, const char *name, char **command);
