/* The exit statuses of mpool in one table, from which the enum, --help and the man page's table are made.
 *
 * X(NAME, value, "shown as", "the verbs that can end so; none: all of them", "sentence")
 */
#pragma once

#define EXIT_CODES(X)                                                                                                  \
    X(OK, 0, "0", "", "All went well.")                                                                                \
    X(TASK_FAILED, 1, "1", "call map spawn wait result lock sem value queue",                                          \
        "A task failed, was lost or was cancelled; map: one item failed. lock, sem: timed out. value cas: it "         \
        "is another number. queue: it is finished.")                                                                   \
    X(MAP_FAILURES, 100, "2-100", "map run wait lock sem spawn queue",                                                 \
        "map: so many items failed. run, wait, lock, sem, spawn --join, queue get --exec: the status of the "          \
        "command (any value).")                                                                                        \
    X(MAP_MANY, 101, "101", "map", "map: more than 100 items failed.")                                                 \
    X(LOST, 123, "123", "lock sem queue",                                                                              \
        "lock, sem, queue: the lock or the item was lost while the command ran, which got SIGTERM: the daemon has "    \
        "ended, or its connection has.")                                                                               \
    X(TIMED_OUT, 124, "124", "",                                                                                       \
        "A task ran longer than it may, a wait timed out, or the daemon did not answer within --call-timeout.")        \
    X(OWN, 125, "125", "", "mpool itself failed: usage, no daemon, request refused, cannot write.")                    \
    X(NOT_EXECUTABLE, 126, "126", "run wait lock sem queue",                                                           \
        "run, wait, lock, sem, queue: the command was found but could not be executed.")                               \
    X(NOT_FOUND, 127, "127", "run wait lock sem queue", "run, wait, lock, sem, queue: there is no such command.")      \
    X(SIGNALLED, 128, "128+N", "",                                                                                     \
        "run, wait, lock, sem, queue, spawn --join: signal N ended what ran. Any verb: mpool was ended by signal N.")

enum exit_code {
#define X(id, value, ...) EXIT_##id = (value),
    EXIT_CODES(X)
#undef X
};
