/* The method for processes only: signal. They are started in rpc_tasks.c, as spawn takes the same parameters as call.
 */
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "daemon/conn/conn.h"
#include "daemon/pool/worker.h"
#include "daemon/rpc/rpc.h"
#include "daemon/task/job.h"
#include "daemon/task/process.h"
#include "proto/signal_number.h"

int rpc_read_signal(struct wire_reader *in)
{
    const char *name;
    size_t length;
    uint64_t number;
    if (wire_read_u64(in, &number) == 0)
        return number < NSIG ? (int)number : 0;
    return wire_read_text(in, &name, &length) < 0 ? 0 : signal_number(name, length);
}

/* Signals that terminate a process by default, and are sent for that purpose. */
static bool ends(int number)
{
    return number == SIGTERM || number == SIGKILL || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

enum rpc_result rpc_signal(struct rpc *r)
{
    struct service *s = r->service;
    uint64_t id;
    if (!rpc_read_u64(r, "id", 0, UINT64_MAX, &id))
        return RPC_ANSWERED;
    int number = rpc_read_signal(&r->params);
    if (number == 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "signal: expected a name such as \"TERM\", or a number");
    struct job *job = rpc_find_job(r, id);
    if (!job)
        return RPC_ANSWERED;
    struct process *p = job->process;
    if (!p)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "task %llu is not a process: cancel stops it", (unsigned long long)id);
    struct task *t = job->task;
    struct worker *w = t && t->core.worker ? worker_of(t->core.worker) : NULL;
    int error = 0;
    if (w) {
        error = worker_signal(w, number);
    } else if (t && ends(number)) {
        /* It has not started yet: then it never will. */
        p->early_signal = number;
        core_cancel(&t->core, CORE_WHY_CANCEL, s->loop->now_ns);
    } else if (t) {
        return rpc_fail(r, MPOOL_E_NOT_READY, "process %llu does not run just now", (unsigned long long)id);
    }
    if (error < 0)
        return rpc_fail(r, MPOOL_E_INTERNAL, "process %llu cannot be sent SIG%s: %s", (unsigned long long)id,
            sigabbrev_np(number) ? sigabbrev_np(number) : "?", strerror(-error));
    return rpc_answer_bool(r, t != NULL);
}
