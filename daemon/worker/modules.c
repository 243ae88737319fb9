#include "daemon/worker/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/worker/trust.h"
#include "proto/text.h"

/* Every row since ABI 1.0 has at least these bytes; later members that a module lacks read as zero. */
#define ROW_SIZE_MIN  offsetof(struct mpool_row, timeout_s)
#define INFO_SIZE_MIN sizeof(struct mpool_module_info)

struct loaded {
    struct module public;
    const struct mpool_module_info *info; /* in the object itself, which is never unloaded */
};

struct modules {
    uid_t owner;
    char **directories;
    size_t directory_count;
    struct loaded *list;
    struct module_function *functions;
    size_t count, function_count;
};

int modules_new(struct modules **ret, uid_t owner)
{
    struct modules *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->owner = owner;
    *ret = m;
    return 0;
}

static void function_free(struct module_function *f)
{
    /* The names are made here; the summary lies in the module. */
    free((void *)(uintptr_t)f->name);
}

void modules_free(struct modules *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->function_count; i++)
        function_free(&m->functions[i]);
    for (size_t i = 0; i < m->count; i++)
        free((void *)(uintptr_t)m->list[i].public.path);
    for (size_t i = 0; i < m->directory_count; i++)
        free(m->directories[i]);
    free(m->functions);
    free(m->list);
    free(m->directories);
    free(m);
}

int modules_add_directory(struct modules *m, const char *directory)
{
    char **grown = reallocarray(m->directories, m->directory_count + 1, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    m->directories = grown;
    char *copy = strdup(directory);
    if (!copy)
        return -ENOMEM;
    m->directories[m->directory_count++] = copy;
    return 0;
}

bool modules_name_ok(const char *name)
{
    size_t n = 0;
    for (; name[n]; n++) {
        bool ok = (name[n] >= 'a' && name[n] <= 'z') || (name[n] >= '0' && name[n] <= '9') || name[n] == '_';
        if (!ok || n >= MODULES_NAME_MAX)
            return false;
    }
    return n > 0;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    wire_vformat(why, MODULES_WHY_MAX, format, ap);
    va_end(ap);
    return -error;
}

/* One row as this host knows rows, from a module that may have been built with shorter ones. */
static struct mpool_row row_at(const struct mpool_module_info *info, uint32_t index)
{
    struct mpool_row row = {0};
    size_t size = info->row_size < sizeof row ? info->row_size : sizeof row;
    memcpy(&row, (const char *)info->rows + (size_t)index * info->row_size, size);
    return row;
}

static int check_head(const struct mpool_module_info *info, const char *path, char *why)
{
    if (info->abi_major != MPOOL_ABI_MAJOR)
        return refuse(why, ELIBBAD, "%s was built for module ABI %u.%u, this daemon has %u.%u: build it again", path,
            info->abi_major, info->abi_minor, MPOOL_ABI_MAJOR, MPOOL_ABI_MINOR);
    if (info->abi_minor > MPOOL_ABI_MINOR)
        return refuse(why, ELIBBAD,
            "%s was built for module ABI %u.%u, newer than this daemon's %u.%u: upgrade the daemon, or build it with "
            "the "
            "older <mpool/module.h>",
            path, info->abi_major, info->abi_minor, MPOOL_ABI_MAJOR, MPOOL_ABI_MINOR);
    if (info->size < INFO_SIZE_MIN || info->row_size < ROW_SIZE_MIN || info->row_size > sizeof(struct mpool_row) ||
        info->row_size % _Alignof(struct mpool_row) != 0)
        return refuse(why, ELIBBAD,
            "%s has a broken module table (sizes %u and %u): use MPOOL_MODULE() of <mpool/module.h>", path, info->size,
            info->row_size);
    if (!info->name || !modules_name_ok(info->name))
        return refuse(
            why, ELIBBAD, "%s has no valid module name: use 1 to %u of a-z, 0-9 and _", path, MODULES_NAME_MAX);
    if (!info->rows || info->row_count == 0 || info->row_count > MODULES_ROWS_MAX)
        return refuse(why, ELIBBAD, "%s declares %u rows: give MPOOL_MODULE() 1 to %u of them", path, info->row_count,
            MODULES_ROWS_MAX);
    return 0;
}

static int check_function(
    const struct mpool_module_info *info, uint32_t index, const struct mpool_row *row, const char *path, char *why)
{
    const uint32_t known = MPOOL_IDEMPOTENT | MPOOL_CANCELLABLE;
    if (!row->name || !modules_name_ok(row->name))
        return refuse(why, ELIBBAD, "%s: row %u has no valid function name: use 1 to %u of a-z, 0-9 and _", path, index,
            MODULES_NAME_MAX);
    if (!row->function)
        return refuse(why, ELIBBAD, "%s: function %s.%s is NULL", path, info->name, row->name);
    if (row->flags & ~known)
        return refuse(why, ELIBBAD, "%s: function %s.%s has flags 0x%x that ABI %u.%u does not know", path, info->name,
            row->name, row->flags & ~known, info->abi_major, info->abi_minor);
    for (uint32_t i = 0; i < index; i++) {
        struct mpool_row other = row_at(info, i);
        if (other.kind == MPOOL_ROW_FUNCTION && strcmp(other.name, row->name) == 0)
            return refuse(why, ELIBBAD, "%s declares function %s.%s twice: rename one", path, info->name, row->name);
    }
    return 0;
}

static int check_rows(const struct mpool_module_info *info, const char *path, uint32_t *ret_functions, char *why)
{
    uint32_t functions = 0;
    for (uint32_t i = 0; i < info->row_count; i++) {
        struct mpool_row row = row_at(info, i);
        int r = 0;
        switch (row.kind) {
        case MPOOL_ROW_FUNCTION:
            r = check_function(info, i, &row, path, why);
            functions++;
            break;
        case MPOOL_ROW_INIT:
        case MPOOL_ROW_WORKER_INIT:
            if (!row.hook)
                r = refuse(why, ELIBBAD, "%s: the hook in row %u is NULL", path, i);
            break;
        case MPOOL_ROW_WORKER_FINI:
            if (!row.fini)
                r = refuse(why, ELIBBAD, "%s: the hook in row %u is NULL", path, i);
            break;
        default:
            r = refuse(why, ELIBBAD,
                "%s: row %u is of kind %u, which ABI %u.%u does not know: build it with <mpool/module.h>", path, i,
                row.kind, info->abi_major, info->abi_minor);
        }
        if (r < 0)
            return r;
    }
    *ret_functions = functions;
    return 0;
}

/* Adds names and indices of one checked module; *m is not changed before all memory is allocated. */
static int adopt(struct modules *m, const struct mpool_module_info *info, char **path, uint32_t functions, char *why)
{
    size_t total = m->function_count + functions;
    if (total > MODULES_FUNCTIONS_MAX)
        return refuse(
            why, ELIBBAD, "%s: more than %u functions in one pool: load fewer modules", *path, MODULES_FUNCTIONS_MAX);
    struct loaded *list = reallocarray(m->list, m->count + 1, sizeof *list);
    if (list)
        m->list = list;
    struct module_function *table = reallocarray(m->functions, total + 1, sizeof *table);
    if (table)
        m->functions = table;
    if (!list || !table)
        return refuse(why, ENOMEM, "%s: %s", *path, strerror(ENOMEM));

    size_t end = m->function_count;
    for (uint32_t i = 0; i < info->row_count; i++) {
        struct mpool_row row = row_at(info, i);
        if (row.kind != MPOOL_ROW_FUNCTION)
            continue;
        char *full;
        if (asprintf(&full, "%s.%s", info->name, row.name) < 0) {
            while (end > m->function_count)
                function_free(&table[--end]);
            return refuse(why, ENOMEM, "%s: %s", *path, strerror(ENOMEM));
        }
        table[end++] = (struct module_function){
            .name = full,
            .summary = row.summary ? row.summary : "",
            .module = (uint32_t)m->count,
            .flags = row.flags,
            .timeout_s = row.timeout_s,
            .run = row.function,
        };
    }
    list[m->count++] = (struct loaded){
        .public =
            {
                .name = info->name,
                .version = info->version ? info->version : "",
                .path = TAKE(*path),
                .abi_major = info->abi_major,
                .abi_minor = info->abi_minor,
                .first = (uint32_t)m->function_count,
                .count = functions,
            },
        .info = info,
    };
    m->function_count = end;
    return 0;
}

/* name → a path that exists, trusted and real. */
static int find(const struct modules *m, const char *name, char **ret, char *why)
{
    if (strchr(name, '/'))
        return trust_file(name, m->owner, ret, why, MODULES_WHY_MAX);
    if (!modules_name_ok(name))
        return refuse(why, ENOENT,
            "\"%s\" is neither the name of a module (a-z, 0-9, _) nor a path: for a file here write ./%s", name, name);
    for (size_t i = 0; i < m->directory_count; i++) {
        _cleanup_(cleanup_free) char *path = NULL;
        if (asprintf(&path, "%s/%s.so", m->directories[i], name) < 0) {
            path = NULL;
            return refuse(why, ENOMEM, "module %s: %s", name, strerror(ENOMEM));
        }
        int r = trust_file(path, m->owner, ret, why, MODULES_WHY_MAX);
        if (r != -ENOENT && r != -ENOTDIR)
            return r;
    }
    size_t n = wire_format(why, MODULES_WHY_MAX, "there is no module %s: no %s.so in", name, name);
    for (size_t i = 0; i < m->directory_count; i++)
        n += wire_format(why + n, MODULES_WHY_MAX - n, "%s %s", i ? "," : "", m->directories[i]);
    if (m->directory_count == 0)
        wire_format(why, MODULES_WHY_MAX, "there is no module %s: the search path is empty", name);
    return -ENOENT;
}

int modules_load(struct modules *m, const char *name, char *why)
{
    _cleanup_(cleanup_free) char *path = NULL;
    int r = find(m, name, &path, why);
    if (r < 0)
        return r;
    /* By its path, which nobody but root and the owner can redirect, and not by a descriptor: a module may bring
     * libraries along ($ORIGIN), and debuggers need to find it. RTLD_LOCAL keeps the symbols of modules apart. */
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        return refuse(why, ELIBBAD, "%s cannot be loaded: %s", path, dlerror());
    void *symbol = dlsym(object, MPOOL_MODULE_SYMBOL);
    if (!symbol)
        return refuse(why, ELIBBAD, "%s is not a module of mpool: it lacks MPOOL_MODULE() of <mpool/module.h>", path);
    mpool_module_entry *entry;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C cannot cast an object pointer to a function pointer */
    const struct mpool_module_info *info = entry();
    if (!info)
        return refuse(why, ELIBBAD, "%s: %s() returned NULL", path, MPOOL_MODULE_SYMBOL);

    uint32_t functions = 0;
    r = check_head(info, path, why);
    if (r == 0)
        r = check_rows(info, path, &functions, why);
    if (r < 0)
        return r;
    if (!strchr(name, '/') && strcmp(name, info->name) != 0)
        return refuse(why, ELIBBAD, "%s calls itself \"%s\": rename the file to %s.so", path, info->name, info->name);
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->list[i].public.name, info->name) == 0)
            return refuse(
                why, EEXIST, "%s: a module %s is already loaded, from %s", path, info->name, m->list[i].public.path);
    return adopt(m, info, &path, functions, why);
}

size_t modules_count(const struct modules *m)
{
    return m->count;
}

const struct module *modules_at(const struct modules *m, size_t index)
{
    return &m->list[index].public;
}

const struct module_function *modules_functions(const struct modules *m, size_t *ret_count)
{
    *ret_count = m->function_count;
    return m->functions;
}

ssize_t modules_find(const struct modules *m, const char *name, size_t length)
{
    for (size_t i = 0; i < m->function_count; i++)
        if (strlen(m->functions[i].name) == length && memcmp(m->functions[i].name, name, length) == 0)
            return (ssize_t)i;
    return -1;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------ */

struct hook_run {
    struct mpool_init public; /* first: what the module is handed */
    const struct modules_hooks *hooks;
    const char *module;
    char failure[MODULES_WHY_MAX / 2];
};

__attribute__((format(printf, 2, 0))) static int hook_fail(mpool_init *init, const char *format, va_list ap)
{
    struct hook_run *run = CONTAINER_OF(init, struct hook_run, public);
    if (!run->failure[0])
        wire_vformat(run->failure, sizeof run->failure, format, ap);
    return -1;
}

__attribute__((format(printf, 3, 0))) static void hook_log(mpool_init *init, int level, const char *format, va_list ap)
{
    struct hook_run *run = CONTAINER_OF(init, struct hook_run, public);
    char text[2048];
    wire_vformat(text, sizeof text, format, ap);
    if (run->hooks->log)
        run->hooks->log(run->hooks->user, run->module, level, text);
}

static int run_hooks(const struct modules *m, uint32_t kind, const struct modules_hooks *hooks, char *why)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct mpool_module_info *info = m->list[i].info;
        for (uint32_t j = 0; j < info->row_count; j++) {
            struct mpool_row row = row_at(info, j);
            if (row.kind != kind)
                continue;
            struct hook_run run = {
                .public = {sizeof run.public, hooks->worker, hooks->pool, hook_fail, hook_log},
                .hooks = hooks,
                .module = info->name,
            };
            if (hooks->before)
                hooks->before(hooks->user, info->name);
            int r = row.hook(&run.public);
            const char *stage = kind == MPOOL_ROW_INIT ? "its init" : "its worker_init";
            if (run.failure[0])
                return refuse(why, ECANCELED, "module %s: %s failed: %s", info->name, stage, run.failure);
            if (r != 0)
                return refuse(why, ECANCELED, "module %s: %s returned %d without saying why", info->name, stage, r);
        }
    }
    return 0;
}

int modules_init(const struct modules *m, const struct modules_hooks *hooks, char *why)
{
    return run_hooks(m, MPOOL_ROW_INIT, hooks, why);
}

int modules_worker_init(const struct modules *m, const struct modules_hooks *hooks, char *why)
{
    return run_hooks(m, MPOOL_ROW_WORKER_INIT, hooks, why);
}

void modules_worker_fini(const struct modules *m)
{
    for (size_t i = m->count; i-- > 0;) {
        const struct mpool_module_info *info = m->list[i].info;
        for (uint32_t j = info->row_count; j-- > 0;) {
            struct mpool_row row = row_at(info, j);
            if (row.kind == MPOOL_ROW_WORKER_FINI)
                row.fini();
        }
    }
}
