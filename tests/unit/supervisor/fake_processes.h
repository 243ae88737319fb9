/* A forkserver and workers that do what a test says, for the supervisor under test: they speak the control protocol
 * (daemon/lane/control_protocol.h) and use the lane, but load no modules, and break the rules where a test wants that.
 *
 * How the forkserver behaves is said by FAKE_FORKSERVER in its pool's environment, see fake_forkserver(); how a worker
 * behaves by FAKE_WORKER, and then by the function that it is told to run, see FAKE_FUNCTIONS. */
#pragma once

#include "daemon/lane/control_protocol.h"

/* X(name, flags, sentence) */
#define FAKE_FUNCTIONS(X)                                                                                              \
    X(echo, CONTROL_IDEMPOTENT, "its arguments")                                                                       \
    X(one, CONTROL_IDEMPOTENT, "the same, but hands back all but the first item of a chunk")                           \
    X(refuse, 0, "fails; in a map: items that are 0 fail")                                                             \
    X(retry, CONTROL_IDEMPOTENT, "fails retryably in its first run, then returns its attempt")                         \
    X(end, 0, "exits with that status, or dies by that signal, if it is negative")                                     \
    X(crash_once, CONTROL_IDEMPOTENT, "dies in its first run, then returns its attempt")                               \
    X(half, CONTROL_IDEMPOTENT, "publishes the first item of a chunk, then dies; a single item is returned")           \
    X(wait, CONTROL_CANCELLABLE, "reports progress 3 of 10, and waits until it is cancelled")                          \
    X(hang, 0, "waits, and does not look whether it is cancelled")                                                     \
    X(print, 0, "prints by both ways")                                                                                 \
    X(note, 0, "logs one line of each level")                                                                          \
    X(spoil, 0, "says that it leaves something behind")                                                                \
    X(large, 0, "so many bytes, in a memfd")                                                                           \
    X(bad_value, 0, "returns bytes that are no value")                                                                 \
    X(bad_large, 0, "the same, in a memfd of so many bytes")                                                           \
    X(bad_message, 0, "sends the supervisor that message, see bad_message()")                                          \
    X(ask, 0, "calls that function by a connection of its own, returns what it answers")                               \
    X(limit, 0, "has a time-out of 1 s")

/* When this program is executed as a forkserver: never returns otherwise. */
int fake_forkserver(void);
