/* The methods that pause and resume pools and functions. */
#include "daemon/conn/conn.h"
#include "daemon/pool/pool.h"
#include "daemon/rpc/rpc.h"
#include "proto/text.h"

static enum rpc_result set_paused(struct rpc *r, bool paused)
{
    const struct service *s = r->service;
    const char *pool_name, *name;
    size_t pool_length, length;
    if (wire_read_text(&r->params, &pool_name, &pool_length) < 0)
        return rpc_wrong_type(r, "pool", "a string");
    bool of_function = r->count > 1 && wire_read_nil(&r->params) < 0;
    if (of_function && wire_read_text(&r->params, &name, &length) < 0)
        return rpc_wrong_type(r, "function", "a string such as \"math.square\"");
    if (!conn_is_admin(r->conn))
        return rpc_fail(r, MPOOL_E_DENIED, "only administrators may pause and resume");
    struct pool *pool = pool_find(s->workers, pool_name, pool_length);
    if (!pool)
        return rpc_fail(r, MPOOL_E_NO_POOL, "there is no pool '%.*s'", WIRE_SHOWN(pool_name, pool_length, 64));
    if (!of_function) {
        bool changes = core_pool_is_paused(pool->core) != paused;
        core_pool_pause(pool->core, paused, s->loop->now_ns);
        return rpc_answer_bool(r, changes);
    }
    struct function *f = pool_function(pool, name, length);
    if (!f || !f->present)
        return rpc_fail(r, MPOOL_E_NO_FUNCTION, "there is no function '%.*s' in pool %s", WIRE_SHOWN(name, length, 128),
            pool->name);
    bool changes = f->core.paused != paused;
    core_function_pause(pool->core, &f->core, paused, s->loop->now_ns);
    return rpc_answer_bool(r, changes);
}

enum rpc_result rpc_pause(struct rpc *r)
{
    return set_paused(r, true);
}

enum rpc_result rpc_resume(struct rpc *r)
{
    return set_paused(r, false);
}
