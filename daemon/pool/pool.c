#include "daemon/pool/pool.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/conn/caller.h"
#include "daemon/pool/function_index.h"
#include "daemon/pool/forkserver.h"
#include "daemon/pool/worker.h"
#include "daemon/pool/workers.h"

#define RETRY_FIRST_MS 200u
#define RETRY_MOST_MS  30000u
#define PROVED_NS      (1000 * NS_PER_MS) /* a forkserver that lived this long while no worker was wanted works */

static struct core_pool_config sizing(const struct config_pool *c)
{
    return (struct core_pool_config){.min = c->min,
        .max = c->max,
        .idle_timeout_ms = c->idle_timeout_ms,
        .max_tasks = c->max_tasks,
        .max_nested = c->max_nested,
        .start_timeout_ms = c->load_timeout_ms};
}

/* A process that was started in vain, because its task was cancelled meanwhile, may still serve the next one. */
#define MODULE_NAME_MAX 64u /* plus the dot after it */
#define PROCESS_IDLE_MS 5000u

static struct core_pool_config process_sizing(const struct config_pool *c)
{
    return (struct core_pool_config){.max = c->max_processes > 0 ? c->max_processes : 1,
        .max_tasks = 1,
        .idle_timeout_ms = PROCESS_IDLE_MS,
        .start_timeout_ms = c->load_timeout_ms,
        .once = true};
}

static void load(struct pool *pool);

static void retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    load(arg);
}

/* A failed forkserver is retried with increasing delays: this throttles its pool and never spins. */
static void retry_later(struct pool *pool)
{
    unsigned shift = pool->failures < 8 ? pool->failures : 8;
    uint64_t ms = (uint64_t)RETRY_FIRST_MS << shift;
    if (ms > RETRY_MOST_MS)
        ms = RETRY_MOST_MS;
    pool->failures++;
    struct timeval tv = clock_timeval(ms);
    event_add(pool->retry, &tv);
    log_warning("pool=%s throttled next_try_ms=%llu", pool->name, (unsigned long long)ms);
}

static void set_text(char **text, const char *value)
{
    free(*text);
    *text = value ? strdup(value) : NULL;
}

/* Once forkservers have failed as often in a row as births may, tasks that wait in a pool without workers are answered
 * with an error. One that loads proves nothing: it may break whenever it forks, and so may the next one. */
static void forkserver_failure(struct pool *pool, const char *why)
{
    set_text(&pool->error, why);
    if (!pool->closing && !pool->workers->loop->stopping)
        retry_later(pool);
    if (!pool->current && (pool->closing || pool->failures >= CORE_DOWN_BIRTHS)) {
        core_pool_give_up(pool->core);
        core_pool_give_up(pool->processes);
    }
}

/* Loads a new forkserver while the current one keeps serving. */
static void load(struct pool *pool)
{
    int error;
    if (pool->coming)
        return;
    pool->coming = forkserver_start(pool, &error);
    if (!pool->coming) {
        char why[128];
        snprintf(why, sizeof why, "its forkserver cannot be started: %s", strerror(-error));
        forkserver_failure(pool, why);
    }
}

struct pool *pool_new(struct workers *workers, const struct config_pool *config)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    TAILQ_INIT(&pool->members);
    pool->workers = workers;
    pool->config = config;
    strncpy(pool->name, config->name, sizeof pool->name - 1);
    struct core_pool_config size = sizing(config), process_size = process_sizing(config);
    pool->core = core_pool_new(workers->core, &size, pool);
    pool->processes = core_pool_new(workers->core, &process_size, pool);
    pool->open_core_pools = 2;
    pool->retry = evtimer_new(workers->loop->base, retry, pool);
    if (!pool->core || !pool->processes || !pool->retry) {
        pool_free(pool);
        return NULL;
    }
    load(pool);
    return pool;
}

void pool_free(struct pool *pool)
{
    struct worker *w;
    while ((w = TAILQ_FIRST(&pool->members)))
        worker_destroy(w);
    for (int i = 0; i < 2; i++) {
        struct forkserver *t = i ? pool->current : pool->coming;
        if (t)
            forkserver_retire(t);
    }
    function_index_remove_pool(pool->workers->functions, pool);
    for (uint32_t i = 0; i < pool->function_count; i++) {
        free(pool->functions[i]->name);
        free(pool->functions[i]->summary);
        free(pool->functions[i]);
    }
    free(pool->functions);
    core_pool_free(pool->core);
    core_pool_free(pool->processes);
    if (pool->retry)
        event_free(pool->retry);
    free(pool->error);
    free(pool->birth_error);
    free(pool);
}

void pool_reconfigure(struct pool *pool, const struct config_pool *config)
{
    pool->config = config;
    if (pool->coming) { /* it is loading an outdated configuration */
        struct forkserver *t = pool->coming;
        pool->coming = NULL;
        forkserver_retire(t);
    }
    event_del(pool->retry);
    pool->failures = 0;
    load(pool);
}

void pool_close(struct pool *pool)
{
    if (pool->closing)
        return;
    pool->closing = true;
    /* Its configuration is about to be freed: the numbers still apply to queued tasks, the lists are no longer used. */
    pool->last_config = *pool->config;
    pool->last_config.name = pool->name;
    pool->last_config.user = pool->last_config.group = NULL;
    pool->last_config.modules = pool->last_config.functions = pool->last_config.environment =
        (struct config_strings){0};
    pool->last_config.allow_uid_count = pool->last_config.allow_gid_count = 0;
    pool->config = &pool->last_config;
    event_del(pool->retry);
    for (uint32_t i = 0; i < pool->function_count; i++)
        pool->functions[i]->present = false;
    core_pool_close(pool->core);
    core_pool_close(pool->processes);
}

/* ---- functions ---- */

static bool allowed_function(const struct config_pool *c, const char *name)
{
    if (c->functions.count == 0)
        return true;
    for (size_t i = 0; i < c->functions.count; i++)
        if (fnmatch(c->functions.items[i], name, 0) == 0)
            return true;
    return false;
}

struct function *pool_function(const struct pool *pool, const char *name, size_t length)
{
    return function_index_find(pool->workers->functions, pool, name, length);
}

int pool_add_function(struct forkserver *t, const struct function_report *report)
{
    struct pool *pool = t->pool;
    struct function *f = pool_function(pool, report->name, report->name_length);
    if (!f) {
        struct function **grown = realloc(pool->functions, (pool->function_count + 1) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        pool->functions = grown;
        f = calloc(1, sizeof *f);
        if (f)
            f->name = strndup(report->name, report->name_length);
        if (!f || !f->name || function_index_add(pool->workers->functions, f, pool) < 0) {
            if (f)
                free(f->name);
            free(f);
            return -ENOMEM;
        }
        f->pool = pool;
        f->number = pool->function_count;
        pool->functions[pool->function_count++] = f;
    }
    if (f->number >= t->index_count) {
        uint32_t count = f->number + 64;
        uint32_t *grown = realloc(t->index_of, count * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        for (uint32_t i = t->index_count; i < count; i++)
            grown[i] = FORKSERVER_ABSENT;
        t->index_of = grown;
        t->index_count = count;
    }
    t->index_of[f->number] = report->index;
    /* The coming forkserver's description takes effect once it is current; until then the old one does. */
    char *summary = strndup(report->summary, report->summary_length);
    if (!summary)
        return -ENOMEM;
    free(f->summary);
    f->summary = summary;
    f->flags = report->flags;
    f->timeout_s = report->timeout_s;
    f->module = report->module;
    return 0;
}

bool pool_promises(const struct pool *pool, const char *name, size_t length)
{
    if (pool->current)
        return false;
    /* Do not search further than a module name can be long, however long this text is. */
    const char *dot = memchr(name, '.', length < MODULE_NAME_MAX ? length : MODULE_NAME_MAX);
    size_t module = dot ? (size_t)(dot - name) : length;
    if (pool->config->modules.count == 0)
        return true; /* every shipped module: unknown until it has loaded */
    for (size_t i = 0; i < pool->config->modules.count; i++) {
        const char *item = pool->config->modules.items[i];
        const char *base = strrchr(item, '/') ? strrchr(item, '/') + 1 : item;
        if (strncmp(base, name, module) == 0 && (base[module] == 0 || base[module] == '.'))
            return true;
    }
    return false;
}

/* ---- forkservers ---- */

/* The workers requested from it will never come. */
static void give_up_births(struct forkserver *t, const char *why)
{
    struct worker *w, *next;
    for (w = TAILQ_FIRST(&t->pool->members); w; w = next) {
        next = TAILQ_NEXT(w, link);
        if (w->forkserver == t && w->pid == 0)
            worker_fork_failed(w, why);
    }
}

void pool_forkserver_ready(struct forkserver *t)
{
    struct pool *pool = t->pool;
    struct workers *workers = pool->workers;
    struct forkserver *old = pool->current;
    bool first = !old;
    pool->current = t;
    pool->coming = NULL;
    t->ready_ns = workers->loop->now_ns;
    set_text(&pool->error, NULL);
    size_t served = 0;
    for (uint32_t i = 0; i < pool->function_count; i++) {
        struct function *f = pool->functions[i];
        f->present = !pool->closing && i < t->index_count && t->index_of[i] != FORKSERVER_ABSENT &&
                     allowed_function(pool->config, f->name);
        served += f->present;
    }
    log_info("pool=%s forkserver=%d ready modules=%zu functions=%zu", pool->name, (int)t->pid, t->module_count, served);
    if (old) {
        give_up_births(old, "its forkserver has been replaced");
        forkserver_retire(old);
    }
    struct core_pool_config size = sizing(pool->config), process_size = process_sizing(pool->config);
    if (!first) {
        workers->ops->drop_absent(workers->tasks, pool);
        core_pool_reconfigure(pool->core, &size, workers->loop->now_ns);
        core_pool_reconfigure(pool->processes, &process_size, workers->loop->now_ns);
    }
    core_pool_open(pool->core);
    core_pool_open(pool->processes);
}

void pool_birth_failed(struct pool *pool, const char *why)
{
    set_text(&pool->birth_error, why);
}

/* Once only: while this forkserver serves, a new one may fail again and again, and must be retried less and less often.
 */
static void prove(struct pool *pool, struct forkserver *t)
{
    if (!t->proved)
        pool->failures = 0;
    t->proved = true;
}

void pool_born(struct pool *pool, struct forkserver *t)
{
    prove(pool, t);
    if (pool->birth_error)
        set_text(&pool->birth_error, NULL);
}

const char *pool_error(const struct pool *pool)
{
    return pool->error ? pool->error : pool->birth_error;
}

void pool_down_text(const struct pool *pool, char *text, size_t size)
{
    const char *why = pool_error(pool);
    snprintf(text, size, "pool %s has no worker, and none could be started: %s", pool->name,
        why ? why : "they died at once");
}

void pool_forkserver_failed(struct forkserver *t, const char *why)
{
    struct pool *pool = t->pool;
    bool was_current = pool->current == t;
    log_error("pool=%s forkserver=%d failed: %s%s", pool->name, (int)t->pid, why,
        was_current || !pool->current ? "" : "; the old one stays in use");
    if (was_current && t->births == 0 && pool->workers->loop->now_ns - t->ready_ns >= PROVED_NS)
        prove(pool, t);
    give_up_births(t, why);
    if (was_current) {
        pool->current = NULL;
        core_pool_suspend(pool->core);
        core_pool_suspend(pool->processes);
    } else {
        pool->coming = NULL;
    }
    forkserver_failure(pool, why);
}

/* ---- access and state ---- */

struct pool *pool_find(struct workers *workers, const char *name, size_t length)
{
    struct pool *pool;
    TAILQ_FOREACH (pool, &workers->pools, link)
        if (!pool->closing && strlen(pool->name) == length && memcmp(pool->name, name, length) == 0)
            return pool;
    return NULL;
}

bool pool_allows(const struct pool *pool, const struct caller *caller)
{
    const struct config_pool *c = pool->config;
    if (c->allow_everyone || caller->admin)
        return true;
    for (size_t i = 0; i < c->allow_uid_count; i++)
        if (c->allow_uids[i] == caller->uid)
            return true;
    for (size_t i = 0; i < c->allow_gid_count; i++) {
        if (c->allow_gids[i] == caller->gid)
            return true;
        for (size_t j = 0; j < caller->group_count; j++)
            if (c->allow_gids[i] == caller->groups[j])
                return true;
    }
    return false;
}

const char *pool_state(const struct pool *pool, uint64_t now_ns)
{
    struct core_pool_counts counts;
    core_pool_counts(pool->core, &counts);
    if (pool->closing || pool->workers->loop->stopping)
        return "stopping";
    if (!pool->current)
        return pool->failures > 0 ? "throttled" : "starting";
    if (counts.throttled_until_ns > now_ns)
        return "throttled";
    return counts.idle + counts.busy > 0 ? "serving" : "starting";
}
