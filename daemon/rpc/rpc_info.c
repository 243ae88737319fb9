/* The methods that return information: hello, ping, list, functions, pools, workers, stats. */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/listener.h"
#include "daemon/conn/shares.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/rpc/rpc.h"
#include "daemon/task/job.h"
#include "daemon/task/map.h"
#include "daemon/task/status.h"
#include "daemon/task/task.h"
#include "proto/tables.h"
#include "proto/text.h"

#define PROTOCOL_VERSION 1
#define LIST_LIMIT       1000u
#define LIST_LIMIT_MAX   10000u

/* ---- hello, ping ---- */

struct hello {
    struct option_text client, errors;
    uint64_t protocol;
    bool memfd;
};

#define HELLO_OPTIONS(X)                                                                                               \
    X(client, TEXT, 0, CONN_NAME_MAX)                                                                                  \
    X(protocol, UINT, 0, UINT64_MAX)                                                                                   \
    X(memfd, BOOL, 0, 0)                                                                                               \
    X(errors, TEXT, 0, SIZE_MAX)

enum {
#define X(name, ...) HELLO_##name,
    HELLO_OPTIONS(X)
#undef X
};

/* → false: answered, and nothing has changed. */
static bool take_hello(struct rpc *r)
{
    static const struct option_row rows[] = {
#define X(name, type, min, max) {#name, OPTION_##type, offsetof(struct hello, name), min, max, 1},
        HELLO_OPTIONS(X)
#undef X
    };
    static const struct option_table table = {"option", rows, ELEMENTS(rows)};
    struct conn *c = r->conn;
    struct hello h = {.protocol = PROTOCOL_VERSION};
    char why[256];
    uint32_t given = 0;
    bool as_text = c->errors_as_text;
    if (r->count > 0 &&
        option_table_read(&table, 1, "hello", &r->params, &h, &given, (struct option_why){why, sizeof why}) < 0) {
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s", why);
        return false;
    }
    if (h.protocol != PROTOCOL_VERSION) {
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "option protocol: this server speaks version %d", PROTOCOL_VERSION);
        return false;
    }
    if (given & 1u << HELLO_errors) {
        as_text = option_is(&h.errors, "text");
        if (!as_text && !option_is(&h.errors, "pair")) {
            rpc_fail(r, MPOOL_E_BAD_PARAMS, "option errors: expected \"pair\" or \"text\"");
            return false;
        }
    }
    c->errors_as_text = as_text;
    if (given & 1u << HELLO_memfd)
        c->memfd = h.memfd;
    for (size_t i = 0; i < h.client.length; i++) { /* it will be printed in the log */
        char letter = h.client.at[i];
        c->name[i] = letter > 0x20 && letter < 0x7f && letter != '"' ? letter : '_';
    }
    if (h.client.length > 0)
        c->name[h.client.length] = 0;
    return true;
}

enum rpc_result rpc_hello(struct rpc *r)
{
    struct conn *c = r->conn;
    const struct config *config = r->service->config;
    if (!take_hello(r))
        return RPC_ANSWERED;
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_map(&pk, 7);
    wire_pack_key_text(&pk, "server", "mpoold");
    wire_pack_key_text(&pk, "version", MPOOL_VERSION);
    wire_pack_key_u64(&pk, "protocol", PROTOCOL_VERSION);
    wire_pack_key_u64(&pk, "pid", (uint64_t)getpid());
    wire_pack_key_u64(&pk, "user", c->uid);
    wire_pack_text(&pk, "limits");
    msgpack_pack_map(&pk, 5);
    wire_pack_key_u64(&pk, "message_bytes", config->max_message);
    wire_pack_key_u64(&pk, "depth", config->max_depth);
    wire_pack_key_u64(&pk, "result_bytes", task_max_result(r->service->tasks, c));
    wire_pack_key_u64(&pk, "memfd_bytes", config->max_payload);
    wire_pack_key_u64(&pk, "in_flight", config->max_in_flight);
    wire_pack_text(&pk, "features");
    msgpack_pack_array(&pk, 5);
    wire_pack_text(&pk, "errors");
    wire_pack_text(&pk, "lease");
    wire_pack_text(&pk, "memfd");
    wire_pack_text(&pk, "output");
    wire_pack_text(&pk, "stream");
    return rpc_end(r);
}

enum rpc_result rpc_ping(struct rpc *r)
{
    msgpack_packer pk = rpc_begin(r);
    wire_pack_text(&pk, "pong");
    return rpc_end(r);
}

/* ---- list ---- */

struct filter {
    struct option_text state_name, function, pool, name;
    int state; /* -1: any */
    uint64_t limit;
    bool all;
    bool process; /* only these */
};

/* → false: answered. */
static bool read_filter(struct rpc *r, struct filter *f)
{
#define ROW(name, type, field, min, max)                                                                               \
    {                                                                                                                  \
        name, OPTION_##type, offsetof(struct filter, field), min, max, 1                                               \
    }
    static const struct option_row rows[] = {
        ROW("state", TEXT, state_name, 0, SIZE_MAX),
        ROW("function", TEXT, function, 0, SIZE_MAX),
        ROW("pool", TEXT, pool, 0, SIZE_MAX),
        ROW("name", TEXT, name, 0, SIZE_MAX),
        ROW("limit", UINT, limit, 1, LIST_LIMIT_MAX),
        ROW("all", BOOL, all, 0, 0),
        ROW("process", BOOL, process, 0, 0),
    };
#undef ROW
    static const struct option_table table = {"filter", rows, ELEMENTS(rows)};
    char why[256];
    *f = (struct filter){.state = -1, .limit = LIST_LIMIT};
    if (r->count > 0 &&
        option_table_read(&table, 1, "list", &r->params, f, NULL, (struct option_why){why, sizeof why}) < 0) {
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s", why);
        return false;
    }
    if (f->state_name.at)
        f->state = wire_state_find(f->state_name.at, f->state_name.length);
    if (f->state_name.at && f->state < 0) {
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "filter state: there is no state '%.*s'",
            WIRE_SHOWN(f->state_name.at, f->state_name.length, 32));
        return false;
    }
    return true;
}

static bool text_matches(const struct option_text *wanted, const char *have)
{
    return !wanted->at || (have && option_is(wanted, have));
}

/* Names are stored escaped, as they are displayed, so escape the wanted one, too. */
static bool name_matches(const struct option_text *wanted, const char *have)
{
    char shown[TASK_NAME_MAX];
    if (!wanted->at || !have || wanted->length > sizeof shown)
        return !wanted->at;
    memcpy(shown, wanted->at, wanted->length);
    wire_utf8_scrub(shown, wanted->length);
    return option_is(&(struct option_text){shown, wanted->length}, have);
}

static bool matches(const struct filter *f, const struct conn *c, uid_t uid, enum mpool_state state,
    const char *function, const char *pool, const char *name)
{
    if (uid != c->uid && !(f->all && conn_is_admin(c)))
        return false;
    return (f->state < 0 || f->state == (int)state) && text_matches(&f->function, function) &&
           text_matches(&f->pool, pool) && name_matches(&f->name, name);
}

/* Merges three lists, each newest first, by the time of submission. */
enum rpc_result rpc_list(struct rpc *r)
{
    struct conn *c = r->conn;
    struct service *s = r->service;
    struct filter f;
    if (!read_filter(r, &f))
        return RPC_ANSWERED;
    struct wire_buf rows = {0};
    msgpack_packer row = wire_packer(&rows);
    struct job *job = TAILQ_FIRST(&s->tasks->jobs);
    struct task *t = f.process ? NULL : TAILQ_FIRST(&s->tasks->calls);
    struct map *m = f.process ? NULL : TAILQ_FIRST(&s->tasks->maps);
    uint32_t n = 0;
    while (n < f.limit && (job || t || m)) {
        uint64_t kt = job ? job->submitted_ms + 1 : 0, tt = t ? t->submitted_ms + 1 : 0,
                 mt = m ? m->submitted_ms + 1 : 0;
        if (kt && kt >= tt && kt >= mt) {
            enum mpool_state state = status_of_job(job);
            if ((job->process || !f.process) && matches(&f, c, job->uid, state, job->function, job->pool, job->name)) {
                status_pack_job(&row, job);
                n++;
            }
            job = TAILQ_NEXT(job, link);
        } else if (tt && tt >= mt) {
            if (matches(
                    &f, c, t->caller->uid, status_of(t), t->function->name, t->function->pool->name, t->call.name)) {
                status_pack_call(&row, t);
                n++;
            }
            t = TAILQ_NEXT(t, call.every);
        } else {
            enum mpool_state state = status_of_map(m);
            if (!m->ended &&
                matches(&f, c, m->caller->uid, state, m->function->name, m->function->pool->name, m->name)) {
                status_pack_map(&row, m);
                n++;
            }
            m = TAILQ_NEXT(m, every);
        }
    }
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    if (rows.failed)
        c->out.failed = true;
    else if (n > 0)
        wire_buf_append(&c->out, wire_buf_at(&rows), wire_buf_length(&rows));
    wire_buf_reset(&rows);
    return rpc_end(r);
}

/* ---- functions, pools, workers, stats ---- */

static bool first_of_its_name(const struct function *f)
{
    const struct pool *pool;
    TAILQ_FOREACH (pool, &f->pool->workers->pools, link) {
        if (pool == f->pool)
            return true;
        const struct function *same = pool_function(pool, f->name, strlen(f->name));
        if (same && same->present)
            return false;
    }
    return true;
}

static void pack_function(msgpack_packer *pk, const struct function *f)
{
    const struct workers *workers = f->pool->workers;
    struct pool *pool;
    uint32_t pools = 0, paused = 0;
    uint64_t calls = 0;
    const char *dot = strchr(f->name, '.');
    const struct forkserver *t = f->pool->current;
    msgpack_pack_map(pk, 11);
    wire_pack_key_text(pk, "name", f->name);
    wire_pack_text(pk, "module");
    wire_pack_str(pk, f->name, (size_t)(dot - f->name));
    wire_pack_key_text(pk, "version", t && f->module < t->module_count ? t->modules[f->module].version : NULL);
    TAILQ_FOREACH (pool, &workers->pools, link) {
        const struct function *same = pool_function(pool, f->name, strlen(f->name));
        if (same && same->present) {
            pools++;
            paused += same->core.paused;
            calls += same->calls;
        }
    }
    wire_pack_text(pk, "pools");
    msgpack_pack_array(pk, pools);
    TAILQ_FOREACH (pool, &workers->pools, link) {
        const struct function *same = pool_function(pool, f->name, strlen(f->name));
        if (same && same->present)
            wire_pack_text(pk, pool->name);
    }
    wire_pack_text(pk, "paused");
    msgpack_pack_array(pk, paused);
    TAILQ_FOREACH (pool, &workers->pools, link) {
        const struct function *same = pool_function(pool, f->name, strlen(f->name));
        if (same && same->present && same->core.paused)
            wire_pack_text(pk, pool->name);
    }
    wire_pack_key_bool(pk, "idempotent", function_is(f, CONTROL_IDEMPOTENT));
    wire_pack_key_bool(pk, "cancellable", function_is(f, CONTROL_CANCELLABLE));
    wire_pack_text(pk, "timeout_ms");
    if (f->timeout_s)
        msgpack_pack_uint64(pk, (uint64_t)f->timeout_s * 1000);
    else
        msgpack_pack_nil(pk);
    wire_pack_key_text(pk, "summary", f->summary[0] ? f->summary : NULL);
    wire_pack_key_u64(pk, "calls", calls);
    uint64_t mean = f->core.mean_ns ? f->core.mean_ns : f->item_mean_ns;
    wire_pack_text(pk, "mean_us");
    if (mean)
        msgpack_pack_double(pk, (double)mean / 1000.0);
    else
        msgpack_pack_nil(pk);
}

enum rpc_result rpc_functions(struct rpc *r)
{
    struct service *s = r->service;
    struct pool *pool;
    uint32_t n = 0;
    TAILQ_FOREACH (pool, &s->workers->pools, link)
        for (uint32_t i = 0; i < pool->function_count; i++)
            n += pool->functions[i]->present && first_of_its_name(pool->functions[i]);
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    TAILQ_FOREACH (pool, &s->workers->pools, link)
        for (uint32_t i = 0; i < pool->function_count; i++)
            if (pool->functions[i]->present && first_of_its_name(pool->functions[i]))
                pack_function(&pk, pool->functions[i]);
    return rpc_end(r);
}

static void pack_pool(msgpack_packer *pk, struct service *s, const struct pool *pool)
{
    struct core_pool_counts counts, processes;
    const struct forkserver *t = pool->current;
    core_pool_counts(pool->core, &counts);
    core_pool_counts(pool->processes, &processes);
    msgpack_pack_map(pk, 21);
    wire_pack_key_text(pk, "name", pool->name);
    wire_pack_key_text(pk, "state", pool_state(pool, s->loop->now_ns));
    wire_pack_key_text(pk, "error", pool_error(pool));
    wire_pack_key_u64(pk, "workers", counts.workers);
    wire_pack_key_u64(pk, "idle", counts.idle);
    wire_pack_key_u64(pk, "busy", counts.busy);
    wire_pack_key_u64(pk, "starting", counts.starting);
    wire_pack_key_u64(pk, "min", pool->config->min);
    wire_pack_key_u64(pk, "max", pool->config->max);
    wire_pack_key_u64(pk, "queued", counts.queued);
    wire_pack_key_u64(pk, "running", counts.placed);
    wire_pack_key_u64(pk, "max_tasks", pool->config->max_tasks);
    wire_pack_key_u64(pk, "max_memory", pool->config->max_memory);
    wire_pack_key_u64(pk, "timeout_ms", pool->config->timeout_ms);
    wire_pack_key_u64(pk, "max_queue", pool->config->max_queue);
    wire_pack_key_u64(pk, "waiting", counts.waiting);
    wire_pack_key_bool(pk, "paused", core_pool_is_paused(pool->core));
    wire_pack_key_u64(pk, "max_nested", pool->config->max_nested);
    wire_pack_key_u64(pk, "processes", processes.workers);
    wire_pack_key_u64(pk, "max_processes", pool->config->max_processes);
    wire_pack_text(pk, "modules");
    msgpack_pack_array(pk, t ? t->module_count : 0);
    for (size_t i = 0; t && i < t->module_count; i++) {
        msgpack_pack_map(pk, 2);
        wire_pack_key_text(pk, "name", t->modules[i].name);
        wire_pack_key_text(pk, "version", t->modules[i].version);
    }
}

enum rpc_result rpc_pools(struct rpc *r)
{
    struct service *s = r->service;
    struct pool *pool;
    uint32_t n = 0;
    TAILQ_FOREACH (pool, &s->workers->pools, link)
        n++;
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    TAILQ_FOREACH (pool, &s->workers->pools, link)
        pack_pool(&pk, s, pool);
    return rpc_end(r);
}

static const char *const worker_states[] = {
    [CORE_WORKER_STARTING] = "starting",
    [CORE_WORKER_IDLE] = "idle",
    [CORE_WORKER_BUSY] = "busy",
    [CORE_WORKER_RETIRING] = "retiring",
    [CORE_WORKER_STUCK] = "stuck",
    [CORE_WORKER_DYING] = "retiring",
};

static void pack_worker(msgpack_packer *pk, const struct service *s, const struct worker *w)
{
    const struct task *t = task_running(w);
    uint64_t rss = worker_rss(w);
    msgpack_pack_map(pk, 15);
    wire_pack_key_u64(pk, "id", w->number);
    wire_pack_key_text(pk, "pool", w->pool->name);
    wire_pack_key_i64(pk, "pid", w->pid);
    /* A worker is busy only if it has claimed a task: one that is merely queued in its lane may still be taken back. */
    enum core_worker_state state = w->core.state == CORE_WORKER_BUSY && !t ? CORE_WORKER_IDLE : w->core.state;
    wire_pack_key_text(pk, "state", worker_states[state]);
    wire_pack_key_u64(pk, "since_ms", (s->loop->now_ns - w->core.state_ns) / NS_PER_MS);
    wire_pack_text(pk, "task");
    if (t)
        msgpack_pack_uint64(pk, task_public_id(t));
    else
        msgpack_pack_nil(pk);
    wire_pack_key_text(pk, "function", t ? t->function->name : NULL);
    wire_pack_key_u64(pk, "tasks", w->core.tasks_done);
    wire_pack_key_u64(pk, "ahead", w->core.placed > 0 ? w->core.placed - 1 : 0);
    wire_pack_text(pk, "rss_kib");
    if (rss)
        msgpack_pack_uint64(pk, rss / 1024);
    else
        msgpack_pack_nil(pk);
    wire_pack_key_u64(pk, "cpu_ms", worker_cpu_ms(w));
    wire_pack_key_u64(pk, "age_ms", (s->loop->now_ns - w->born_ns) / NS_PER_MS);
    wire_pack_key_u64(pk, "generation", w->generation);
    wire_pack_key_bool(pk, "waiting", w->core.waiting);
    wire_pack_key_bool(pk, "process", w->process);
}

enum rpc_result rpc_workers(struct rpc *r)
{
    struct service *s = r->service;
    struct pool *pool;
    struct worker *w;
    uint32_t n = 0;
    TAILQ_FOREACH (pool, &s->workers->pools, link)
        TAILQ_FOREACH (w, &pool->members, link)
            n += w->pid != 0;
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    TAILQ_FOREACH (pool, &s->workers->pools, link)
        TAILQ_FOREACH (w, &pool->members, link)
            if (w->pid != 0)
                pack_worker(&pk, s, w);
    return rpc_end(r);
}

enum rpc_result rpc_stats(struct rpc *r)
{
    struct service *s = r->service;
    struct pool *pool;
    uint64_t queued = 0, running = 0;
    TAILQ_FOREACH (pool, &s->workers->pools, link) {
        struct core_pool_counts counts;
        core_pool_counts(pool->core, &counts);
        queued += counts.queued;
        running += counts.placed;
    }
#define X(name) +1u
    const uint32_t counters = STATS(X), task_counters = STATS_OF_TASKS(X);
#undef X
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_map(&pk, counters + 13);
    wire_pack_key_text(&pk, "version", MPOOL_VERSION);
    wire_pack_key_u64(&pk, "pid", (uint64_t)getpid());
    wire_pack_key_text(&pk, "socket", listener_path(s->connections->listener));
    wire_pack_key_u64(&pk, "started_ms", s->start_wall_ms);
    wire_pack_key_u64(&pk, "uptime_ms", (s->loop->now_ns - s->start_ns) / NS_PER_MS);
    wire_pack_key_u64(&pk, "spin_ns", s->workers->spin.budget_ns);
    wire_pack_key_u64(&pk, "connections", s->connections->shares->used[SHARE_CONNECTIONS]);
    wire_pack_key_u64(&pk, "queued", queued);
    wire_pack_key_u64(&pk, "running", running);
    wire_pack_key_u64(&pk, "attached_bytes", s->connections->shares->used[SHARE_ARGS]);
    wire_pack_key_u64(&pk, "detached_kept", s->connections->shares->used[SHARE_KEPT]);
    wire_pack_key_u64(&pk, "detached_bytes", s->connections->shares->used[SHARE_KEPT_BYTES]);
    wire_pack_text(&pk, "tasks");
    msgpack_pack_map(&pk, task_counters);
#define X(name) wire_pack_key_u64(&pk, #name, s->loop->stats.tasks.name);
    STATS_OF_TASKS(X)
#undef X
#define X(name) wire_pack_key_u64(&pk, #name, s->loop->stats.name);
    STATS(X)
#undef X
    return rpc_end(r);
}
