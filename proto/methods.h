/* The methods of the wire, in one table. Enum, names, arity checks, `mpool help wire` and PROTOCOL.md's table come from
 * here; the daemon's handlers are looked up by the enum.
 *
 * X(ENUM, "name", minimum params, maximum params, who, "params", "result", "sentence")
 * who: ANY any peer that may connect; OWNER the task's own user and administrators; ADMIN administrators.
 */
#pragma once

#define MPOOL_METHODS(X)                                                                                               \
    X(HELLO, "hello", 0, 1, ANY, "options?", "map", "Introduce the client, describe the server; optional.")            \
    X(PING, "ping", 0, 0, ANY, "", "\"pong\"", "Check that the daemon answers.")                                       \
    X(CALL, "call", 1, 3, ANY, "function, args?, options?", "the function's result", "Run a task and wait for it.")    \
    X(MAP, "map", 2, 3, ANY, "function, items, options?", "list of results", "Run a function over many items.")        \
    X(SUBMIT, "submit", 1, 3, ANY, "function, args?, options?", "task id", "Run a task that outlives its client.")     \
    X(SPAWN, "spawn", 1, 3, ANY, "function, args?, options?", "map", "Run a function in a process of its own.")        \
    X(SIGNAL, "signal", 2, 2, OWNER, "id, signal", "bool", "Send a process a signal; true if it was still running.")   \
    X(WAIT, "wait", 1, 2, OWNER, "id, timeout_ms?", "status map", "Wait until a submitted task has ended.")            \
    X(RESULT, "result", 1, 2, OWNER, "id, timeout_ms?", "the function's result", "The result of a submitted task.")    \
    X(STATUS, "status", 1, 1, OWNER, "id", "status map", "Everything that is known about a task.")                     \
    X(CANCEL, "cancel", 1, 2, OWNER, "id or {msgid}, options?", "bool", "Stop a task; true if it had not ended yet.")  \
    X(FORGET, "forget", 1, 1, OWNER, "id", "bool", "Drop a task's result; true if it had ended.")                      \
    X(LIST, "list", 0, 1, ANY, "filter?", "list of status maps", "The tasks that you may see, newest first.")          \
    X(FUNCTIONS, "functions", 0, 0, ANY, "", "list of maps", "The functions that can be called, and in which pools.")  \
    X(POOLS, "pools", 0, 0, ANY, "", "list of maps", "The pools, their size and health.")                              \
    X(WORKERS, "workers", 0, 0, ANY, "", "list of maps", "The workers, and what each of them does.")                   \
    X(PAUSE, "pause", 1, 2, ADMIN, "pool, function?", "bool",                                                          \
        "Start no more tasks of a pool, or of a function; true if it was not paused.")                                 \
    X(RESUME, "resume", 1, 2, ADMIN, "pool, function?", "bool", "End that; true if it was paused.")                    \
    X(STATS, "stats", 0, 0, ANY, "", "map", "Counters since the daemon started.")                                      \
    X(OPEN, "open", 1, 3, ANY, "kind, name?, options?", "map", "Open or make a shared object.")                        \
    X(CLOSE, "close", 1, 1, ANY, "id", "bool", "Close an object, and release what is held of it.")                     \
    X(REMOVE, "remove", 1, 1, OWNER, "name or handle", "bool",                                                         \
        "Remove an object's name; it is freed by its last user.")                                                      \
    X(OBJECTS, "objects", 0, 1, ANY, "filter?", "list of maps", "The shared objects that you may open.")               \
    X(INSPECT, "inspect", 1, 1, ANY, "name or handle", "map", "Which clients have an object open, and which hold it.") \
    X(PUT, "put", 2, 4, ANY, "id, items, timeout_ms?, memfd_size?", "int", "Put items into a queue or pipe.")          \
    X(GET, "get", 1, 4, ANY, "id, max?, timeout_ms?, lease?", "list of items", "Take items from a queue or pipe.")     \
    X(CONFIRM, "confirm", 2, 3, ANY, "id, tickets, taken?", "int",                                                     \
        "Confirm items that were taken, or give them back.")                                                           \
    X(DONE, "done", 1, 2, ANY, "id, n?", "true", "Mark the oldest n items taken as done.")                             \
    X(JOIN, "join", 1, 2, ANY, "id, timeout_ms?", "true", "Wait until all items of a queue are done.")                 \
    X(FINISH, "finish", 1, 1, ANY, "id", "bool", "No more items: takers get the rest, then the end of file.")

enum mpool_method {
#define X(id, ...) MPOOL_METHOD_##id,
    MPOOL_METHODS(X)
#undef X
        MPOOL_METHOD_COUNT
};
