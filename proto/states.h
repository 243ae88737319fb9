/* The states of a task, in one table: what `status` and `list` return.
 *
 * X(NAME, "name", final, "sentence")
 */
#pragma once

#define MPOOL_STATES(X)                                                                                                \
    X(QUEUED, "queued", 0, "Waits in the queue.")                                                                      \
    X(PLACED, "placed", 0, "Is in a worker's lane; may still be taken back.")                                          \
    X(RUNNING, "running", 0, "A worker has claimed it.")                                                               \
    X(BACKOFF, "backoff", 0, "Failed, and waits for its next attempt.")                                                \
    X(DELAYED, "delayed", 0, "Waits for its start time.")                                                              \
    X(DONE, "done", 1, "Ended with a result.")                                                                         \
    X(FAILED, "failed", 1, "Ended with an error of the function.")                                                     \
    X(LOST, "lost", 1, "Its worker died, and it may not run again.")                                                   \
    X(TIMEOUT, "timeout", 1, "Stopped because it ran too long.")                                                       \
    X(CANCELLED, "cancelled", 1, "Stopped on request.")                                                                \
    X(SHUTDOWN, "shutdown", 1, "Stopped with the daemon.")                                                             \
    X(EXPIRED, "expired", 1, "Waited past its deadline, and never ran.")

enum mpool_state {
#define X(id, ...) MPOOL_STATE_##id,
    MPOOL_STATES(X)
#undef X
        MPOOL_STATE_COUNT
};
