#include "daemon/rpc/rpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/packet.h"
#include "daemon/conn/conn.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/descent.h"
#include "daemon/task/map.h"
#include "daemon/task/nested.h"
#include "proto/tables.h"
#include "proto/text.h"

static rpc_method *const handlers[MPOOL_METHOD_COUNT] = {
    [MPOOL_METHOD_HELLO] = rpc_hello,
    [MPOOL_METHOD_PING] = rpc_ping,
    [MPOOL_METHOD_CALL] = rpc_call,
    [MPOOL_METHOD_MAP] = rpc_map,
    [MPOOL_METHOD_SUBMIT] = rpc_submit,
    [MPOOL_METHOD_SPAWN] = rpc_spawn,
    [MPOOL_METHOD_SIGNAL] = rpc_signal,
    [MPOOL_METHOD_WAIT] = rpc_wait,
    [MPOOL_METHOD_RESULT] = rpc_result,
    [MPOOL_METHOD_STATUS] = rpc_status,
    [MPOOL_METHOD_CANCEL] = rpc_cancel,
    [MPOOL_METHOD_FORGET] = rpc_forget,
    [MPOOL_METHOD_LIST] = rpc_list,
    [MPOOL_METHOD_FUNCTIONS] = rpc_functions,
    [MPOOL_METHOD_POOLS] = rpc_pools,
    [MPOOL_METHOD_WORKERS] = rpc_workers,
    [MPOOL_METHOD_PAUSE] = rpc_pause,
    [MPOOL_METHOD_RESUME] = rpc_resume,
    [MPOOL_METHOD_STATS] = rpc_stats,
    [MPOOL_METHOD_OPEN] = rpc_open,
    [MPOOL_METHOD_CLOSE] = rpc_close,
    [MPOOL_METHOD_REMOVE] = rpc_remove,
    [MPOOL_METHOD_OBJECTS] = rpc_objects,
    [MPOOL_METHOD_INSPECT] = rpc_inspect,
    [MPOOL_METHOD_PUT] = rpc_put,
    [MPOOL_METHOD_GET] = rpc_get,
    [MPOOL_METHOD_CONFIRM] = rpc_confirm,
    [MPOOL_METHOD_DONE] = rpc_done,
    [MPOOL_METHOD_JOIN] = rpc_join,
    [MPOOL_METHOD_FINISH] = rpc_finish,
};

/* Available to everybody. */
static const bool needs_no_rights[MPOOL_METHOD_COUNT] = {
    [MPOOL_METHOD_HELLO] = true,
    [MPOOL_METHOD_PING] = true,
};

/* These methods iterate over everything. */
static const bool takes_long[MPOOL_METHOD_COUNT] = {
    [MPOOL_METHOD_LIST] = true,
    [MPOOL_METHOD_FUNCTIONS] = true,
    [MPOOL_METHOD_POOLS] = true,
    [MPOOL_METHOD_WORKERS] = true,
    [MPOOL_METHOD_STATS] = true,
    [MPOOL_METHOD_OBJECTS] = true,
};

enum rpc_result rpc_fail(struct rpc *r, enum mpool_error error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (r->no_reply)
        conn_replied(r->conn);
    else
        conn_vreply_error(r->conn, r->msgid, error, format, ap);
    va_end(ap);
    return RPC_ANSWERED;
}

int rpc_read_array(struct rpc *r, const uint8_t **ret, size_t *ret_length)
{
    const uint8_t *end = r->message->first_end;
    if (wire_peek(&r->params) != WIRE_TYPE_ARRAY)
        return -EBADMSG;
    if (!end || r->params.at >= end) /* the end is only known for the first container */
        return wire_read_raw(&r->params, ret, ret_length);
    *ret = r->params.at;
    *ret_length = (size_t)(end - r->params.at);
    r->params.at = end;
    return 0;
}

bool rpc_check_memfd(struct rpc *r, const char *name, int fd, uint64_t size)
{
    const struct config *config = r->service->config;
    int error = 0;
    if (fd == -EMFILE)
        rpc_fail(r, MPOOL_E_BUSY, "%s: the daemon has no room for more descriptors", name);
    else if (fd < 0)
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s: no descriptor came with the request", name);
    else if (size > config->max_payload)
        rpc_fail(r, MPOOL_E_TOO_BIG, "%s: %llu bytes are more than %llu (max_payload)", name, (unsigned long long)size,
            (unsigned long long)config->max_payload);
    else if ((error = memfd_check(fd, size)) < 0)
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s: %s", name,
            error == -EPERM      ? "it is not sealed against shrinking, growing and writing"
            : error == -EMSGSIZE ? "its size is not the announced one"
            : error == -EINVAL   ? "it is not a memfd"
                                 : strerror(-error));
    else
        return true;
    return false;
}

enum rpc_result rpc_wrong_type(struct rpc *r, const char *name, const char *expected)
{
    char got[WIRE_DESCRIBED_MAX];
    wire_describe(&r->params, got);
    return rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s: expected %s, got %s", name, expected, got);
}

bool rpc_read_u64(struct rpc *r, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
    char expected[96];
    struct wire_reader before = r->params;
    if (wire_read_u64(&r->params, ret) == 0 && *ret >= min && *ret <= max)
        return true;
    if (max == UINT64_MAX)
        snprintf(expected, sizeof expected, "an integer, %llu or more", (unsigned long long)min);
    else
        snprintf(expected, sizeof expected, "an integer from %llu to %llu", (unsigned long long)min,
            (unsigned long long)max);
    r->params = before;
    rpc_wrong_type(r, name, expected);
    return false;
}

msgpack_packer rpc_begin(struct rpc *r)
{
    r->mark = wire_buf_mark(&r->conn->out);
    wire_put_result(&r->conn->out, r->msgid);
    return wire_packer(&r->conn->out);
}

enum rpc_result rpc_end(struct rpc *r)
{
    struct wire_buf *out = &r->conn->out;
    bool failed = out->failed;
    if (r->no_reply || failed)
        wire_buf_rewind(out, r->mark);
    if (failed)
        return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory for the reply");
    conn_replied(r->conn);
    return RPC_ANSWERED;
}

static enum rpc_result unknown(struct rpc *r)
{
    const char *names[MPOOL_METHOD_COUNT];
    char suggestion[WIRE_SUGGESTION_MAX];
    size_t length = r->message->method_length;
    for (int i = 0; i < MPOOL_METHOD_COUNT; i++)
        names[i] = wire_method_info((enum mpool_method)i)->name;
    const char *near = wire_nearest(r->message->method, length, names, MPOOL_METHOD_COUNT);
    return rpc_fail(r, MPOOL_E_NO_METHOD, "there is no method '%.*s'%s", WIRE_SHOWN(r->message->method, length, 64),
        wire_suggestion(near, suggestion));
}

enum rpc_result rpc_answer_bool(struct rpc *r, bool value)
{
    msgpack_packer pk = rpc_begin(r);
    if (value)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
    return rpc_end(r);
}

enum rpc_result rpc_answer_u64(struct rpc *r, uint64_t value)
{
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_uint64(&pk, value);
    return rpc_end(r);
}

static enum rpc_result handle(struct service *service, struct conn *c, const struct wire_message *m)
{
    struct rpc r = {
        .service = service,
        .conn = c,
        .message = m,
        .params = wire_reader(m->params, m->params_length),
        .count = m->params_count,
        .msgid = m->msgid,
        .no_reply = m->kind == WIRE_NOTIFICATION,
    };
    enum rpc_result result = RPC_CONTINUE;
    char why[200];
    int method = wire_method_find(m->method, m->method_length);
    c->in_flight++;
    if (method < 0) {
        result = unknown(&r);
    } else {
        const struct wire_method_info *info = wire_method_info((enum mpool_method)method);
        if (r.count < info->min_params || r.count > info->max_params)
            result = rpc_fail(&r, MPOOL_E_BAD_PARAMS, "%s takes (%s): %u to %u parameters, got %u", info->name,
                info->params, info->min_params, info->max_params, r.count);
        else if (c->tasks->kin &&
                 (result = descent_admits(c, needs_no_rights[method], why, sizeof why)) == RPC_ANSWERED)
            rpc_fail(&r, MPOOL_E_DENIED, "%s", why);
        if (result == RPC_CONTINUE)
            result = handlers[method](&r);
    }
    if (result == RPC_LATER) {
        c->in_flight--;
        return RPC_LATER;
    }
    r.service->loop->stats.requests++;
    return method >= 0 && takes_long[method] ? RPC_LONG : result;
}

static int open_conn(struct service *service, struct conn *c)
{
    return conn_tasks_new(service->tasks, c);
}

const struct conn_handler rpc_conn_handler = {
    .open = open_conn,
    .identify = descent_settle,
    .message = handle,
    .must_wait = rpc_must_wait,
    .idle = nested_answered,
    .has_room = maps_go_on,
};
