#include "daemon/pool/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/forkserver.h"
#include "daemon/pool/worker_private.h"
#include "daemon/pool/workers.h"
#include "proto/buf.h"
#include "proto/message.h"
#include "proto/tables.h"

void worker_set_busy(struct worker *w, bool busy)
{
    struct workers *workers = w->workers;
    if (busy == w->in_busy)
        return;
    w->in_busy = busy;
    if (busy)
        TAILQ_INSERT_TAIL(&workers->busy, w, busy);
    else
        TAILQ_REMOVE(&workers->busy, w, busy);
    workers->busy_count += busy ? 1 : -1u;
}

void worker_not_born(struct worker *w, const char *why)
{
    if (!w->excused)
        pool_birth_failed(w->pool, why);
    w->excused = true;
}

/* SIGKILL, once. */
static void worker_kill_process(struct worker *w)
{
    if (w->kill_sent || w->pidfd < 0)
        return;
    w->kill_sent = true;
    w->workers->loop->stats.workers_killed++;
    syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

int worker_signal(struct worker *w, int number)
{
    if (w->pidfd < 0)
        return -ESRCH;
    if (number == SIGKILL)
        worker_kill_process(w);
    else if (syscall(SYS_pidfd_send_signal, w->pidfd, number, NULL, 0) < 0)
        return -errno;
    return 0;
}

void worker_break(struct worker *w, const char *what)
{
    if (w->broke)
        return;
    w->broke = true;
    w->workers->loop->stats.workers_broke_protocol++;
    log_error("worker broke the protocol pool=%s worker=%u generation=%llu pid=%d: %s", w->pool->name, w->number,
        (unsigned long long)w->generation, (int)w->pid, what);
    worker_kill_process(w);
}

void worker_break_by_generation(struct workers *workers, uint64_t generation, const char *what)
{
    struct pool *pool;
    struct worker *w;
    TAILQ_FOREACH (pool, &workers->pools, link)
        TAILQ_FOREACH (w, &pool->members, link)
            if (w->generation == generation)
                worker_break(w, what);
}

struct core_task *worker_running(const struct worker *w)
{
    struct core_task *head = TAILQ_FIRST(&w->core.lane);
    return head && lane_peek(w->lane, head->position) == LANE_STARTED ? head : NULL;
}

/* ---- tasks: requests of the core ---- */

static void set_dirty(struct worker *w)
{
    if (!w->in_dirty) {
        w->in_dirty = true;
        TAILQ_INSERT_TAIL(&w->workers->dirty, w, dirty);
    }
    worker_set_busy(w, true);
}

/* The descriptor is sent before its job; if the slot then fails, the worker drops it when a later position asks for
 * one. */
static bool pass_ahead(struct worker *w, uint32_t type, uint64_t size, int fd)
{
    if (lane_outstanding(w->lane) >= LANE_SLOTS)
        return false;
    struct control_memfd body = {.position = lane_head(w->lane) + lane_outstanding(w->lane), .size = size};
    struct control_head head = {.type = type, .size = sizeof body};
    struct iovec parts[] = {{&head, sizeof head}, {&body, sizeof body}};
    return packet_send(w->control, parts, 2, &fd, 1) >= 0;
}

bool worker_place(void *context, struct core_worker *core_worker, struct core_task *core_task)
{
    struct workers *workers = context;
    struct worker *w = worker_of(core_worker);
    struct lane_job job;
    struct run_request given = {.job = &job, .args_fd = -1, .stdin_fd = -1};
    uint32_t number = function_of(core_task->function)->number;
    uint32_t index = number < w->forkserver->index_count ? w->forkserver->index_of[number] : FORKSERVER_ABSENT;
    if (index == FORKSERVER_ABSENT || w->kill_sent) {
        /* An older worker lacks a new function: a newer worker will run it. But a function that the newest workers lack
         * will never run. */
        w->pool->drop_wanted |= index == FORKSERVER_ABSENT && w->forkserver == w->pool->current;
        return false;
    }
    if (workers->ops->job(workers->tasks, core_task, &given) < 0)
        return false;
    job.function = index;
    if ((job.flags & LANE_JOB_MEMFD) && !pass_ahead(w, CONTROL_ARGS, job.args_size, given.args_fd))
        return false;
    if ((job.flags & LANE_JOB_STDIN) && !pass_ahead(w, CONTROL_STDIN, 0, given.stdin_fd))
        return false;
    if (lane_place(w->lane, &job, given.pieces, given.count, &core_task->position) < 0)
        return false;
    set_dirty(w);
    workers->ops->placed(workers->tasks, core_task, w);
    return true;
}

void worker_finish(void *context, struct core_task *task, enum core_why why, void *report)
{
    const struct workers *workers = context;
    struct run_report none = {0};
    workers->ops->finished(workers->tasks, task, why, report ? report : &none);
}

/* A process task counts as started when it is placed, because its pid is reported then: from there on it belongs to
 * that process, whether the process has claimed it or not. So it is not taken back, and the exit of its process ends
 * it. */
bool worker_reclaim(void *context, struct core_worker *core_worker, struct core_task *task)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    return !w->process && lane_reclaim(w->lane, task->position);
}

bool worker_started(void *context, struct core_worker *core_worker, struct core_task *task)
{
    const struct worker *w = worker_of(core_worker);
    (void)context;
    /* Anything but a clear READY counts as claimed: a task that may have run must not run again. */
    enum lane_claim claim = lane_peek(w->lane, task->position);
    return w->process || (claim != LANE_READY && claim != LANE_RECLAIMED);
}

void worker_cancel(void *context, struct core_worker *core_worker, struct core_task *task)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    lane_cancel(w->lane, task->position, task->cancel_signal ? task->cancel_signal : CONTROL_CANCEL_PLAIN);
    /* Only "look again": it may hit the next task, which then sees that it is not meant. To the main thread, as others
     * would take it away; it is our child and not reaped, so the number is its own. */
    syscall(SYS_tgkill, w->pid, w->pid, CONTROL_CANCEL_SIGNAL);
}

bool worker_kill_task(void *context, struct core_worker *core_worker, struct core_task *task)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    /* A process that has not claimed its task is killed as well; taking the task from it first ensures that it never
     * starts. */
    if (!(w->process && lane_reclaim(w->lane, task->position)) && !lane_begin_kill(w->lane, task->position))
        return false;
    worker_kill_process(w);
    return true;
}

void worker_kill(void *context, struct core_worker *core_worker)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    if (w->pid == 0) {
        /* Its forkserver does not answer, or not in time. All births requested from it fail with it. */
        log_warning("forkserver killed pool=%s: it has not made worker=%u", w->pool->name, w->number);
        forkserver_kill(w->forkserver);
        return;
    }
    if (!w->ready && !w->workers->loop->stopping && !w->pool->closing) {
        char why[96];
        snprintf(why, sizeof why, "worker_init takes longer than load_timeout = %gs",
            (double)w->pool->config->load_timeout_ms / 1000);
        log_warning("worker killed pool=%s worker=%u pid=%d: %s", w->pool->name, w->number, (int)w->pid, why);
        worker_not_born(w, why);
        worker_kill_process(w);
        return;
    }
    log_warning(
        "worker killed pool=%s worker=%u pid=%d: it does not start its tasks", w->pool->name, w->number, (int)w->pid);
    worker_kill_process(w);
}

void worker_retire(void *context, struct core_worker *core_worker)
{
    struct worker *w = worker_of(core_worker);
    struct lane_job job = {.task_id = 0, .function = CONTROL_FUNCTION_RETIRE, .attempt = 1};
    uint32_t position;
    (void)context;
    if (w->retiring)
        return;
    w->retiring = true;
    w->retired_ns = w->workers->loop->now_ns;
    loop_need_housekeeping(w->workers->loop); /* one that does not exit is killed */
    if (lane_place(w->lane, &job, NULL, 0, &position) < 0)
        worker_kill_process(w);
    else
        set_dirty(w);
}

void worker_post(struct worker *w)
{
    TAILQ_REMOVE(&w->workers->dirty, w, dirty);
    w->in_dirty = false;
    spin_policy_given(&w->workers->spin, w);
    lane_post(w->lane);
}

/* ---- results ---- */

bool worker_has_result(const struct worker *w)
{
    enum lane_claim claim = lane_peek(w->lane, lane_head(w->lane));
    return claim != LANE_READY && claim != LANE_STARTED && claim != LANE_KILLING;
}

static enum core_result core_result_of(enum lane_outcome outcome)
{
    switch (outcome) {
    case LANE_OUTCOME_OK: return CORE_RESULT_OK;
    case LANE_OUTCOME_FAILED_RETRYABLE: return CORE_RESULT_FAILED_RETRYABLE;
    case LANE_OUTCOME_FAILED:
    default: return CORE_RESULT_FAILED;
    }
}

/* A result whose memfd was lost on its way is lost, but that is not the worker's fault. */
static void result_lost(struct lane_result *result)
{
    static struct wire_buf error;
    char text[128];
    int length = snprintf(text, sizeof text, "%s: the daemon had no descriptor free for a result of %llu bytes",
        wire_error_info(MPOOL_E_INTERNAL)->name, (unsigned long long)result->size);
    wire_buf_rewind(&error, 0);
    wire_put_error_value(&error, wire_error_info(MPOOL_E_INTERNAL)->class, text, (size_t)length);
    result->outcome = LANE_OUTCOME_FAILED_RETRYABLE;
    result->items_done = 0;
    result->memfd = false;
    result->data = wire_buf_at(&error);
    result->size = wire_buf_length(&error);
}

/* The memfd of a large result must be sealed and of the announced size. If the result would have fitted into the lane
 * it is read at once, so that nobody holds a descriptor for a few bytes. → false: the worker has broken the protocol.
 */
static bool take_memfd(struct worker *w, struct lane_result *result, int *ret_fd)
{
    static uint8_t small[LANE_BLOCK_MAX];
    _cleanup_(fd_close) int fd = worker_take_memfd(w, result->position, result->size);
    if (fd == WORKER_MEMFD_LOST) {
        result_lost(result);
        return true;
    }
    if (fd < 0 || memfd_check(fd, result->size) < 0) {
        worker_break(w, "a large result without its sealed memfd");
        return false;
    }
    if (result->size > sizeof small) {
        *ret_fd = TAKE_FD(fd);
        return true;
    }
    if (!memfd_read(fd, small, (size_t)result->size)) {
        worker_break(w, "a memfd that cannot be read");
        return false;
    }
    result->memfd = false;
    result->data = small;
    return true;
}

unsigned worker_collect(struct worker *w)
{
    struct workers *workers = w->workers;
    unsigned n = 0;
    while (lane_outstanding(w->lane) > 0) {
        struct lane_result result;
        int r = lane_collect(w->lane, &result);
        if (r == 0)
            break;
        if (r < 0) {
            worker_break(w, "its lane holds what no honest worker writes");
            break;
        }
        n++;
        struct core_task *head = TAILQ_FIRST(&w->core.lane);
        if (result.reclaimed || !head) { /* the other one is the retire job */
            lane_release(w->lane);
            continue;
        }
        if (head->position != result.position) {
            worker_break(w, "a result out of order");
            break;
        }
        struct function *f = function_of(head->function);
        _cleanup_(fd_close) int memfd = -1;
        if (result.memfd && !take_memfd(w, &result, &memfd))
            break;
        if (head->alone) { /* its messages and output come before its answer */
            worker_hear_all(w);
            for (int i = 0; i < 2; i++)
                output_drain(&w->out[i]);
            if (w->broke)
                break;
        }
        w->workers->collected_bytes += result.memfd ? 0 : result.size;
        worker_end_lines(w); /* all that it printed has been read: the next task's output begins a new line */
        f->calls++;
        w->last = (struct speaker){workers->ops->public_id(head), f};
        struct run_report report = {.result = &result, .result_memfd = &memfd};
        core_task_done(head, core_result_of(result.outcome), result.run_ns, &report, workers->loop->now_ns);
        lane_release(w->lane);
        if (report.malformed) {
            worker_break(w, "a result that is no whole MessagePack value within the limits");
            break;
        }
    }
    if (lane_outstanding(w->lane) == 0)
        worker_set_busy(w, false);
    if (n > 0 && w->pool->config->max_memory > 0)
        worker_check_memory(w);
    return n;
}
