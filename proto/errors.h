/* The errors of the wire, in one table.
 *
 * An error travels as [class, "E_NAME: text"]. Class 0: the task failed. Class 1: the request was bad or could not be
 * taken. Retryable: the same request may succeed later, unchanged.
 *
 * X(NAME, class, retryable, "sentence")
 */
#pragma once

#define MPOOL_ERRORS(X)                                                                                                \
    X(FAILED, 0, 0, "The function reported a failure.")                                                                \
    X(BAD_ARGS, 0, 0, "The function refused its arguments.")                                                           \
    X(LOST, 0, 1, "The worker died while it ran the task.")                                                            \
    X(TIMEOUT, 0, 1, "The task ran longer than it may, and was stopped.")                                              \
    X(CANCELLED, 0, 0, "The task was cancelled.")                                                                      \
    X(SHUTDOWN, 0, 1, "The daemon is stopping, and did not finish the task.")                                          \
    X(RESULT_TOO_BIG, 0, 0, "The result is larger than this connection or the limits allow.")                          \
    X(BAD_REQUEST, 1, 0, "The bytes are not a MessagePack-RPC message.")                                               \
    X(TOO_BIG, 1, 0, "The message is larger than the limits allow.")                                                   \
    X(TOO_DEEP, 1, 0, "The message is nested deeper than the limits allow.")                                           \
    X(NO_METHOD, 1, 0, "There is no such method.")                                                                     \
    X(BAD_PARAMS, 1, 0, "A parameter or option has the wrong type, value or name.")                                    \
    X(NO_FUNCTION, 1, 0, "No pool that you may use has this function.")                                                \
    X(NO_POOL, 1, 0, "There is no such pool.")                                                                         \
    X(NO_TASK, 1, 0, "There is no such task, or its result is no longer kept.")                                        \
    X(NOT_READY, 1, 1, "The task has not ended, or the wait timed out.")                                               \
    X(DENIED, 1, 0, "You may not do this.")                                                                            \
    X(BUSY, 1, 1, "A limit is reached; try again later.")                                                              \
    X(POOL_DOWN, 1, 1, "The pool cannot load its modules or start a worker.")                                          \
    X(STOPPING, 1, 1, "The daemon is stopping and takes no new tasks.")                                                \
    X(INTERNAL, 1, 1, "The daemon failed to do its part.")                                                             \
    X(NO_OBJECT, 1, 0, "There is no such shared object.")                                                              \
    X(EXISTS, 1, 0, "An object of that name exists already, perhaps of another kind.")                                 \
    X(FINISHED, 1, 0, "The queue or pipe takes no more items.")                                                        \
    X(EXPIRED, 0, 1, "The task waited past its deadline, and never ran.")

enum mpool_error {
    MPOOL_ERROR_NONE = 0,
#define X(id, ...) MPOOL_E_##id,
    MPOOL_ERRORS(X)
#undef X
        MPOOL_ERROR_COUNT
};
