/* All configuration keys, in one table from which parser, --help, man page and error texts are made.
 *
 * A row: key, type, field of the section's struct, default as it would be written, minimum and maximum (in bytes, ms or
 * a count), what a 0 outside of these bounds means (NULL: not allowed), a sentence. An empty value (`key =`) means the
 * default, except in allow_users and allow_groups, where it is a mistake. Knows no file and no value; config_parse.h
 * reads values. Pure; no state; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_type {
    CONFIG_SIZE,        /* uint64_t, bytes */
    CONFIG_DURATION,    /* uint64_t, ms */
    CONFIG_COUNT,       /* uint32_t */
    CONFIG_NICE,        /* int */
    CONFIG_WORKERS,     /* uint32_t min, and max beside it */
    CONFIG_MODE,        /* mode_t */
    CONFIG_SPIN,        /* bool, auto or off */
    CONFIG_LEVEL,       /* int, enum log_level */
    CONFIG_SOCKET,      /* char *, absolute, short enough for a socket address */
    CONFIG_DIRECTORIES, /* struct config_strings, absolute */
    CONFIG_MODULES,     /* struct config_strings, names or absolute paths */
    CONFIG_FUNCTIONS,   /* struct config_strings, names or globs */
    CONFIG_ENVIRONMENT, /* struct config_strings, NAME=value; separated by blanks only, as values may contain commas */
    CONFIG_USER,        /* char *, with uid and gid resolved beside it */
    CONFIG_GROUP,       /* char *, with gid resolved beside it */
    CONFIG_USERS,       /* uid_t *, with a count, or everyone */
    CONFIG_GROUPS,      /* gid_t *, with a count */
};

#define CONFIG_MS_PER_S   1000
#define CONFIG_MS_PER_DAY (86400LL * CONFIG_MS_PER_S)
#define CONFIG_KIB        1024LL
#define CONFIG_MIB        (1024 * CONFIG_KIB)
#define CONFIG_GIB        (1024 * CONFIG_MIB)
#define CONFIG_TIB        (1024 * CONFIG_GIB)

#define CONFIG_DAEMON_KEYS(X)                                                                                          \
    X(socket, CONFIG_SOCKET, socket_path, "", 0, 0, NULL,                                                              \
        "The Unix socket. Without it: the one that systemd hands over, else /run/mpoold/mpoold.sock for root and "     \
        "$XDG_RUNTIME_DIR/mpoold/mpoold.sock for anybody else. A change takes a restart")                              \
    X(socket_mode, CONFIG_MODE, socket_mode, "auto", 0, 0777, NULL,                                                    \
        "Permissions of the socket; auto: 0660 where the daemon runs as root, else 0600. A change takes a restart")    \
    X(socket_group, CONFIG_GROUP, socket_group, "", 0, 0, NULL,                                                        \
        "Group of the socket. Without it: the daemon's own. A change takes a restart")                                 \
    X(module_path, CONFIG_DIRECTORIES, module_path, "", 0, 0, NULL,                                                    \
        "Directories where modules are looked for, before the one of the shipped modules")                             \
    X(max_message, CONFIG_SIZE, max_message, "64M", 4 * CONFIG_KIB, 2 * CONFIG_GIB, NULL,                              \
        "Largest message on a connection; larger arguments and results go by file descriptor")                         \
    X(max_depth, CONFIG_COUNT, max_depth, "32", 4, WIRE_DEPTH_CAP, NULL,                                               \
        "How deep arrays and maps of a message may be nested")                                                         \
    X(max_payload, CONFIG_SIZE, max_payload, "1040M", 64 * CONFIG_KIB, CONFIG_TIB, NULL,                               \
        "Largest arguments or result handed over by file descriptor, envelope included")                               \
    X(max_connections, CONFIG_COUNT, max_connections, "10000", 1, 1000000, NULL, "Connections at a time")              \
    X(max_user_share, CONFIG_COUNT, max_user_share, "50", 1, 100, NULL,                                                \
        "Percent of max_connections, max_args_bytes, max_unread_bytes, max_kept and max_kept_bytes that one user may " \
        "have. Administrators may have all, and the last sixteenth is theirs alone")                                   \
    X(max_in_flight, CONFIG_COUNT, max_in_flight, "65536", 1, 10000000, NULL,                                          \
        "Unanswered requests of one connection; beyond that it is not read until some are answered")                   \
    X(max_output_bytes, CONFIG_SIZE, max_output_bytes, "8M", 64 * CONFIG_KIB, 64 * CONFIG_GIB, NULL,                   \
        "Replies that a connection has not read yet; beyond that it is not read until it reads")                       \
    X(max_args_bytes, CONFIG_SIZE, max_args_bytes, "0", CONFIG_MIB, 64 * CONFIG_TIB, "a quarter of the memory",        \
        "Arguments under way on all connections together; beyond that those who send more are not read until there "   \
        "is room. At least two of the largest messages")                                                               \
    X(max_unread_bytes, CONFIG_SIZE, max_unread_bytes, "0", CONFIG_MIB, 64 * CONFIG_TIB, "a quarter of the memory",    \
        "Replies that all connections together have not read yet; beyond that the connection with the most is "        \
        "closed. At least two of the largest messages")                                                                \
    X(max_kept, CONFIG_COUNT, max_kept, "100000", 1, 100000000, NULL, "Detached tasks and results kept")               \
    X(max_kept_bytes, CONFIG_SIZE, max_kept_bytes, "256M", CONFIG_MIB, CONFIG_TIB, NULL,                               \
        "Memory for the arguments and results of detached tasks")                                                      \
    X(max_user_processes, CONFIG_COUNT, max_user_processes, "64", 1, 100000, NULL,                                     \
        "Processes of one user at a time, over all pools")                                                             \
    X(result_ttl, CONFIG_DURATION, result_ttl_ms, "1h", CONFIG_MS_PER_S, 365 * CONFIG_MS_PER_DAY, NULL,                \
        "How long the result of a detached task is kept")                                                              \
    X(max_result_ttl, CONFIG_DURATION, max_result_ttl_ms, "7d", CONFIG_MS_PER_S, 365 * CONFIG_MS_PER_DAY, NULL,        \
        "The longest time that a caller may ask for (ttl_s)")                                                          \
    X(cancel_grace, CONFIG_DURATION, cancel_grace_ms, "2s", 0, CONFIG_MS_PER_DAY, NULL,                                \
        "How long a cancelled function may go on before its worker is killed; 0: not at all")                          \
    X(stop_grace, CONFIG_DURATION, stop_grace_ms, "10s", 0, CONFIG_MS_PER_DAY, NULL,                                   \
        "How long running tasks may go on when the daemon is told to stop; 0: not at all")                             \
    X(stall_timeout, CONFIG_DURATION, stall_timeout_ms, "30s", CONFIG_MS_PER_S, CONFIG_MS_PER_DAY, NULL,               \
        "How long a connection may take to finish a message, before it is closed")                                     \
    X(max_objects, CONFIG_COUNT, max_objects, "16384", 0, 1000000, NULL, "Shared objects, of all users together")      \
    X(max_user_objects, CONFIG_COUNT, max_user_objects, "4096", 0, 1000000, NULL, "Shared objects of one user")        \
    X(max_user_object_bytes, CONFIG_SIZE, max_user_object_bytes, "4G", 0, 64 * CONFIG_TIB, NULL,                       \
        "Memory that the shared objects of one user may have")                                                         \
    X(max_open_objects, CONFIG_COUNT, max_open_objects, "1024", 0, 1000000, NULL,                                      \
        "Shared objects that one connection may have open")                                                            \
    X(spin, CONFIG_SPIN, spin, "auto", 0, 0, NULL,                                                                     \
        "auto: the daemon and its busiest workers busy-wait for some microseconds if a wake-up would take longer; "    \
        "off: they always sleep")                                                                                      \
    X(log_level, CONFIG_LEVEL, log_level, "info", 0, 0, NULL, "Log lines of this level and above")

#define CONFIG_POOL_KEYS(X)                                                                                            \
    X(modules, CONFIG_MODULES, modules, "", 0, 0, NULL,                                                                \
        "Modules that its workers load. Without it: every shipped module")                                             \
    X(functions, CONFIG_FUNCTIONS, functions, "", 0, 0, NULL,                                                          \
        "Functions that it serves. Without it: all of its modules")                                                    \
    X(workers, CONFIG_WORKERS, min, "auto", 1, 4096, NULL,                                                             \
        "Worker processes; auto: as many as the CPUs that the daemon may use")                                         \
    X(load_timeout, CONFIG_DURATION, load_timeout_ms, "5m", 100, 30 * CONFIG_MS_PER_DAY, "no limit",                   \
        "How long its modules may take to load; then loading is stopped, and tried again later")                       \
    X(idle_timeout, CONFIG_DURATION, idle_timeout_ms, "60s", 10, 30 * CONFIG_MS_PER_DAY, "no limit",                   \
        "How long a worker beyond the minimum may be idle before it is ended")                                         \
    X(max_tasks, CONFIG_COUNT, max_tasks, "0", 1, 2000000000, "no limit",                                              \
        "Tasks that one worker runs before it is replaced")                                                            \
    X(max_memory, CONFIG_SIZE, max_memory, "0", 4 * CONFIG_MIB, 64 * CONFIG_TIB, "no limit",                           \
        "Resident memory of a worker beyond which it is replaced after its task")                                      \
    X(timeout, CONFIG_DURATION, timeout_ms, "0", 1, 30 * CONFIG_MS_PER_DAY, "none",                                    \
        "How long one run of a task may take, unless the caller says otherwise")                                       \
    X(attempts, CONFIG_COUNT, attempts, "3", 1, 100, NULL,                                                             \
        "Runs in all of a task whose worker dies, if its function is idempotent")                                      \
    X(max_queue, CONFIG_COUNT, max_queue, "1000000", 1, 100000000, NULL, "Tasks that may wait for a worker")           \
    X(max_nested, CONFIG_COUNT, max_nested, "16", 1, 4096, "none",                                                     \
        "How many workers may wait for other tasks; while one waits, the pool has one more worker")                    \
    X(max_processes, CONFIG_COUNT, max_processes, "64", 1, 4096, "none",                                               \
        "Processes that run one function each, beside the workers")                                                    \
    X(environment, CONFIG_ENVIRONMENT, environment, "", 0, 0, NULL,                                                    \
        "The workers' environment, beside PATH, LANG, HOME and USER")                                                  \
    X(nice, CONFIG_NICE, nice, "0", -20, 19, NULL, "Priority of the workers; below 0 needs root")                      \
    X(user, CONFIG_USER, user, "", 0, 0, NULL,                                                                         \
        "The user that the workers run as. Without it: the daemon's own user. Another one needs root")                 \
    X(group, CONFIG_GROUP, group, "", 0, 0, NULL, "Group of the workers. Without it: the first group of user")         \
    X(allow_users, CONFIG_USERS, allow_uids, "", 0, 0, NULL,                                                           \
        "Users who may use the pool. Without it and allow_groups: everybody who may connect")                          \
    X(allow_groups, CONFIG_GROUPS, allow_gids, "", 0, 0, NULL, "Groups whose members may use the pool")

enum config_section { CONFIG_SECTION_DAEMON, CONFIG_SECTION_POOL, CONFIG_SECTION_COUNT };

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;      /* of the field in struct config or struct config_pool */
    const char *preset; /* the default, as it would be written; "": described by the sentence */
    int64_t min, max;   /* bounds of numbers */
    const char *zero;   /* what a 0 below the minimum means; NULL: not allowed */
    const char *sentence;
};

/* The keys of a section, *ret_count of them. */
const struct config_key *config_keys(enum config_section section, size_t *ret_count);
/* → the key, or NULL. */
const struct config_key *config_keys_find(enum config_section section, const char *name);
/* Describes the allowed values of this key: "a size from 4K to 2G, such as 64M". out: `size` bytes, always terminated.
 */
void config_keys_allowed(const struct config_key *key, char *out, size_t size);
/* Prints the keys of a section for mpoold.conf(5) in scdoc format. */
void config_keys_print_manual(enum config_section section, FILE *out);
