#include "daemon/supervisor/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/lane/contract.h"
#include "daemon/supervisor/orphans.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/task.h"
#include "daemon/supervisor/template.h"

#define CONTROL_BUDGET 64 /* messages of one worker in one pass: a flood waits, others do not */

static void set_busy(struct worker *w, bool busy)
{
    if (busy && !w->in_busy)
        TAILQ_INSERT_TAIL(&w->supervisor->busy_workers, w, busy);
    else if (!busy && w->in_busy)
        TAILQ_REMOVE(&w->supervisor->busy_workers, w, busy);
    w->in_busy = busy;
}

static void kill_process(struct worker *w)
{
    if (w->doomed || w->pidfd < 0)
        return;
    w->doomed = true;
    w->supervisor->stats.workers_killed++;
    syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

static void break_with(struct worker *w, const char *what)
{
    if (w->broke)
        return;
    w->broke = true;
    w->supervisor->stats.workers_broke_protocol++;
    log_error("worker broke the protocol pool=%s worker=%u generation=%llu pid=%d: %s", w->pool->name, w->number,
        (unsigned long long)w->generation, (int)w->pid, what);
    kill_process(w);
}

/* ---- what it says
 * ------------------------------------------------------------------------------------------------------- */

struct task *worker_running(const struct worker *w)
{
    struct core_task *head = TAILQ_FIRST(&w->core.lane);
    return head && lane_peek(w->lane, head->position) == LANE_STARTED ? task_of(head) : NULL;
}

/* Whose words are these? Of the head of the lane once that is claimed, even if it has ended by now; else of the task
 * before it. Of many short tasks in a row this is the last one of those that may have said it. */
static void who(const struct worker *w, int stream, char *text, size_t size)
{
    const struct core_task *head = TAILQ_FIRST(&w->core.lane);
    const struct task *t = head ? task_of((struct core_task *)(uintptr_t)head) : NULL;
    uint64_t id = w->last_task;
    const char *function = w->last_function ? w->last_function->name : "-";
    if (t && lane_peek(w->lane, head->position) != LANE_READY) {
        id = task_public_id(t);
        function = t->function->name;
    }
    snprintf(text, size, "pool=%s worker=%u pid=%d task=%llu function=%s stream=%d", w->pool->name, w->number,
        (int)w->pid, (unsigned long long)id, function, stream);
}

static void set_muted(struct worker *w, bool muted)
{
    if (muted == w->in_muted)
        return;
    w->in_muted = muted;
    if (muted) {
        TAILQ_INSERT_TAIL(&w->supervisor->muted_workers, w, muted);
        event_del(w->on_control);
        supervisor_need_housekeeping(w->supervisor);
    } else {
        TAILQ_REMOVE(&w->supervisor->muted_workers, w, muted);
        event_add(w->on_control, NULL);
    }
    for (int i = 0; i < 2; i++)
        output_pause(&w->out[i], muted);
}

void worker_unmute(struct supervisor *s)
{
    struct worker *w, *next;
    for (w = TAILQ_FIRST(&s->muted_workers); w; w = next) {
        next = TAILQ_NEXT(w, muted);
        const struct core_task *head = TAILQ_FIRST(&w->core.lane);
        if (!head || !task_caller_is_full(task_of((struct core_task *)(uintptr_t)head)))
            set_muted(w, false);
    }
}

static void to_caller(struct worker *w, struct task *t, int stream, const void *bytes, size_t length)
{
    task_output(t, stream, bytes, length);
    if (task_caller_is_full(t))
        set_muted(w, true);
}

static void print(void *owner, int stream, const void *bytes, size_t length)
{
    struct worker *w = owner;
    /* A task whose caller wants its output has the lane to itself, so what comes now is its own. */
    struct core_task *head = TAILQ_FIRST(&w->core.lane);
    if (head && task_of(head)->output) {
        to_caller(w, task_of(head), stream, bytes, length);
        return;
    }
    char text[256];
    who(w, stream, text, sizeof text);
    output_lines_add(&w->lines[stream - 1], text, bytes, length);
}

static void take_result(struct worker *w, const uint8_t *body, size_t size, int *fd)
{
    struct contract_memfd m;
    if (size != sizeof m || *fd < 0) {
        break_with(w, "a malformed result message");
        return;
    }
    memcpy(&m, body, sizeof m);
    for (size_t i = 0; i < ELEMENTS(w->results); i++) {
        if (w->results[i].fd >= 0)
            continue;
        w->results[i] = (struct worker_memfd){.position = m.position, .size = m.size, .fd = TAKE_FD(*fd)};
        return;
    }
    break_with(w, "more results than tasks");
}

static void take_text(struct worker *w, const struct contract_head *head, const uint8_t *body)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
    struct contract_log log;
    if (head->size < sizeof log) {
        break_with(w, "a malformed log message");
        return;
    }
    memcpy(&log, body, sizeof log);
    char line[3000], text[256];
    log_escape(line, sizeof line, body + sizeof log, head->size - sizeof log);
    who(w, 0, text, sizeof text);
    log_write(levels[log.level < ELEMENTS(levels) ? log.level : 2], "log %s text=\"%s\"", text, line);
}

static void take_message(struct worker *w, const struct contract_head *head, const uint8_t *body, int *fd)
{
    char why[1200];
    switch ((enum contract_type)head->type) {
    case CONTRACT_DOORBELL: break; /* the pass looks at the lane anyway */
    case CONTRACT_WORKER_READY:
        if (w->ready || w->pid == 0) {
            break_with(w, "ready twice");
            break;
        }
        w->ready = true;
        pool_trouble(w->pool, NULL);
        core_worker_ready(w->supervisor->core, &w->core, w->supervisor->now_ns);
        log_info("worker ready pool=%s worker=%u generation=%llu pid=%d", w->pool->name, w->number,
            (unsigned long long)w->generation, (int)w->pid);
        break;
    case CONTRACT_WORKER_FAILED:
        log_escape(why, sizeof why, body, head->size);
        log_error("worker cannot start pool=%s worker=%u: %s", w->pool->name, w->number, why);
        pool_trouble(w->pool, why);
        break;
    case CONTRACT_RESULT: take_result(w, body, head->size, fd); break;
    case CONTRACT_OUTPUT: {
        struct contract_output out;
        struct core_task *first = TAILQ_FIRST(&w->core.lane);
        if (head->size < sizeof out) {
            break_with(w, "a malformed output message");
            break;
        }
        memcpy(&out, body, sizeof out);
        if (out.stream != 1 && out.stream != 2)
            break_with(w, "output to a stream that is none");
        else if (first && first->position == out.position && task_of(first)->output)
            to_caller(w, task_of(first), (int)out.stream, body + sizeof out, head->size - sizeof out);
        break;
    }
    case CONTRACT_LOG: take_text(w, head, body); break;
    case CONTRACT_CONFIG:
    case CONTRACT_FORK:
    case CONTRACT_TEMPLATE_LOADING:
    case CONTRACT_TEMPLATE_READY:
    case CONTRACT_TEMPLATE_FAILED:
    case CONTRACT_FORKED:
    case CONTRACT_ARGS:
    default: break_with(w, "a message of a kind that workers do not send");
    }
}

/* → false: nothing more to read now. */
static bool receive_one(struct worker *w)
{
    static union {
        struct contract_head head;
        uint8_t bytes[CONTRACT_MESSAGE_MAX];
    } message;
    _cleanup_(fd_close) int fd = -1;
    size_t count = 1;
    if (w->control < 0)
        return false;
    ssize_t n = packet_receive(w->control, &message, sizeof message, &fd, &count);
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        if (n < 0 && n != -ECONNRESET) /* that is how a death with unread messages looks */
            break_with(w, "a message that cannot be received");
        if (w->on_control)
            event_del(w->on_control); /* end of file would be readable for ever; its pidfd tells the rest */
        return false;
    }
    if (w->broke)
        return true;
    if ((size_t)n < sizeof message.head || message.head.size != (size_t)n - sizeof message.head)
        break_with(w, "a malformed message");
    else
        take_message(w, &message.head, message.bytes + sizeof message.head, &fd);
    return true;
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct worker *w = arg;
    supervisor_tick(w->supervisor);
    for (int i = 0; i < CONTROL_BUDGET && !w->in_muted && receive_one(arg); i++)
        ;
}

int worker_take_memfd(struct worker *w, uint32_t position, uint64_t size)
{
    /* Sent before its DONE, so it is here or in the socket; older ones in front of it were looked at in their time. */
    for (int i = 0; i < CONTROL_BUDGET * 4; i++) {
        for (size_t j = 0; j < ELEMENTS(w->results); j++) {
            struct worker_memfd *m = &w->results[j];
            if (m->fd >= 0 && m->position == position && m->size == size)
                return TAKE_FD(m->fd);
        }
        if (!receive_one(w))
            break;
    }
    return -1;
}

/* ---- birth
 * ---------------------------------------------------------------------------------------------------------------- */

static void worker_free(struct worker *w)
{
    set_busy(w, false);
    if (w->in_muted)
        TAILQ_REMOVE(&w->supervisor->muted_workers, w, muted);
    spinners_drop(&w->supervisor->spinners, w);
    if (w->in_dirty)
        TAILQ_REMOVE(&w->supervisor->dirty_workers, w, dirty);
    if (w->on_death)
        event_free(w->on_death);
    if (w->on_control)
        event_free(w->on_control);
    for (int i = 0; i < 2; i++)
        output_close(&w->out[i]);
    for (size_t i = 0; i < ELEMENTS(w->results); i++)
        fd_close(&w->results[i].fd);
    fd_close(&w->pidfd);
    fd_close(&w->control);
    lane_free(w->lane);
    if (w->template)
        template_unref(w->template);
    TAILQ_REMOVE(&w->pool->workers, w, link);
    w->pool->worker_count--;
    free(w);
}

void worker_spawn(void *context, struct core_pool *core_pool)
{
    struct supervisor *s = context;
    struct pool *pool = core_pool_userdata(core_pool);
    pool->spawns_wanted++;
    s->spawns_wanted = true;
}

/* Asks the template for one worker. → false: it could not even be asked. */
static bool spawn_one(struct pool *pool)
{
    struct supervisor *s = pool->supervisor;
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    w->supervisor = s;
    w->pool = pool;
    w->pidfd = w->control = -1;
    w->results[0].fd = w->results[1].fd = -1;
    w->number = ++s->next_worker;
    w->generation = ++s->next_generation;
    w->born_ns = s->now_ns;
    TAILQ_INSERT_TAIL(&pool->workers, w, link);
    pool->worker_count++;

    _cleanup_(fd_close) int theirs = -1, out = -1, err = -1;
    int pair[2], r = pool->current ? 0 : -ENOENT;
    if (r == 0) {
        w->template = template_ref(pool->current);
        r = lane_new(&w->lane, w->generation);
    }
    if (r == 0)
        r = packet_pair(0, pair);
    if (r == 0) {
        w->control = pair[0];
        theirs = pair[1];
        r = fd_set_nonblock(w->control);
    }
    if (r == 0)
        r = output_open(&w->out[0], s->base, 1, print, w, &out);
    if (r == 0)
        r = output_open(&w->out[1], s->base, 2, print, w, &err);
    if (r == 0) {
        int fds[6] = {theirs, lane_fd_s(w->lane), lane_fd_w(w->lane), beacon_fd(s->beacon), out, err};
        r = template_fork(w->template, w->number, w->generation, fds);
    }
    if (r < 0) {
        log_error("worker cannot be made pool=%s: %s", pool->name, strerror(-r));
        worker_free(w);
        return false;
    }
    lane_close_fds(w->lane);
    core_worker_add(s->core, pool->core, &w->core, s->now_ns);
    return true;
}

void worker_spawn_wanted(struct supervisor *s)
{
    struct pool *pool;
    if (!s->spawns_wanted)
        return;
    s->spawns_wanted = false;
    TAILQ_FOREACH (pool, &s->pools, link)
        for (; pool->spawns_wanted > 0; pool->spawns_wanted--)
            if (!spawn_one(pool))
                core_spawn_failed(s->core, pool->core, s->now_ns);
}

static void on_death(evutil_socket_t fd, short what, void *arg);

static struct worker *find(struct pool *pool, uint32_t number, uint64_t generation)
{
    struct worker *w;
    TAILQ_FOREACH (w, &pool->workers, link)
        if (w->number == number && w->generation == generation)
            return w;
    return NULL;
}

bool worker_forked(struct template *t, uint32_t number, uint64_t generation, pid_t pid)
{
    struct worker *w = t->pool ? find(t->pool, number, generation) : NULL;
    if (!w || w->template != t || w->pid != 0)
        return false;
    struct supervisor *s = w->supervisor;
    if (pid <= 0) {
        worker_fork_failed(w, strerror(-pid));
        return true;
    }
    /* It must be our own unreaped child, and not one that we know already: a template may lie. */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    siginfo_t info = {0};
    if (pidfd < 0 || waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || orphans_is_known(s, pid)) {
        if (pidfd >= 0)
            close(pidfd);
        return false;
    }
    w->pid = pid;
    w->pidfd = pidfd;
    s->stats.workers_born++;
    w->on_death = event_new(s->base, pidfd, EV_READ | EV_PERSIST, on_death, w);
    w->on_control = event_new(s->base, w->control, EV_READ | EV_PERSIST, on_control, w);
    if (!w->on_death || !w->on_control || event_add(w->on_death, NULL) < 0 || event_add(w->on_control, NULL) < 0) {
        log_error("worker cannot be watched pool=%s worker=%u", w->pool->name, number);
        worker_destroy(w);
        return true;
    }
    log_debug("worker born pool=%s worker=%u generation=%llu pid=%d", w->pool->name, number,
        (unsigned long long)generation, (int)pid);
    return true;
}

void worker_fork_failed(struct worker *w, const char *why)
{
    struct supervisor *s = w->supervisor;
    log_error("worker not born pool=%s worker=%u: %s", w->pool->name, w->number, why);
    core_worker_died(s->core, &w->core, false, s->now_ns);
    worker_free(w);
}

/* ---- tasks: the heart's wishes
 * ------------------------------------------------------------------------------------------------ */

static void set_dirty(struct worker *w)
{
    if (!w->in_dirty) {
        w->in_dirty = true;
        TAILQ_INSERT_TAIL(&w->supervisor->dirty_workers, w, dirty);
    }
    set_busy(w, true);
}

bool worker_place(void *context, struct core_worker *core_worker, struct core_task *core_task)
{
    struct supervisor *s = context;
    struct worker *w = worker_of(core_worker);
    struct task *t = task_of(core_task);
    struct lane_job job;
    struct iovec pieces[2];
    uint8_t header[5];
    uint32_t number = t->function->number;
    uint32_t index = number < w->template->index_count ? w->template->index_of[number] : TEMPLATE_ABSENT;
    if (index == TEMPLATE_ABSENT || w->doomed) {
        /* An older worker lacks a new function: a newer one comes. But one that the newest lack will never run. */
        w->pool->drop_wanted |= index == TEMPLATE_ABSENT && w->template == w->pool->current;
        return false;
    }
    int memfd = -1;
    int count = task_job(s, t, &job, pieces, header, &memfd);
    if (count < 0)
        return false;
    job.function = index;
    if (job.flags & LANE_JOB_MEMFD) {
        /* The descriptor goes first; if the slot then fails, the worker drops it when a later position asks. */
        if (lane_outstanding(w->lane) >= LANE_SLOTS)
            return false;
        struct contract_memfd body = {
            .position = lane_head(w->lane) + lane_outstanding(w->lane), .size = job.args_size};
        struct contract_head head = {.type = CONTRACT_ARGS, .size = sizeof body};
        struct iovec parts[] = {{&head, sizeof head}, {&body, sizeof body}};
        if (packet_send(w->control, parts, 2, &memfd, 1) < 0)
            return false;
        count = 0;
    }
    if (lane_place(w->lane, &job, pieces, count, &core_task->position) < 0)
        return false;
    if (t->started_ms == 0)
        t->started_ms = s->wall_ms;
    set_dirty(w);
    return true;
}

bool worker_reclaim(void *context, struct core_worker *core_worker, struct core_task *task)
{
    (void)context;
    return lane_reclaim(worker_of(core_worker)->lane, task->position);
}

bool worker_started(void *context, struct core_worker *core_worker, struct core_task *task)
{
    (void)context;
    /* Anything but a clear READY counts as claimed: what may have run must not run again. */
    enum lane_claim claim = lane_peek(worker_of(core_worker)->lane, task->position);
    return claim != LANE_READY && claim != LANE_RECLAIMED;
}

void worker_cancel(void *context, struct core_worker *core_worker, struct core_task *task)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    lane_cancel(w->lane, task->position);
    /* Only "look again": it may hit the next task, which then sees that it is not meant. */
    syscall(SYS_pidfd_send_signal, w->pidfd, SIGUSR1, NULL, 0);
}

bool worker_kill_task(void *context, struct core_worker *core_worker, struct core_task *task)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    if (!lane_begin_kill(w->lane, task->position))
        return false;
    kill_process(w);
    return true;
}

void worker_kill(void *context, struct core_worker *core_worker)
{
    struct worker *w = worker_of(core_worker);
    (void)context;
    if (w->pid == 0) {
        /* Its template does not answer, or not in time. The births asked of it end with it. */
        log_warning("template killed pool=%s: it has not made worker=%u", w->pool->name, w->number);
        template_kill(w->template);
        return;
    }
    log_warning(
        "worker killed pool=%s worker=%u pid=%d: it does not take its tasks", w->pool->name, w->number, (int)w->pid);
    kill_process(w);
}

void worker_retire(void *context, struct core_worker *core_worker)
{
    struct worker *w = worker_of(core_worker);
    struct lane_job job = {.task_id = 0, .function = CONTRACT_FUNCTION_RETIRE, .attempt = 1};
    uint32_t position;
    (void)context;
    if (w->retiring)
        return;
    w->retiring = true;
    w->retired_ns = w->supervisor->now_ns;
    supervisor_need_housekeeping(w->supervisor); /* one that does not go is killed */
    if (lane_place(w->lane, &job, NULL, 0, &position) < 0)
        kill_process(w);
    else
        set_dirty(w);
}

void worker_post(struct worker *w)
{
    TAILQ_REMOVE(&w->supervisor->dirty_workers, w, dirty);
    w->in_dirty = false;
    spinners_given(&w->supervisor->spinners, w);
    lane_post(w->lane);
}

/* ---- results
 * --------------------------------------------------------------------------------------------------------------------
 */

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

unsigned worker_collect(struct worker *w)
{
    struct supervisor *s = w->supervisor;
    unsigned n = 0;
    while (lane_outstanding(w->lane) > 0) {
        struct lane_result result;
        int r = lane_collect(w->lane, &result);
        if (r == 0)
            break;
        if (r < 0) {
            break_with(w, "its lane holds what no honest worker writes");
            break;
        }
        n++;
        struct core_task *head = TAILQ_FIRST(&w->core.lane);
        if (result.reclaimed || !head) { /* the other one is the retire job */
            lane_release(w->lane);
            continue;
        }
        if (head->position != result.position) {
            break_with(w, "a result out of order");
            break;
        }
        struct task *t = task_of(head);
        _cleanup_(fd_close) int memfd = -1;
        if (result.memfd) {
            memfd = worker_take_memfd(w, result.position, result.size);
            if (memfd < 0 || memfd_check(memfd, result.size) < 0) {
                break_with(w, "a large result without its sealed memfd");
                break;
            }
        }
        if (t->output)
            for (int i = 0; i < 2; i++)
                output_drain(&w->out[i]); /* what it printed comes before its answer */
        t->function->calls++;
        w->last_task = task_public_id(t);
        w->last_function = t->function;
        task_context = (struct task_context){.result = &result, .result_memfd = &memfd};
        core_task_done(s->core, head, core_result_of(result.outcome), result.run_ns, s->now_ns);
        bool broke = task_context.broke;
        task_context = (struct task_context){0};
        lane_release(w->lane);
        if (broke) {
            break_with(w, "a result that is no whole MessagePack value within the limits");
            break;
        }
    }
    if (lane_outstanding(w->lane) == 0)
        set_busy(w, false);
    if (n > 0 && w->pool->config->max_memory > 0)
        worker_check_memory(w);
    return n;
}

/* ---- death
 * ------------------------------------------------------------------------------------------------------------------------
 */

static void judge(struct worker *w, const siginfo_t *info, const struct rusage *usage, struct verdict *v)
{
    *v = (struct verdict){.worker = w->number, .pid = w->pid, .broke = w->broke};
    if (info->si_code == CLD_EXITED)
        v->exit_status = info->si_status;
    else
        v->signal = info->si_status;
    v->cpu_us = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec +
                (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec;
    v->peak_kib = (uint64_t)usage->ru_maxrss;
    if (v->signal == SIGKILL && !w->doomed) {
        uint64_t kills = orphans_oom_kills();
        v->oom = kills > w->supervisor->last_oom_kills;
        w->supervisor->last_oom_kills = kills;
    }
}

/* Nothing it wrote can still change: drain what it completed, then let the heart judge the rest. */
static void bury(struct worker *w, const struct verdict *v)
{
    struct supervisor *s = w->supervisor;
    for (int i = 0; i < CONTROL_BUDGET * 4 && receive_one(w); i++)
        ;
    for (int i = 0; i < 2; i++) {
        char text[256];
        output_drain(&w->out[i]);
        who(w, i + 1, text, sizeof text);
        output_lines_end(&w->lines[i], text);
    }
    if (!w->broke)
        worker_collect(w);
    struct core_task *head = TAILQ_FIRST(&w->core.lane);
    bool started = head && worker_started(s, &w->core, head);
    char cause[64];
    if (v->signal)
        snprintf(cause, sizeof cause, "signal=%s", sigabbrev_np(v->signal) ? sigabbrev_np(v->signal) : "?");
    else
        snprintf(cause, sizeof cause, "exit=%d", v->exit_status);
    s->stats.workers_died++;
    log_write(w->retiring && !v->signal && v->exit_status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
        "worker died pool=%s worker=%u generation=%llu pid=%d %s oom=%s cpu_ms=%llu peak_kib=%llu tasks=%u task=%llu "
        "function=%s",
        w->pool->name, w->number, (unsigned long long)w->generation, (int)w->pid, cause, v->oom ? "yes" : "no",
        (unsigned long long)v->cpu_us / 1000, (unsigned long long)v->peak_kib, w->core.tasks_done,
        started ? (unsigned long long)task_of(head)->id : 0ull, started ? task_of(head)->function->name : "-");
    task_context = (struct task_context){.verdict = v};
    if (started && task_of(head)->kind == TASK_CHUNK)
        task_context.partial_items =
            lane_partial(w->lane, head->position, &task_context.partial, &task_context.partial_size);
    core_worker_died(s->core, &w->core, started, s->now_ns);
    task_context = (struct task_context){0};
    worker_free(w);
    orphans_look(s);
}

static void on_death(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    siginfo_t info = {0};
    struct rusage usage = {0};
    (void)what;
    supervisor_tick(w->supervisor);
    /* The system call itself, as glibc's waitid() does not pass on the usage. */
    if (syscall(SYS_waitid, P_PIDFD, fd, &info, WEXITED | WNOHANG, &usage) < 0) {
        log_error("worker=%u waitid: %s", w->number, strerror(errno));
        info.si_code = CLD_KILLED;
        info.si_status = SIGKILL;
    } else if (info.si_pid == 0) {
        return;
    }
    struct verdict v;
    judge(w, &info, &usage, &v);
    bury(w, &v);
}

void worker_destroy(struct worker *w)
{
    struct verdict v = {.worker = w->number, .pid = w->pid, .signal = SIGKILL};
    if (w->pidfd >= 0) {
        siginfo_t info;
        syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED);
    }
    bury(w, &v);
}

/* ---- what people ask about it
 * -------------------------------------------------------------------------------------------------------- */

uint64_t worker_rss(const struct worker *w)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)w->pid);
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t worker_cpu_ms(const struct worker *w)
{
    clockid_t clock;
    struct timespec ts;
    if (w->pid == 0 || clock_getcpuclockid(w->pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
        return 0;
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

void worker_check_memory(struct worker *w)
{
    struct supervisor *s = w->supervisor;
    uint64_t limit = w->pool->config->max_memory;
    /* Reading /proc costs some microseconds: ten times a second is enough for a limit on growth. */
    if (limit == 0 || !w->ready || w->core.outdated || s->now_ns - w->last_rss_check_ns < 100 * NS_PER_MS)
        return;
    w->last_rss_check_ns = s->now_ns;
    uint64_t rss = worker_rss(w);
    if (rss <= limit)
        return;
    log_info("worker outgrown pool=%s worker=%u rss=%llu max_memory=%llu", w->pool->name, w->number,
        (unsigned long long)rss, (unsigned long long)limit);
    core_worker_outdate(s->core, &w->core, s->now_ns);
}
