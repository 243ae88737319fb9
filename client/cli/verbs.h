/* The table of verbs, used for dispatch, --help, suggestions and completion. */
#pragma once

#include "client/cli/verb.h"

#define VERBS(X)                                                                                                       \
    X(run)                                                                                                             \
    X(call)                                                                                                            \
    X(map)                                                                                                             \
    X(submit)                                                                                                          \
    X(spawn)                                                                                                           \
    X(ps)                                                                                                              \
    X(kill)                                                                                                            \
    X(wait)                                                                                                            \
    X(result)                                                                                                          \
    X(cancel)                                                                                                          \
    X(forget)                                                                                                          \
    X(ls)                                                                                                              \
    X(status)                                                                                                          \
    X(lock)                                                                                                            \
    X(sem)                                                                                                             \
    X(value)                                                                                                           \
    X(queue)                                                                                                           \
    X(objects)                                                                                                         \
    X(inspect)                                                                                                         \
    X(remove)                                                                                                          \
    X(functions)                                                                                                       \
    X(pools)                                                                                                           \
    X(workers)                                                                                                         \
    X(pause)                                                                                                           \
    X(resume)                                                                                                          \
    X(stats)                                                                                                           \
    X(ping)                                                                                                            \
    X(module)                                                                                                          \
    X(help)                                                                                                            \
    X(completion)                                                                                                      \
    X(version)

#define X(name) extern const struct verb verb_##name;
VERBS(X)
#undef X

/* Ends with NULL. */
extern const struct verb *const verbs[];
/* Options that every verb takes; ends with a row without a name. */
extern const struct option_row common_options[];
/* Options of tasks that may also stand before the verb: `mpool --pool P call …`. */
extern const struct option_row leading_options[];

/* → whether --json was not given, or the verb takes it; said. */
bool verbs_json_fits(const struct verb *verb);

/* The same, and says what is wrong on stderr, with a suggestion, when there is none. */
const struct verb *verb_find_or_say(const char *name);
