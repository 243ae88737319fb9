/* Which modules has this process loaded, and which functions do they provide?
 *
 * Finds a module by name (in a search path) or by path, refuses what others could have tampered with, loads it, and
 * keeps one table of functions: a function's index in it is what lanes carry. Used by the forkserver, whose workers
 * inherit the table, and by modcheck. Knows nothing of tasks, lanes or sockets; never logs: a refusal is an error
 * message for the caller. Nothing is ever unloaded. One thread.
 */
#pragma once

#include <mpool/module.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MODULES_WHY_MAX       1024u /* room for the error message of a refusal */
#define MODULES_NAME_MAX      63u
#define MODULES_ROWS_MAX      4096u
#define MODULES_FUNCTIONS_MAX 65536u

struct modules;

struct module_function {
    const char *name;    /* "math.square" */
    const char *summary; /* one line, never NULL; may be empty */
    uint32_t module;     /* index for modules_at() */
    uint32_t flags;      /* MPOOL_IDEMPOTENT | … */
    uint32_t timeout_s;  /* 0: the pool's */
    mpool_function *run;
};

struct module {
    const char *name, *version; /* version is never NULL */
    const char *path;           /* the file, symbolic links resolved */
    uint16_t abi_major, abi_minor;
    uint32_t first, count; /* its functions: modules_functions()[first … first + count) */
};

/* owner: the user, beside root, whose files are trusted; normally geteuid().
 * → 0, -ENOMEM. */
int modules_new(struct modules **ret, uid_t owner);
/* Frees the tables; what was loaded stays loaded. Accepts NULL. */
void modules_free(struct modules *m);
static inline void modules_freep(struct modules **m)
{
    modules_free(*m);
}

/* Appends a directory to the search path (copied). → 0, -ENOMEM. */
int modules_add_directory(struct modules *m, const char *directory);

/* Loads "text" (text.so in the first directory of the search path that has it) or, when there is a slash in it, that
 * file. The file and all directories above it must belong to root or `owner`, and nobody else may be able to write or
 * replace them: that is what makes it safe to check first and load by path then.
 * → 0; -ENOENT no such module; -EPERM not to be trusted; -EEXIST already loaded; -ELIBBAD cannot be loaded, or is not
 * a module, or says something impossible about itself; -ENOMEM. On failure `why` (MODULES_WHY_MAX bytes) holds a
 * sentence that names the file and what to do, and no table has changed; the object itself may stay loaded. */
int modules_load(struct modules *m, const char *name, char *why);

size_t modules_count(const struct modules *m);
const struct module *modules_at(const struct modules *m, size_t index);

/* All functions, in order of loading. The array moves when a module is loaded. */
const struct module_function *modules_functions(const struct modules *m, size_t *ret_count);
/* → the index of "module.function", or -1. */
ssize_t modules_find(const struct modules *m, const char *name, size_t length);

/* What hooks are passed, and where their log lines go. */
struct modules_hooks {
    const char *pool;
    uint32_t worker;                                                          /* 0 in the forkserver */
    void (*log)(void *user, const char *module, int level, const char *text); /* NULL: dropped */
    void (*before)(void *user, const char *module); /* called before each module's hook; may be NULL */
    void *user;
};

/* Run the hooks of all modules, in order of loading. → 0, or -ECANCELED with an error message in `why` (MODULES_WHY_MAX
 * bytes): the first hook that fails stops the sequence. */
int modules_init(const struct modules *m, const struct modules_hooks *hooks, char *why); /* once, in the forkserver */
int modules_worker_init(const struct modules *m, const struct modules_hooks *hooks, char *why); /* in each worker */
void modules_worker_fini(const struct modules *m); /* in a worker that exits normally; last loaded first */

/* Is it [a-z0-9_]{1,63}? */
bool modules_name_ok(const char *name);
