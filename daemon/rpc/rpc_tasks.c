/* The methods that create tasks: call, map, submit, spawn. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/peer.h"
#include "daemon/pool/pool.h"
#include "daemon/rpc/options.h"
#include "daemon/rpc/request.h"
#include "daemon/task/call.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/job.h"
#include "daemon/task/map.h"
#include "daemon/task/process.h"
#include "proto/text.h"

static const uint8_t no_args[] = {0x90};

static struct task *make_task(struct rpc *r, struct request *q, const struct task_ops *ops)
{
    struct service *s = r->service;
    int error = -ENOMEM;
    bool given = q->args_fd >= 0;
    const uint8_t *args = q->args ? q->args : no_args;
    uint64_t length = given ? q->options.args_memfd : q->args ? q->args_length : sizeof no_args;
    struct core_flow *flow = conn_tasks_flow(r->conn, q->function->pool->core, q->options.priority);
    if (!flow) {
        fd_close(&q->args_fd);
        rpc_fail(r, MPOOL_E_INTERNAL, "out of memory");
        return NULL;
    }
    struct task *t =
        task_new(s->tasks, r->conn->caller, q->function, ops, &q->options, args, length, TAKE_FD(q->args_fd), &error);
    if (!t && error == -EBADMSG)
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "args_memfd: it does not hold one whole MessagePack value");
    else if (!t)
        rpc_fail(r, MPOOL_E_INTERNAL, "cannot keep the arguments: %s", strerror(-error));
    if (t)
        t->core.flow = flow;
    else
        core_flow_unref(flow);
    return t;
}

enum rpc_result rpc_call(struct rpc *r)
{
    struct request q;
    struct tasks *tasks = r->service->tasks;
    enum rpc_result result = request_read(r, OPTION_CALL, &q);
    if (result != RPC_CONTINUE)
        return result;
    struct task *t = make_task(r, &q, &call_ops);
    if (!t) {
        fd_close(&q.stdin_fd);
        return RPC_ANSWERED;
    }
    const struct option_text *name = &q.options.name;
    if (!call_begin(t, r->conn, r->msgid, r->no_reply, name->at ? wire_label(name->at, name->length) : NULL,
            TAKE_FD(q.stdin_fd))) {
        task_free(tasks, t);
        return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory");
    }
    task_submit(tasks, t, r->conn, false);
    return RPC_ANSWERED;
}

enum rpc_result rpc_submit(struct rpc *r)
{
    struct request q;
    struct conn *c = r->conn;
    struct service *s = r->service;
    enum rpc_result result = request_read_job(r, OPTION_SUBMIT, &q);
    if (result != RPC_CONTINUE)
        return result;
    struct task *t = make_task(r, &q, &job_ops);
    if (!t)
        return RPC_ANSWERED;
    t->id = s->tasks->next_id++;
    t->job = job_new(c, t, &q.options);
    if (!t->job) {
        task_free(s->tasks, t);
        return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory");
    }
    uint64_t id = t->id;
    task_submit(s->tasks, t, NULL, false);
    return rpc_answer_u64(r, id);
}

enum rpc_result rpc_spawn(struct rpc *r)
{
    struct request q;
    struct conn *c = r->conn;
    struct service *s = r->service;
    enum rpc_result result = request_read_job(r, OPTION_SPAWN, &q);
    if (result != RPC_CONTINUE)
        return result;
    int error = q.options.daemonic ? peer_watch(c) : 0;
    if (error < 0) {
        fd_close(&q.args_fd);
        return rpc_fail(r, error == -ESRCH ? MPOOL_E_DENIED : MPOOL_E_BUSY,
            "daemonic: the process that connected (pid %d) cannot be watched: %s", (int)c->pid, strerror(-error));
    }
    struct task *t = make_task(r, &q, &job_ops);
    if (!t)
        return RPC_ANSWERED;
    t->id = s->tasks->next_id++;
    t->job = job_new(c, t, &q.options);
    if (!t->job || process_new(t->job, c, &q.options) < 0) {
        if (t->job)
            job_free(s->tasks, t->job);
        task_free(s->tasks, t);
        return rpc_fail(r, MPOOL_E_INTERNAL, "out of memory");
    }
    job_wait(t->job, c, r->msgid, r->no_reply, WAITER_START, UINT64_MAX);
    task_submit(s->tasks, t, NULL, false);
    return RPC_ANSWERED;
}

/* The items of a map: the elements of an array, in the message or in a memfd. */
enum rpc_result rpc_map(struct rpc *r)
{
    struct request q;
    struct conn *c = r->conn;
    enum rpc_result result = request_read(r, OPTION_MAP, &q);
    if (result != RPC_CONTINUE)
        return result;
    void *mapping = NULL;
    size_t mapping_length = 0;
    if (q.args_fd >= 0) {
        mapping_length = (size_t)q.options.args_memfd;
        mapping = mmap(NULL, mapping_length, PROT_READ, MAP_PRIVATE, q.args_fd, 0);
        int error = errno;
        fd_close(&q.args_fd);
        if (mapping == MAP_FAILED)
            return rpc_fail(r, MPOOL_E_INTERNAL, "cannot map the items: %s", strerror(error));
        q.args = mapping;
        q.args_length = mapping_length;
    }
    struct wire_reader in = wire_reader(q.args ? q.args : no_args, q.args ? q.args_length : sizeof no_args);
    uint32_t count;
    if (wire_read_array(&in, &count) < 0) {
        if (mapping)
            munmap(mapping, mapping_length);
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "items: expected an array");
    }
    int error = map_start(c, r->msgid, r->no_reply, q.function, &q.options, in.at, (size_t)(in.end - in.at), count,
        mapping, mapping_length);
    return error < 0 ? rpc_fail(r, MPOOL_E_INTERNAL, "cannot keep the items: %s", strerror(-error)) : RPC_ANSWERED;
}
