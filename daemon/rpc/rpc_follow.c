/* The methods that follow tasks: wait, result, status, cancel, forget. */
#include <signal.h>
#include <string.h>

#include "daemon/conn/caller.h"
#include "daemon/conn/conn.h"
#include "daemon/object/queue_wait.h"
#include "daemon/rpc/request.h"
#include "daemon/rpc/rpc.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/job.h"
#include "daemon/task/map.h"
#include "daemon/task/nested.h"
#include "daemon/task/status.h"

static enum rpc_result no_task(struct rpc *r, uint64_t id)
{
    struct service *s = r->service;
    if (id < s->tasks->first_id && id >= TASK_ID_OLDEST)
        return rpc_fail(r, MPOOL_E_NO_TASK,
            "there is no task %llu; if it was of an earlier run, it went with that: tasks are kept in memory only",
            (unsigned long long)id);
    if (id >= s->tasks->first_id && id < s->tasks->next_id)
        return rpc_fail(r, MPOOL_E_NO_TASK, "the result of task %llu is gone: its time is over, or it was forgotten",
            (unsigned long long)id);
    return rpc_fail(r, MPOOL_E_NO_TASK, "there is no task %llu", (unsigned long long)id);
}

static bool may_touch(const struct conn *c, uid_t uid)
{
    return c->uid == uid || conn_is_admin(c);
}

static void another_users(struct rpc *r, uint64_t id)
{
    rpc_fail(r, MPOOL_E_DENIED, "task %llu is another user's", (unsigned long long)id);
}

struct job *rpc_find_job(struct rpc *r, uint64_t id)
{
    struct job *job = job_find(r->service->tasks, id);
    if (!job) {
        no_task(r, id);
        return NULL;
    }
    if (!may_touch(r->conn, job->uid)) {
        another_users(r, id);
        return NULL;
    }
    return job;
}

/* A call or a map of this client's that is waited for. → false: answered; else one of the two is set. */
static bool find_attached(struct rpc *r, uint64_t id, struct task **ret_call, struct map **ret_map)
{
    const struct service *s = r->service;
    struct task *t =
        attached_find(&s->tasks->attached_calls, id, offsetof(struct task, call.by_id), offsetof(struct task, id));
    struct map *m =
        t ? NULL : attached_find(&s->tasks->attached_maps, id, offsetof(struct map, by_id), offsetof(struct map, id));
    if (!t && (!m || m->ended)) {
        no_task(r, id);
        return false;
    }
    if (!may_touch(r->conn, t ? t->caller->uid : m->caller->uid)) {
        another_users(r, id);
        return false;
    }
    *ret_call = t;
    *ret_map = m;
    return true;
}

static enum rpc_result wait_for(struct rpc *r, enum waiter_kind kind, uint64_t timeout_ms)
{
    uint64_t id;
    if (!rpc_read_u64(r, "id", 0, UINT64_MAX, &id))
        return RPC_ANSWERED;
    if (r->count > 1 && wire_read_nil(&r->params) < 0 &&
        !rpc_read_u64(r, "timeout_ms", 0, RPC_TIMEOUT_MAX_MS, &timeout_ms))
        return RPC_ANSWERED;
    struct job *job = rpc_find_job(r, id);
    if (!job)
        return RPC_ANSWERED;
    if (job->task && timeout_ms > 0) {
        char why[REQUEST_WHY_MAX];
        if (!r->no_reply && !nested_may_wait(r->conn, why, sizeof why))
            return rpc_fail(r, MPOOL_E_BUSY, "%s", why);
        nested_adopt(r->conn, job->task);
    }
    job_wait(job, r->conn, r->msgid, r->no_reply, kind, timeout_ms);
    return RPC_ANSWERED;
}

enum rpc_result rpc_wait(struct rpc *r)
{
    return wait_for(r, WAITER_STATUS, UINT64_MAX);
}

enum rpc_result rpc_result(struct rpc *r)
{
    return wait_for(r, WAITER_RESULT, 0);
}

enum rpc_result rpc_status(struct rpc *r)
{
    uint64_t id;
    if (!rpc_read_u64(r, "id", 0, UINT64_MAX, &id))
        return RPC_ANSWERED;
    if (id < TASK_ID_ATTACHED) {
        struct job *job = rpc_find_job(r, id);
        if (!job)
            return RPC_ANSWERED;
        msgpack_packer pk = rpc_begin(r);
        status_pack_job(&pk, job);
        return rpc_end(r);
    }
    struct task *t;
    struct map *m;
    if (!find_attached(r, id, &t, &m))
        return RPC_ANSWERED;
    msgpack_packer pk = rpc_begin(r);
    if (t)
        status_pack_call(&pk, t);
    else
        status_pack_map(&pk, m);
    return rpc_end(r);
}

/* The signal that is to end what a cancelled function runs, from the options of a cancel. *ret: 0 without.
 * → false: answered. */
static bool read_cancel_signal(struct rpc *r, uint8_t *ret)
{
    static const int allowed[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    uint32_t pairs = 0;
    const char *key;
    size_t length;
    *ret = 0;
    if (r->count < 2 || wire_read_nil(&r->params) == 0)
        return true;
    bool ok = wire_read_map(&r->params, &pairs) == 0 ||
              (wire_peek(&r->params) == WIRE_TYPE_ARRAY && wire_read_array(&r->params, &pairs) == 0 && pairs == 0);
    for (; ok && pairs > 0; pairs--) {
        ok = wire_read_text(&r->params, &key, &length) == 0 && length == 6 && memcmp(key, "signal", 6) == 0;
        if (!ok || wire_read_nil(&r->params) == 0)
            continue;
        int number = rpc_read_signal(&r->params);
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
            *ret = number == allowed[i] ? (uint8_t)number : *ret;
        ok = *ret == number && number > 0;
    }
    if (!ok)
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "options: expected {\"signal\": \"HUP\", \"INT\", \"QUIT\" or \"TERM\"}");
    return ok;
}

static void cancel_task(struct service *s, struct task *t, uint8_t signal)
{
    if (t->core.stop == CORE_WHY_RESULT)
        t->core.cancel_signal = signal;
    core_cancel(&t->core, CORE_WHY_CANCEL, s->loop->now_ns);
}

/* {"msgid": n}: a request of this very connection that has not been answered. */
static enum rpc_result cancel_own(struct rpc *r)
{
    struct service *s = r->service;
    uint32_t pairs;
    const char *key;
    size_t length;
    uint64_t msgid;
    uint8_t signal;
    if (wire_read_map(&r->params, &pairs) < 0 || pairs != 1 || wire_read_text(&r->params, &key, &length) < 0 ||
        length != 5 || memcmp(key, "msgid", 5) != 0 || wire_read_u64(&r->params, &msgid) < 0 || msgid > UINT32_MAX)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "expected a task's id, or a map {\"msgid\": number}");
    if (!read_cancel_signal(r, &signal))
        return RPC_ANSWERED;
    struct map *m = map_find(r->conn, (uint32_t)msgid);
    struct task *t = m ? NULL : call_table_find(&r->conn->tasks->calls, (uint32_t)msgid);
    if (m)
        map_cancel(m, signal);
    if (t)
        cancel_task(s, t, signal);
    bool found = m || t || queue_wait_cancel(r->conn, (uint32_t)msgid) || job_wait_cancel(r->conn, (uint32_t)msgid);
    return rpc_answer_bool(r, found);
}

enum rpc_result rpc_cancel(struct rpc *r)
{
    struct service *s = r->service;
    uint64_t id;
    uint8_t signal;
    if (wire_peek(&r->params) == WIRE_TYPE_MAP)
        return cancel_own(r);
    if (!rpc_read_u64(r, "id", 0, UINT64_MAX, &id) || !read_cancel_signal(r, &signal))
        return RPC_ANSWERED;
    if (id < TASK_ID_ATTACHED) {
        struct job *job = rpc_find_job(r, id);
        if (!job)
            return RPC_ANSWERED;
        bool live = job->task != NULL;
        if (live)
            cancel_task(s, job->task, signal);
        return rpc_answer_bool(r, live);
    }
    struct task *t;
    struct map *m;
    if (!find_attached(r, id, &t, &m))
        return RPC_ANSWERED;
    if (t)
        cancel_task(s, t, signal);
    else
        map_cancel(m, signal);
    return rpc_answer_bool(r, true);
}

enum rpc_result rpc_forget(struct rpc *r)
{
    uint64_t id;
    if (!rpc_read_u64(r, "id", 0, UINT64_MAX, &id))
        return RPC_ANSWERED;
    struct job *job = rpc_find_job(r, id);
    return job ? rpc_answer_bool(r, job_forget(r->service->tasks, job)) : RPC_ANSWERED;
}
