#include "daemon/rpc/request.h"

#include <string.h>
#include <sys/stat.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/descriptors.h"
#include "daemon/conn/conn.h"
#include "daemon/pool/function_index.h"
#include "daemon/pool/pool.h"
#include "daemon/rpc/options.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/job.h"
#include "daemon/task/nested.h"
#include "daemon/task/process.h"
#include "proto/tables.h"
#include "proto/text.h"

static enum rpc_result no_function(struct rpc *r, const char *name, size_t length, const struct pool *in)
{
    struct service *s = r->service;
    struct pool *pool;
    char suggestion[WIRE_SUGGESTION_MAX];
    TAILQ_FOREACH (pool, &s->workers->pools, link) {
        if ((in && in != pool) || !pool_promises(pool, name, length) || pool->failures == 0)
            continue;
        return rpc_fail(r, MPOOL_E_POOL_DOWN, "pool %s cannot load its modules: %s", pool->name,
            pool->error ? pool->error : "it could not be started");
    }
    const char *near = function_index_nearest(s->workers, name, length);
    return rpc_fail(r, MPOOL_E_NO_FUNCTION, "there is no function '%.*s'%s%s%s", WIRE_SHOWN(name, length, 128),
        in ? " in pool " : "", in ? in->name : "", wire_suggestion(near, suggestion));
}

static bool is_loading(const struct pool *pool)
{
    return !pool->current && pool->coming && pool->failures == 0;
}

/* Is the pool still loading the requested function? At start-up the caller waits those milliseconds. */
static bool may_come(const struct pool *pool, const char *name, size_t length)
{
    return is_loading(pool) && pool_promises(pool, name, length);
}

static bool queue_is_full(const struct pool *pool)
{
    struct core_pool_counts counts;
    core_pool_counts(pool->core, &counts);
    return counts.queued >= pool->config->max_queue;
}

/* A full queue is full of others' tasks for a client that has none there: it need not wait until they have run before
 * it may take turns with them. So a queue may exceed its limit by one task a connection. The same holds inside a worker
 * that waits, see check_request(). */
static bool may_exceed(const struct conn *c)
{
    return nested_goes_ahead(c) || !conn_tasks_waits(c);
}

bool rpc_must_wait(struct service *service, const struct conn *c)
{
    const struct pool *pool = c->wait_for;
    (void)service;
    if (c->wait == CONN_WAIT_HANDLER)
        return pool && (is_loading(pool) || (queue_is_full(pool) && !may_exceed(c)));
    return !conn_may_hold(c, c->wait_bytes) && !nested_goes_ahead(c);
}

/* The pool is chosen by the option; otherwise it is the first in the configuration's order that has the function and
 * admits this client. A pool that is still loading keeps its rank, so that the choice does not depend on which one
 * loads faster. → RPC_CONTINUE with q->function; RPC_LATER: wait for such a pool. */
static enum rpc_result find_function(struct rpc *r, struct request *q, const char *name, size_t length)
{
    struct conn *c = r->conn;
    struct service *s = r->service;
    struct pool *chosen = NULL, *pool;
    bool denied = false;
    if (q->options.pool.at) {
        chosen = pool_find(s->workers, q->options.pool.at, q->options.pool.length);
        if (!chosen)
            return rpc_fail(
                r, MPOOL_E_NO_POOL, "there is no pool '%.*s'", (int)q->options.pool.length, q->options.pool.at);
        if (!pool_allows(chosen, c->caller))
            return rpc_fail(r, MPOOL_E_DENIED, "you may not use pool %s", chosen->name);
    }
    TAILQ_FOREACH (pool, &s->workers->pools, link) {
        if (chosen && pool != chosen)
            continue;
        struct function *f = pool_function(pool, name, length);
        bool has = f && f->present, allowed = pool_allows(pool, c->caller);
        denied |= has && !allowed;
        if (!allowed)
            continue;
        if (has) {
            q->function = f;
            return RPC_CONTINUE;
        }
        if (may_come(pool, name, length))
            return conn_wait_handler(c, pool);
    }
    if (denied)
        return rpc_fail(r, MPOOL_E_DENIED, "you may not use a pool that has %.*s", WIRE_SHOWN(name, length, 128));
    return no_function(r, name, length, chosen);
}

static int pass_param(struct rpc *r)
{
    const uint8_t *bytes;
    size_t length;
    return wire_peek(&r->params) == WIRE_TYPE_ARRAY ? rpc_read_array(r, &bytes, &length) : wire_skip(&r->params);
}

/* Does the request name this option, whatever else is wrong with it? Then it consumes one of the descriptors. */
static bool brings(const struct rpc *r, const char *option)
{
    struct rpc ahead = *r;
    struct wire_reader in;
    uint32_t pairs;
    if (r->count < 3 || pass_param(&ahead) < 0 || pass_param(&ahead) < 0)
        return false;
    in = ahead.params;
    if (wire_read_map(&in, &pairs) < 0)
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length;
        if (wire_read_text(&in, &key, &length) == 0) {
            bool off;
            struct wire_reader value = in;
            if (length == strlen(option) && memcmp(key, option, length) == 0)
                return wire_read_nil(&in) < 0 && !(wire_read_bool(&value, &off) == 0 && !off);
        } else if (wire_skip(&in) < 0) {
            return false;
        }
        if (wire_skip(&in) < 0)
            return false;
    }
    return false;
}

static enum rpc_result check_memfd(struct rpc *r, const struct request *q)
{
    if (!q->args)
        return rpc_check_memfd(r, "args_memfd", q->args_fd, q->options.args_memfd) ? RPC_CONTINUE : RPC_ANSWERED;
    return rpc_fail(r, MPOOL_E_BAD_PARAMS, "args_memfd: the arguments must be nil, as they come in the memfd");
}

/* Arguments that are too large for a lane are passed to the worker in a memfd. They are copied into it step by step;
 * the request is offered again for each step. */
static enum rpc_result copy_args(struct rpc *r, unsigned method, struct request *q)
{
    struct conn *c = r->conn;
    int error = 0;
    if (q->args_fd >= 0 || q->args_length <= LANE_BLOCK_MAX)
        return RPC_CONTINUE;
    if (!memfd_fill_is_on(&c->args))
        error = memfd_fill_begin(&c->args, "mpool-args");
    if (error == 0 && c->args.size == 0 &&
        !descriptors_allow(r->service->connections->descriptors, c->args.fd, DESCRIPTOR_PASSING)) {
        memfd_fill_drop(&c->args);
        if (method == OPTION_CALL)
            return conn_wait_descriptor(c);
        return rpc_fail(r, MPOOL_E_BUSY, "the daemon has no room for more descriptors");
    }
    size_t left = error < 0 ? 0 : q->args_length - (size_t)c->args.size;
    if (error == 0)
        error = memfd_fill_add(&c->args, q->args + c->args.size, left < STEP_BYTES ? left : STEP_BYTES);
    if (error == 0 && left > STEP_BYTES) {
        loop_defer(r->service->loop);
        return conn_wait_turn(c);
    }
    if (error == 0)
        error = q->args_fd = memfd_fill_end(&c->args);
    if (error < 0)
        return rpc_fail(r, MPOOL_E_INTERNAL, "cannot keep the arguments: %s", strerror(-error));
    q->options.args_memfd = q->args_length;
    return RPC_CONTINUE;
}

/* Any kind of file is accepted, as reading it can only block the command itself; but not a socket, because closing one
 * may take as long as its owner likes. */
static enum rpc_result check_stdin(struct rpc *r, const struct request *q)
{
    struct stat st;
    if (q->stdin_fd == -EMFILE)
        return rpc_fail(r, MPOOL_E_BUSY, "stdin: the daemon has no descriptor left");
    if (q->stdin_fd < 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "stdin: no descriptor came with the request");
    if (fstat(q->stdin_fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "stdin: neither a pipe nor a file nor a character device");
    return RPC_CONTINUE;
}

/* The wall clock is looked at once, here: setting it later changes nothing for tasks that wait already. */
static uint64_t at_wall(const struct loop *loop, uint64_t at_ms)
{
    return at_ms > loop->wall_ms ? loop->now_ns + (at_ms - loop->wall_ms) * NS_PER_MS : loop->now_ns;
}

/* The latest start and the earliest deadline count. The time in the queue begins with the start. */
static void set_times(const struct loop *loop, struct task_options *o)
{
    uint64_t start_ns = o->delay_ms ? loop->now_ns + o->delay_ms * NS_PER_MS : 0;
    uint64_t at_ns = o->start_at_ms ? at_wall(loop, o->start_at_ms) : 0;
    o->start_ns = at_ns > start_ns ? at_ns : start_ns;
    if (o->expires_at_ms)
        o->expires_ns = at_wall(loop, o->expires_at_ms);
    if (!o->queue_timeout_ms)
        return;
    at_ns = (o->start_ns ? o->start_ns : loop->now_ns) + o->queue_timeout_ms * NS_PER_MS;
    if (o->expires_ns == 0 || at_ns < o->expires_ns)
        o->expires_ns = at_ns;
}

/* Reads the parameters, each checked by itself. */
static enum rpc_result read_params(
    struct rpc *r, unsigned method, struct request *q, const char **ret_name, size_t *ret_length)
{
    char why[REQUEST_WHY_MAX];
    if (wire_read_text(&r->params, ret_name, ret_length) < 0)
        return rpc_wrong_type(r, "function", "a string such as \"math.square\"");
    bool no_items = r->count > 1 && wire_read_nil(&r->params) == 0;
    if (r->count > 1 && !no_items && rpc_read_array(r, &q->args, &q->args_length) < 0)
        return rpc_wrong_type(r, method == OPTION_MAP ? "items" : "args", "an array");
    q->options = TASK_OPTIONS_DEFAULT;
    if (r->count > 2 && options_read(&r->params, method, &q->options, why, sizeof why) < 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s", why);
    set_times(r->service->loop, &q->options);
    if (method == OPTION_MAP && no_items && !q->options.args_memfd)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "items: expected an array, got nil");
    return RPC_CONTINUE;
}

/* May a request for this function be accepted now? */
static enum rpc_result admit(struct rpc *r, unsigned method, struct pool *pool)
{
    char why[REQUEST_WHY_MAX];
    bool waits = method == OPTION_CALL || method == OPTION_MAP;
    if (core_pool_is_down(method == OPTION_SPAWN ? pool->processes : pool->core, r->service->loop->now_ns)) {
        pool_down_text(pool, why, sizeof why);
        return rpc_fail(r, MPOOL_E_POOL_DOWN, "%s", why);
    }
    if (waits && !r->no_reply && !nested_may_wait(r->conn, why, sizeof why))
        return rpc_fail(r, MPOOL_E_BUSY, "%s", why);
    if (method == OPTION_SPAWN) {
        enum mpool_error error = process_has_room(r->conn, pool, why, sizeof why);
        return error == MPOOL_ERROR_NONE ? RPC_CONTINUE : rpc_fail(r, error, "%s", why);
    }
    if (!queue_is_full(pool) || (waits && may_exceed(r->conn)))
        return RPC_CONTINUE;
    if (method == OPTION_SUBMIT)
        return rpc_fail(
            r, MPOOL_E_BUSY, "the queue of pool %s is full (max_queue = %u)", pool->name, pool->config->max_queue);
    return conn_wait_handler(r->conn, pool);
}

static enum rpc_result check_request(struct rpc *r, unsigned method, struct request *q)
{
    const char *name;
    size_t length;
    enum rpc_result result = read_params(r, method, q, &name, &length);
    if (result != RPC_CONTINUE)
        return result;
    if (r->service->loop->stopping)
        return rpc_fail(r, MPOOL_E_STOPPING, "the daemon is stopping");
    if ((result = find_function(r, q, name, length)) != RPC_CONTINUE)
        return result;
    if ((result = admit(r, method, q->function->pool)) != RPC_CONTINUE)
        return result;
    if (q->options.args_memfd && (result = check_memfd(r, q)) != RPC_CONTINUE)
        return result;
    if (q->options.has_stdin && (result = check_stdin(r, q)) != RPC_CONTINUE)
        return result;
    /* A request from inside a waiting worker bypasses the queue limit for one of the worker's tasks, as those ahead of
     * it may wait for this very worker. Its other tasks are queued normally. */
    bool waits = method == OPTION_CALL || method == OPTION_MAP;
    uint64_t bytes = q->options.args_memfd ? q->options.args_memfd : q->args_length;
    if (waits && !nested_goes_ahead(r->conn) && !conn_may_hold(r->conn, bytes))
        return conn_wait_bytes(r->conn, bytes);
    return method == OPTION_MAP ? RPC_CONTINUE : copy_args(r, method, q);
}

/* Puts the descriptor back in front of the others, where the request will find it when it is offered again. */
static void put_back(struct conn *c, int fd)
{
    if (fd != -ENOENT)
        conn_return_fd(c, fd < 0 ? -1 : fd);
}

/* The same, including the descriptors that came with the request: they are in q if it is valid, back in front of the
 * others if it will be offered again, and otherwise closed, so that the next request does not get them. */
enum rpc_result request_read(struct rpc *r, unsigned method, struct request *q)
{
    struct conn *c = r->conn;
    *q = (struct request){.args_fd = -ENOENT, .stdin_fd = -ENOENT};
    if ((c->fd_count > 0 || c->fds_lost) && brings(r, "args_memfd"))
        q->args_fd = conn_take_fd(c);
    if ((c->fd_count > 0 || c->fds_lost) && method == OPTION_CALL && brings(r, "stdin"))
        q->stdin_fd = conn_take_fd(c);
    enum rpc_result result = check_request(r, method, q);
    if (result == RPC_CONTINUE)
        return result;
    if (result == RPC_LATER) {
        put_back(c, q->stdin_fd);
        put_back(c, q->args_fd);
    } else {
        memfd_fill_drop(&c->args);
        fd_close(&q->args_fd);
        fd_close(&q->stdin_fd);
    }
    return result;
}

enum rpc_result request_read_job(struct rpc *r, unsigned method, struct request *q)
{
    const struct config *config = r->service->config;
    uint64_t most_ms =
        config->result_ttl_ms > config->max_result_ttl_ms ? config->result_ttl_ms : config->max_result_ttl_ms;
    enum rpc_result result = request_read(r, method, q);
    if (result != RPC_CONTINUE)
        return result;
    bool brief = q->options.ttl_s * 1000 <= most_ms;
    if (brief && job_has_room(r->conn, q->options.args_memfd ? q->options.args_memfd : q->args_length))
        return result;
    fd_close(&q->args_fd);
    if (!brief)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "option ttl_s: expected at most %llu (max_result_ttl), got %llu",
            (unsigned long long)most_ms / 1000, (unsigned long long)q->options.ttl_s);
    return rpc_fail(r, MPOOL_E_BUSY,
        "the daemon keeps all the tasks it may, or you have your part of them (max_kept = %u, max_kept_bytes = %llu, "
        "max_user_share = %u): forget some, or wait until their time is over",
        config->max_kept, (unsigned long long)config->max_kept_bytes, config->max_user_share);
}
