/* The values of the common options. The parser sets them before a verb runs; nothing else writes them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/cli/verb.h"

struct settings {
    const char *socket; /* NULL: the default paths */
    bool json;
    bool quiet; /* no hints, notes or progress; errors are still printed */
    bool help, version;
    const char *color;                  /* "auto", "always", "never" */
    const char *pool;                   /* tasks: NULL, the daemon chooses */
    const char *label;                  /* tasks: a name for listings, or NULL */
    int64_t timeout_ms;                 /* -1: not given */
    int64_t call_timeout_ms;            /* how long to wait for an answer of the daemon; -1: no limit */
    int64_t ttl_ms;                     /* of a submitted task's or a process's result; -1: not given */
    struct option_count attempts;       /* tasks */
    struct option_count priority;       /* the same */
    int64_t delay_ms, queue_timeout_ms; /* the same; 0: not given */
    const char *at, *expires;           /* the same: as given, or NULL */
};

extern struct settings settings;

#define OPTION_ROW_POOL                                                                                                \
    {                                                                                                                  \
        .name = "pool", .letter = 'p', .value = "NAME", .words = "@pool", .text = &settings.pool,                      \
        .help = "the pool that runs it (default: the first that can)"                                                  \
    }
#define OPTION_ROW_TIMEOUT(text)                                                                                       \
    {                                                                                                                  \
        .name = "timeout", .letter = 't', .value = "TIME", .duration_ms = &settings.timeout_ms, .help = (text)         \
    }
#define OPTION_ROW_TTL                                                                                                 \
    {                                                                                                                  \
        .name = "ttl", .value = "TIME", .duration_ms = &settings.ttl_ms, .min = 1000,                                  \
        .max = UINT64_C(0x7fffffff) * 1000,                                                                            \
        .help = "how long the result is kept after the end: 60s, 2h, 7d (default: the daemon's)"                       \
    }
#define SCHEDULE_MAX_MS (UINT64_C(36500) * 86400 * 1000)
#define OPTION_ROWS_SCHEDULE                                                                                           \
    {.name = "priority",                                                                                               \
        .value = "N",                                                                                                  \
        .count = &settings.priority,                                                                                   \
        .min = 0,                                                                                                      \
        .max = 255,                                                                                                    \
        .help = "0 to 255: tasks of a higher priority go first (default: 128)"},                                       \
        {.name = "delay",                                                                                              \
            .value = "TIME",                                                                                           \
            .duration_ms = &settings.delay_ms,                                                                         \
            .max = SCHEDULE_MAX_MS,                                                                                    \
            .help = "start no earlier than in TIME: 500ms, 5s, 2m, 1h, 7d"},                                           \
        {.name = "at",                                                                                                 \
            .value = "WHEN",                                                                                           \
            .text = &settings.at,                                                                                      \
            .help = "start no earlier than at 17:30, 17:30:05, '2027-01-31 17:30', or @SECONDS since 1970"},           \
        {.name = "expires",                                                                                            \
            .value = "WHEN",                                                                                           \
            .text = &settings.expires,                                                                                 \
            .help = "never start at WHEN (as for --at) or later"},                                                     \
    {                                                                                                                  \
        .name = "queue-timeout", .value = "TIME", .duration_ms = &settings.queue_timeout_ms, .max = SCHEDULE_MAX_MS,   \
        .help = "never start once it has waited for TIME"                                                              \
    }
/* For verbs that submit tasks. */
#define OPTION_ROWS_TASK                                                                                               \
    OPTION_ROW_POOL, OPTION_ROW_TIMEOUT("stop a run after TIME: 500ms, 5s, 2m, 1h; a bare number is seconds"),         \
        {.name = "attempts",                                                                                           \
            .value = "N",                                                                                              \
            .count = &settings.attempts,                                                                               \
            .min = 1,                                                                                                  \
            .max = 100,                                                                                                \
            .help = "runs allowed in all when a worker is lost"},                                                      \
        OPTION_ROWS_SCHEDULE,                                                                                          \
    {                                                                                                                  \
        .name = "name", .value = "LABEL", .text = &settings.label, .help = "a label for `mpool ls` (128 bytes)"        \
    }
