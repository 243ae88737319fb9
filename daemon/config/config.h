/* The daemon's configuration: read once, checked as a whole, handed out as plain structs.
 *
 * Sources: the built-in defaults, then FILE (default /etc/mpoold/mpoold.conf) with its drop-ins (FILE.d, files named
 * *.conf, and the vendor's under /usr/lib/mpoold), then the command line. All mistakes are collected and reported
 * together, each with file, line, section, key and what is allowed; a configuration with a mistake is not used at all.
 * Never logs, never touches the running daemon. The keys are in one table, config_keys.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct config_strings {
    char **items; /* owned; `count` of them, and a NULL */
    size_t count;
};

struct config_pool {
    char *name;                      /* [a-z0-9_-]{1,63} */
    struct config_strings modules;   /* names (looked up in module_path) or paths; empty: every shipped module */
    struct config_strings functions; /* names or globs such as text.*; empty: all of its modules */
    uint32_t min, max;               /* workers; `auto`: the CPUs this process may use */
    uint64_t load_timeout_ms;
    uint64_t idle_timeout_ms;
    uint32_t max_tasks;     /* 0: unlimited */
    uint64_t max_memory;    /* bytes of resident memory; 0: no limit */
    uint64_t timeout_ms;    /* of one run; 0: none; fits 32 bits */
    uint32_t attempts;      /* runs of idempotent functions in all */
    uint32_t max_queue;     /* tasks waiting */
    uint32_t max_nested;    /* workers that may wait for other tasks; 0: none */
    uint32_t max_processes; /* concurrent processes, in addition to the workers; 0: none */
    struct config_strings
        environment; /* "NAME=value", the worker's whole environment except for PATH, LANG, HOME, USER */
    int nice;
    char *user, *group; /* NULL: the daemon's own */
    uid_t uid;          /* resolved; (uid_t)-1: the daemon's own */
    gid_t gid;
    bool allow_everyone; /* no allow_* key is given: everybody who may connect */
    uid_t *allow_uids;   /* owned */
    size_t allow_uid_count;
    gid_t *allow_gids; /* owned */
    size_t allow_gid_count;
};

struct config {
    char *socket_path; /* NULL: chosen by the daemon */
    mode_t socket_mode;
    char *socket_group;                /* NULL: unchanged */
    gid_t socket_gid;                  /* (gid_t)-1: unchanged */
    struct config_strings module_path; /* directories, searched before the shipped modules' own */
    struct config_strings modules;     /* names or absolute paths from --module, for pools[0] */
    uint64_t max_message;              /* bytes of one message */
    uint32_t max_depth;
    uint64_t max_payload; /* bytes of arguments or a result handed over as memfd */
    uint32_t max_connections;
    uint32_t max_user_share;   /* percentage of each overall limit that one user may use */
    uint32_t max_in_flight;    /* requests of one connection */
    uint64_t max_output_bytes; /* unread reply bytes of one connection before it is paused */
    uint64_t max_args_bytes;   /* of all connections; 0: a quarter of the memory */
    uint64_t max_unread_bytes; /* of all connections; 0: a quarter of the memory */
    uint32_t max_kept;         /* detached tasks and kept results */
    uint64_t max_kept_bytes;
    uint32_t max_user_processes; /* of one user, concurrently */
    uint64_t result_ttl_ms, max_result_ttl_ms;
    uint64_t cancel_grace_ms;  /* between notifying a cancellable function and killing it */
    uint64_t stop_grace_ms;    /* SIGTERM: how long running tasks may continue */
    uint64_t stall_timeout_ms; /* a connection that does not finish a message is closed */
    uint32_t max_objects;      /* shared ones, of all users */
    uint32_t max_user_objects; /* … of one */
    uint64_t max_user_object_bytes;
    uint32_t max_open_objects; /* of one connection */
    bool spin;                 /* busy-wait where that is faster */
    int log_level;             /* enum log_level */
    struct config_pool *pools; /* owned; pools[0] is the default: `default`, or else the first given */
    size_t pool_count;         /* ≥ 1 */
};

/* Mistakes, one line each: "FILE:LINE: [pool x] workers = many: …, expected …". */
struct config_report {
    char *text; /* owned; NULL when there is none */
    size_t length;
    unsigned count;
};
void config_report_reset(struct config_report *report);

/* The command line's settings; every field may be empty. Borrowed. */
struct config_arguments {
    const char *file; /* absolute; NULL: the default, which may be absent; a named file must exist */
    const char *socket_path;
    const char *const *modules; /* `module_count` absolute paths or names, repeatable --module */
    size_t module_count;
    const char *workers; /* for pools[0]: "4", "auto", "2..16" */
    const char *log_level;
};

/* → 0 with *ret (taken, config_free); -EINVAL with mistakes in *report; -ENOMEM. */
int config_load(struct config **ret, const struct config_arguments *arguments, struct config_report *report);
void config_free(struct config *config);

/* The number of CPUs that this process may use, by affinity and the cgroup's quota (v1 and v2); at least 1. */
unsigned config_cpus(void);

/* Every key with its type, default and sentence, for --help and the man page. */
void config_print_keys(FILE *out);
