/* Counters since the start of the daemon, under the names that `stats` shows: those of tasks, and the rest. */
#pragma once

#include <stdint.h>

#define STATS_OF_TASKS(X)                                                                                              \
    X(submitted) X(done) X(failed) X(lost) X(timeout) X(cancelled) X(shutdown) X(overdue) X(retried) X(expired) X(items)
#define STATS(X)                                                                                                       \
    X(requests)                                                                                                        \
    X(connections_accepted)                                                                                            \
    X(connections_refused)                                                                                             \
    X(connections_closed_for_stalling)                                                                                 \
    X(workers_born)                                                                                                    \
    X(workers_died)                                                                                                    \
    X(workers_killed)                                                                                                  \
    X(workers_broke_protocol)                                                                                          \
    X(orphans_killed)                                                                                                  \
    X(loop_passes)                                                                                                     \
    X(loop_deferrals)                                                                                                  \
    X(loop_sleeps)

struct stats {
#define X(name) uint64_t name;
    STATS(X)
    struct {
        STATS_OF_TASKS(X)
    } tasks;
#undef X
};
