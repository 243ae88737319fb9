/* A pool: its configuration, its forkserver process, its functions and its workers.
 *
 * A pool's functions outlive its forkservers: a task points at a function, and each forkserver has a table that maps it
 * to the forkserver's own index. So a reload can change modules while tasks are queued. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/config/config.h"
#include "daemon/core/core.h"
#include "daemon/pool/orphans.h"
#include "daemon/pool/output.h"

struct caller;
struct workers;
struct worker;

struct function {
    struct core_function core; /* averages */
    struct pool *pool;
    char *name;         /* "module.function", owned */
    char *summary;      /* owned; may be empty */
    uint32_t number;    /* in pool->functions */
    uint32_t module;    /* in the current forkserver's list of modules */
    uint32_t flags;     /* CONTROL_IDEMPOTENT | CONTROL_CANCELLABLE */
    uint32_t timeout_s; /* 0: the pool's */
    bool present;       /* in the current forkserver, and permitted by `functions =` */
    uint64_t calls;
    uint64_t item_mean_ns; /* of one item in maps; 0: unknown */
};

#define FORKSERVER_ABSENT UINT32_MAX

/* A task's function: core_task.function is embedded in it. */
static inline struct function *function_of(const struct core_function *f)
{
    return (struct function *)(uintptr_t)((const char *)f - offsetof(struct function, core));
}

struct module_name {
    char *name, *version; /* owned */
};

/* One forkserver process and what it provides. Workers hold a reference for their function table. */
struct forkserver {
    uint32_t references;
    LIST_ENTRY(forkserver) link; /* in the supervisor's list while its process exists */
    struct pool *pool;           /* NULL: it is retired */
    char name[64];               /* the pool's */
    struct workers *workers;
    pid_t pid; /* 0: it has been reaped */
    struct child child;
    int pidfd, socket;
    struct event *on_death, *on_message;
    struct event *deadline;   /* for loading, then for the births requested */
    uint64_t load_timeout_ms; /* 0: none */
    uint32_t births;          /* workers requested and not reported yet */
    struct output output;     /* what it prints while it loads */
    struct output_lines lines;
    char loading[256]; /* the module that it says it is loading, escaped */
    bool ready, failed, retired;
    bool proved;        /* a worker of it has become ready */
    uint64_t ready_ns;  /* since when it has been ready */
    uint32_t *index_of; /* by function number → index for lane jobs, or FORKSERVER_ABSENT */
    uint32_t index_count;
    struct module_name *modules;
    size_t module_count;
};

struct pool {
    TAILQ_ENTRY(pool) link;
    struct workers *workers;
    const struct config_pool *config; /* borrowed from the supervisor's configuration */
    char name[64];
    struct config_pool last_config; /* `config` points here while the pool is closing */
    struct core_pool *core;
    struct core_pool *processes; /* the core's pool for processes: a worker of its own for each task */
    uint32_t open_core_pools;    /* how many of the two core pools are not empty yet */
    struct forkserver *current;  /* serves forks; NULL before the first is ready */
    struct forkserver *coming;   /* still loading; becomes current when ready */
    struct event *retry;         /* to retry a failed forkserver */
    uint32_t failures;           /* of forkservers in a row, none of which has proved itself */
    char *error;                 /* why the last forkserver failed, or NULL; owned */
    char *birth_error;           /* why the last worker could not be started, or NULL; owned */
    struct function **functions; /* by number; owned */
    uint32_t function_count;
    TAILQ_HEAD(pool_workers, worker) members;
    uint32_t worker_count;
    uint64_t last_birth;       /* generation of the worker requested last */
    bool closing;              /* no longer configured */
    uint32_t spawns_wanted;    /* requested by the core, not started yet */
    uint32_t processes_wanted; /* the same, for processes */
    bool drop_wanted;          /* a queued task's function is gone: see worker_task_ops.drop_absent() */
    bool empty;                /* closed, and released by the core */
};

/* Creates the pool and starts its forkserver. config: borrowed. → NULL when there is no memory. */
struct pool *pool_new(struct workers *workers, const struct config_pool *config);
void pool_free(struct pool *pool);

/* A new configuration (borrowed): loads a new forkserver; when it is ready, workers are replaced one by one. If it
 * fails to load, the old ones keep serving. */
void pool_reconfigure(struct pool *pool, const struct config_pool *config);
/* It is no longer configured: its queued tasks are run, then it is freed. */
void pool_close(struct pool *pool);

struct pool *pool_find(struct workers *workers, const char *name, size_t length);
/* May the caller use the pool? */
bool pool_allows(const struct pool *pool, const struct caller *caller);
/* "serving", "starting", "throttled", "stopping" */
const char *pool_state(const struct pool *pool, uint64_t now_ns);

struct function *pool_function(const struct pool *pool, const char *name, size_t length);
/* Does the configuration name this function although no forkserver has loaded it yet? */
bool pool_promises(const struct pool *pool, const char *name, size_t length);

/* A forkserver's description of one function. Borrowed. */
struct function_report {
    const char *name, *summary;
    size_t name_length, summary_length;
    uint32_t flags, timeout_s, module, index;
};
/* → 0, -ENOMEM, -EPROTO. */
int pool_add_function(struct forkserver *t, const struct function_report *report);
void pool_forkserver_ready(struct forkserver *t);
void pool_forkserver_failed(struct forkserver *t, const char *why);
/* A worker could not be started, and why. */
void pool_birth_failed(struct pool *pool, const char *why);
/* A worker of this forkserver, of this pool, has become ready: that clears the error. */
void pool_born(struct pool *pool, struct forkserver *t);
/* The error that `pools` shows; NULL: none. */
const char *pool_error(const struct pool *pool);
/* The sentence of E_POOL_DOWN for a pool without workers. */
void pool_down_text(const struct pool *pool, char *text, size_t size);

static inline bool function_is(const struct function *f, uint32_t flag)
{
    return (f->flags & flag) != 0;
}
