/* The methods that tell: hello, ping, list, functions, pools, workers, stats. */
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/lane/contract.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/kept.h"
#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/map.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/rpc.h"
#include "daemon/supervisor/shares.h"
#include "daemon/supervisor/status.h"
#include "daemon/supervisor/task.h"
#include "proto/tables.h"

#define PROTOCOL_VERSION 1
#define LIST_LIMIT       1000u
#define LIST_LIMIT_MAX   10000u

static bool key_is(const char *key, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(key, name, length) == 0;
}

/* ---- hello, ping
 * -------------------------------------------------------------------------------------------------------------- */

static enum rpc_result hello_options(struct rpc *r, bool *ret_good)
{
    struct conn *c = r->conn;
    struct wire_reader *in = &r->params;
    static const char *const names[] = {"client", "protocol", "memfd"};
    char name[CONN_NAME_MAX + 1] = "";
    bool memfd = false;
    uint32_t pairs = 0;
    *ret_good = false;
    if (r->count > 0 && wire_read_nil(in) < 0 && wire_read_map(in, &pairs) < 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "options: expected a map, got %s", wire_type_name(wire_peek(in)));
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key, *text;
        size_t length, text_length;
        uint64_t number;
        if (wire_read_text(in, &key, &length) < 0)
            return rpc_fail(r, MPOOL_E_BAD_PARAMS, "options: expected a string as key");
        if (key_is(key, length, "client")) {
            if (wire_read_text(in, &text, &text_length) < 0 || text_length > CONN_NAME_MAX)
                return rpc_fail(
                    r, MPOOL_E_BAD_PARAMS, "option client: expected a string of at most %u bytes", CONN_NAME_MAX);
            size_t n = 0;
            for (size_t j = 0; j < text_length; j++) /* it is printed in the log */
                name[n++] = text[j] > 0x20 && text[j] < 0x7f && text[j] != '"' ? text[j] : '_';
            name[n] = 0;
        } else if (key_is(key, length, "protocol")) {
            if (wire_read_u64(in, &number) < 0 || number != PROTOCOL_VERSION)
                return rpc_fail(
                    r, MPOOL_E_BAD_PARAMS, "option protocol: this server speaks version %d", PROTOCOL_VERSION);
        } else if (key_is(key, length, "memfd")) {
            if (wire_read_bool(in, &memfd) < 0)
                return rpc_fail(
                    r, MPOOL_E_BAD_PARAMS, "option memfd: expected a bool, got %s", wire_type_name(wire_peek(in)));
        } else {
            const char *near = wire_nearest(key, length, names, 3);
            return rpc_fail(r, MPOOL_E_BAD_PARAMS, "there is no option '%.*s' here%s%s%s",
                length > 64 ? 64 : (int)length, key, near ? "; did you mean '" : "", near ? near : "",
                near ? "'?" : "");
        }
    }
    if (name[0])
        memcpy(c->name, name, sizeof c->name);
    c->memfd = memfd;
    *ret_good = true;
    return RPC_DONE;
}

enum rpc_result rpc_hello(struct rpc *r)
{
    struct conn *c = r->conn;
    const struct config *config = c->supervisor->config;
    bool good;
    enum rpc_result result = hello_options(r, &good);
    if (!good)
        return result;
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
    wire_pack_key_u64(&pk, "result_bytes", task_max_result(c->supervisor, c));
    wire_pack_key_u64(&pk, "memfd_bytes", config->max_payload);
    wire_pack_key_u64(&pk, "in_flight", config->max_in_flight);
    wire_pack_text(&pk, "features");
    msgpack_pack_array(&pk, 3);
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

/* ---- list
 * ---------------------------------------------------------------------------------------------------------------------
 */

struct filter {
    int state; /* -1: any */
    const char *function, *pool, *name;
    size_t function_length, pool_length, name_length;
    uint64_t limit;
    bool all;
    bool process; /* only these */
};

static bool read_filter(struct rpc *r, struct filter *f)
{
    struct wire_reader *in = &r->params;
    static const char *const names[] = {"state", "function", "pool", "name", "limit", "all", "process"};
    uint32_t pairs = 0;
    *f = (struct filter){.state = -1, .limit = LIST_LIMIT};
    if (r->count > 0 && wire_read_nil(in) < 0 && wire_read_map(in, &pairs) < 0) {
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "filter: expected a map, got %s", wire_type_name(wire_peek(in)));
        return false;
    }
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key, *text;
        size_t length, text_length;
        if (wire_read_text(in, &key, &length) < 0) {
            rpc_fail(r, MPOOL_E_BAD_PARAMS, "filter: expected a string as key");
            return false;
        }
        int bad = 0;
        if (key_is(key, length, "state")) {
            bad = wire_read_text(in, &text, &text_length);
            f->state = bad < 0 ? -1 : wire_state_find(text, text_length);
            if (bad == 0 && f->state < 0) {
                rpc_fail(r, MPOOL_E_BAD_PARAMS, "filter state: there is no state '%.*s'",
                    text_length > 32 ? 32 : (int)text_length, text);
                return false;
            }
        } else if (key_is(key, length, "function")) {
            bad = wire_read_text(in, &f->function, &f->function_length);
        } else if (key_is(key, length, "pool")) {
            bad = wire_read_text(in, &f->pool, &f->pool_length);
        } else if (key_is(key, length, "name")) {
            bad = wire_read_text(in, &f->name, &f->name_length);
        } else if (key_is(key, length, "limit")) {
            bad = wire_read_u64(in, &f->limit) < 0 || f->limit < 1 || f->limit > LIST_LIMIT_MAX ? -1 : 0;
        } else if (key_is(key, length, "all")) {
            bad = wire_read_bool(in, &f->all);
        } else if (key_is(key, length, "process")) {
            bad = wire_read_bool(in, &f->process);
        } else {
            const char *near = wire_nearest(key, length, names, 7);
            rpc_fail(r, MPOOL_E_BAD_PARAMS, "there is no filter '%.*s'%s%s%s", length > 64 ? 64 : (int)length, key,
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
            return false;
        }
        if (bad < 0) {
            rpc_fail(r, MPOOL_E_BAD_PARAMS, "filter %.*s: %s", (int)length, key,
                key_is(key, length, "limit") ? "expected an integer from 1 to 10000" : "wrong type");
            return false;
        }
    }
    return true;
}

static bool text_matches(const char *wanted, size_t length, const char *have)
{
    return !wanted || (have && key_is(wanted, length, have));
}

static bool matches(const struct filter *f, const struct conn *c, uid_t uid, enum mpool_state state,
    const char *function, const char *pool, const char *name)
{
    if (uid != c->uid && !(f->all && conn_is_admin(c)))
        return false;
    return (f->state < 0 || f->state == (int)state) && text_matches(f->function, f->function_length, function) &&
           text_matches(f->pool, f->pool_length, pool) && text_matches(f->name, f->name_length, name);
}

/* Three lists, each newest first, merged by the time of submission. */
enum rpc_result rpc_list(struct rpc *r)
{
    struct conn *c = r->conn;
    struct supervisor *s = c->supervisor;
    struct filter f;
    if (!read_filter(r, &f))
        return RPC_DONE;
    struct wire_buf rows = {0};
    msgpack_packer row = wire_packer(&rows);
    struct kept *k = TAILQ_FIRST(&s->kept);
    struct task *t = f.process ? NULL : TAILQ_FIRST(&s->calls);
    struct map *m = f.process ? NULL : TAILQ_FIRST(&s->maps);
    uint32_t n = 0;
    while (n < f.limit && (k || t || m)) {
        uint64_t kt = k ? k->submitted_ms + 1 : 0, tt = t ? t->submitted_ms + 1 : 0, mt = m ? m->submitted_ms + 1 : 0;
        if (kt && kt >= tt && kt >= mt) {
            enum mpool_state state = status_of_kept(k);
            if ((k->process || !f.process) && matches(&f, c, k->uid, state, k->function, k->pool, k->name)) {
                status_pack_kept(&row, k);
                n++;
            }
            k = TAILQ_NEXT(k, link);
        } else if (tt && tt >= mt) {
            if (matches(&f, c, t->call.uid, status_of(t), t->function->name, t->function->pool->name, t->call.name)) {
                status_pack_call(&row, t);
                n++;
            }
            t = TAILQ_NEXT(t, call.every);
        } else {
            enum mpool_state state = status_of_map(m);
            if (!m->ended && matches(&f, c, m->uid, state, m->function->name, m->function->pool->name, m->name)) {
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

/* ---- functions, pools, workers, stats
 * --------------------------------------------------------------------------------------------- */

static bool first_of_its_name(const struct function *f)
{
    const struct pool *pool;
    TAILQ_FOREACH (pool, &f->pool->supervisor->pools, link) {
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
    struct supervisor *s = f->pool->supervisor;
    struct pool *pool;
    uint32_t pools = 0;
    uint64_t calls = 0;
    const char *dot = strchr(f->name, '.');
    const struct template *t = f->pool->current;
    msgpack_pack_map(pk, 10);
    wire_pack_key_text(pk, "name", f->name);
    wire_pack_text(pk, "module");
    msgpack_pack_str(pk, (size_t)(dot - f->name));
    msgpack_pack_str_body(pk, f->name, (size_t)(dot - f->name));
    wire_pack_key_text(pk, "version", t && f->module < t->module_count ? t->modules[f->module].version : NULL);
    TAILQ_FOREACH (pool, &s->pools, link) {
        const struct function *same = pool_function(pool, f->name, strlen(f->name));
        if (same && same->present) {
            pools++;
            calls += same->calls;
        }
    }
    wire_pack_text(pk, "pools");
    msgpack_pack_array(pk, pools);
    TAILQ_FOREACH (pool, &s->pools, link) {
        const struct function *same = pool_function(pool, f->name, strlen(f->name));
        if (same && same->present)
            wire_pack_text(pk, pool->name);
    }
    wire_pack_key_bool(pk, "idempotent", function_is(f, CONTRACT_IDEMPOTENT));
    wire_pack_key_bool(pk, "cancellable", function_is(f, CONTRACT_CANCELLABLE));
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
    struct supervisor *s = r->conn->supervisor;
    struct pool *pool;
    uint32_t n = 0;
    TAILQ_FOREACH (pool, &s->pools, link)
        for (uint32_t i = 0; i < pool->function_count; i++)
            n += pool->functions[i]->present && first_of_its_name(pool->functions[i]);
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    TAILQ_FOREACH (pool, &s->pools, link)
        for (uint32_t i = 0; i < pool->function_count; i++)
            if (pool->functions[i]->present && first_of_its_name(pool->functions[i]))
                pack_function(&pk, pool->functions[i]);
    return rpc_end(r);
}

static void pack_pool(msgpack_packer *pk, struct supervisor *s, const struct pool *pool)
{
    struct core_pool_counts counts, processes;
    const struct template *t = pool->current;
    core_pool_counts(pool->core, &counts);
    core_pool_counts(pool->processes, &processes);
    msgpack_pack_map(pk, 20);
    wire_pack_key_text(pk, "name", pool->name);
    wire_pack_key_text(pk, "state", pool_state(pool, s->now_ns));
    wire_pack_key_text(pk, "error", pool->error);
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
    struct supervisor *s = r->conn->supervisor;
    struct pool *pool;
    uint32_t n = 0;
    TAILQ_FOREACH (pool, &s->pools, link)
        n++;
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    TAILQ_FOREACH (pool, &s->pools, link)
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

static void pack_worker(msgpack_packer *pk, const struct supervisor *s, const struct worker *w)
{
    const struct task *t = worker_running(w);
    uint64_t rss = worker_rss(w);
    msgpack_pack_map(pk, 15);
    wire_pack_key_u64(pk, "id", w->number);
    wire_pack_key_text(pk, "pool", w->pool->name);
    wire_pack_key_i64(pk, "pid", w->pid);
    /* Busy is who has claimed a task: one that lies in its lane may still be taken back. */
    enum core_worker_state state = w->core.state == CORE_WORKER_BUSY && !t ? CORE_WORKER_IDLE : w->core.state;
    wire_pack_key_text(pk, "state", worker_states[state]);
    wire_pack_key_u64(pk, "since_ms", (s->now_ns - w->core.state_ns) / NS_PER_MS);
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
    wire_pack_key_u64(pk, "age_ms", (s->now_ns - w->born_ns) / NS_PER_MS);
    wire_pack_key_u64(pk, "generation", w->generation);
    wire_pack_key_bool(pk, "waiting", w->core.waiting);
    wire_pack_key_bool(pk, "process", w->process);
}

enum rpc_result rpc_workers(struct rpc *r)
{
    struct supervisor *s = r->conn->supervisor;
    struct pool *pool;
    struct worker *w;
    uint32_t n = 0;
    TAILQ_FOREACH (pool, &s->pools, link)
        TAILQ_FOREACH (w, &pool->workers, link)
            n += w->pid != 0;
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    TAILQ_FOREACH (pool, &s->pools, link)
        TAILQ_FOREACH (w, &pool->workers, link)
            if (w->pid != 0)
                pack_worker(&pk, s, w);
    return rpc_end(r);
}

enum rpc_result rpc_stats(struct rpc *r)
{
    struct supervisor *s = r->conn->supervisor;
    struct pool *pool;
    uint64_t queued = 0, running = 0;
    TAILQ_FOREACH (pool, &s->pools, link) {
        struct core_pool_counts counts;
        core_pool_counts(pool->core, &counts);
        queued += counts.queued;
        running += counts.placed;
    }
#define X(name) +1u
    const uint32_t counters = SUPERVISOR_STATS(X), task_counters = SUPERVISOR_TASK_STATS(X);
#undef X
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_map(&pk, counters + 13);
    wire_pack_key_text(&pk, "version", MPOOL_VERSION);
    wire_pack_key_u64(&pk, "pid", (uint64_t)getpid());
    wire_pack_key_text(&pk, "socket", listener_path(s->listener));
    wire_pack_key_u64(&pk, "started_ms", s->start_wall_ms);
    wire_pack_key_u64(&pk, "uptime_ms", (s->now_ns - s->start_ns) / NS_PER_MS);
    wire_pack_key_u64(&pk, "spin_ns", s->spinners.budget_ns);
    wire_pack_key_u64(&pk, "connections", s->shares->used[SHARE_CONNECTIONS]);
    wire_pack_key_u64(&pk, "queued", queued);
    wire_pack_key_u64(&pk, "running", running);
    wire_pack_key_u64(&pk, "attached_bytes", s->shares->used[SHARE_ARGS]);
    wire_pack_key_u64(&pk, "detached_kept", s->shares->used[SHARE_KEPT]);
    wire_pack_key_u64(&pk, "detached_bytes", s->shares->used[SHARE_KEPT_BYTES]);
    wire_pack_text(&pk, "tasks");
    msgpack_pack_map(&pk, task_counters);
#define X(name) wire_pack_key_u64(&pk, #name, s->stats.tasks.name);
    SUPERVISOR_TASK_STATS(X)
#undef X
#define X(name) wire_pack_key_u64(&pk, #name, s->stats.name);
    SUPERVISOR_STATS(X)
#undef X
    return rpc_end(r);
}
