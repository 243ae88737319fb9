/* How is a worker started, and what follows from its death?
 *
 * It is requested from the forkserver with a lane, a socket and two pipes of its own; known by the pid that the
 * forkserver reports; and ended when its pidfd reports the exit, after which nothing it wrote can change and its tasks
 * are judged.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/pool/orphans.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/forkserver.h"
#include "daemon/pool/worker_private.h"
#include "daemon/pool/workers.h"

#define BIRTHS_AT_ONCE 2 /* in one pass: each takes about a millisecond, mostly for its lane */

/* ---- the end of its record ---- */

static void worker_free(struct worker *w)
{
    struct workers *workers = w->workers;
    workers->unforked -= w->child.pid == 0;
    orphans_forget(workers, &w->child);
    workers->ops->worker_gone(w);
    worker_set_busy(w, false);
    if (w->in_paused)
        TAILQ_REMOVE(&w->workers->paused, w, paused);
    spin_policy_drop(&w->workers->spin, w);
    if (w->in_dirty)
        TAILQ_REMOVE(&w->workers->dirty, w, dirty);
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
    lane_reserve_leave(&workers->deaths.lanes, w->lane);
    loop_need_housekeeping(workers->loop); /* in case the loop is never idle */
    if (w->forkserver)
        forkserver_unref(w->forkserver);
    TAILQ_REMOVE(&w->pool->members, w, link);
    w->pool->worker_count--;
    free(w);
}

/* ---- death ---- */

static void read_exit(struct worker *w, const siginfo_t *info, const struct rusage *usage, struct verdict *v)
{
    *v = (struct verdict){.worker = w->number, .pid = w->pid, .broke = w->broke};
    if (info->si_code == CLD_EXITED)
        v->exit_status = info->si_status;
    else
        v->signal = info->si_status;
    v->cpu_us = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec +
                (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec;
    v->peak_kib = (uint64_t)usage->ru_maxrss;
}

static void say_death(const struct worker *w, const struct verdict *v, const struct core_task *task)
{
    /* One that was asked to exit, or ran its only function, reports itself how it ended. */
    bool in_peace = v->signal == 0 && (w->process || (w->retiring && v->exit_status == 0));
    char cause[64];
    if (v->signal)
        snprintf(cause, sizeof cause, "signal=%s", sigabbrev_np(v->signal) ? sigabbrev_np(v->signal) : "?");
    else
        snprintf(cause, sizeof cause, "exit=%d", v->exit_status);
    log_write(in_peace ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
        "worker %s pool=%s worker=%u generation=%llu pid=%d %s oom=%s cpu_ms=%llu peak_kib=%llu tasks=%u task=%llu "
        "function=%s",
        in_peace ? "ended" : "died", w->pool->name, w->number, (unsigned long long)w->generation, (int)w->pid, cause,
        oom_word(v->oom), (unsigned long long)v->cpu_us / 1000, (unsigned long long)v->peak_kib, w->core.tasks_done,
        task ? (unsigned long long)w->workers->ops->public_id(task) : 0ull,
        task ? function_of(task->function)->name : "-");
}

/* A worker that dies without having done anything may be the reason why its pool has no worker. */
static void blame(struct worker *w, const struct verdict *v)
{
    const char *when = w->ready ? "before its first task" : "before it was ready";
    char why[128];
    if (w->pid == 0 || w->core.tasks_done > 0 || w->core.healthy || w->core.state == CORE_WORKER_DYING)
        return;
    if (v->signal)
        snprintf(why, sizeof why, "a worker was killed by SIG%s %s%s",
            sigabbrev_np(v->signal) ? sigabbrev_np(v->signal) : "?", when, oom_text(v->oom));
    else
        snprintf(why, sizeof why, "a worker exited with status %d %s", v->exit_status, when);
    worker_not_born(w, why);
}

/* Nothing it wrote can change any more: drain what it completed, then let the core judge the rest. */
static void reap(struct worker *w, struct verdict *v)
{
    struct workers *workers = w->workers;
    worker_hear_last(w);
    for (int i = 0; i < 2; i++)
        output_drain(&w->out[i]);
    worker_end_lines(w);
    if (!w->broke)
        worker_collect(w);
    struct core_task *head = TAILQ_FIRST(&w->core.lane);
    bool started = head && worker_started(workers, &w->core, head);
    if (v->signal == SIGKILL && !w->kill_sent)
        v->oom = oom_explain(&workers->deaths.oom, started ? w->core.head_since_ns : UINT64_MAX, workers->loop->now_ns);
    workers->loop->stats.workers_died++;
    say_death(w, v, started ? head : NULL);
    if (!started)
        blame(w, v);
    struct run_report report = {.verdict = v};
    if (started && head->chunk) {
        enum lane_claim claim = lane_peek(w->lane, head->position);
        report.partial_items = lane_partial(w->lane, head->position, &report.partial, &report.partial_size);
        report.chunk_is_over = claim != LANE_STARTED && claim != LANE_KILLING;
    }
    core_worker_died(&w->core, started, &report, workers->loop->now_ns);
    worker_free(w);
    orphans_want(workers);
}

static void on_death(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    siginfo_t info = {0};
    struct rusage usage = {0};
    (void)what;
    loop_tick(w->workers->loop);
    /* Direct system call, as glibc's waitid() does not return the usage. */
    if (syscall(SYS_waitid, P_PIDFD, fd, &info, WEXITED | WNOHANG, &usage) < 0) {
        log_error("worker=%u waitid: %s", w->number, strerror(errno));
        info.si_code = CLD_KILLED;
        info.si_status = SIGKILL;
    } else if (info.si_pid == 0) {
        return;
    }
    struct verdict v;
    read_exit(w, &info, &usage, &v);
    reap(w, &v);
}

void worker_destroy(struct worker *w)
{
    struct verdict v = {.worker = w->number, .pid = w->pid, .signal = SIGKILL};
    if (w->pidfd >= 0) {
        siginfo_t info;
        syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED);
    }
    reap(w, &v);
}

/* ---- birth ---- */

void worker_spawn(void *context, struct core_pool *core_pool)
{
    struct workers *workers = context;
    struct pool *pool = core_pool_userdata(core_pool);
    if (core_pool == pool->processes)
        pool->processes_wanted++;
    else
        pool->spawns_wanted++;
    workers->spawns_wanted = true;
}

/* Requests one worker from the forkserver. → false: it could not even be requested. */
static bool spawn_one(struct pool *pool, bool process)
{
    struct workers *workers = pool->workers;
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    w->workers = workers;
    w->pool = pool;
    w->process = process;
    w->pidfd = w->control = -1;
    w->results[0].fd = w->results[1].fd = WORKER_MEMFD_NONE;
    w->number = ++workers->next_worker;
    w->generation = ++workers->next_generation;
    w->born_ns = workers->loop->now_ns;
    pool->last_birth = w->generation;
    workers->unforked++;
    TAILQ_INIT(&w->clients);
    TAILQ_INIT(&w->children);
    TAILQ_INSERT_TAIL(&pool->members, w, link);
    pool->worker_count++;

    _cleanup_(fd_close) int theirs = -1, out = -1, err = -1;
    int pair[2], r = pool->current ? 0 : -ENOENT;
    if (r == 0) {
        w->forkserver = forkserver_ref(pool->current);
        r = packet_pair(0, pair);
    }
    if (r == 0) {
        w->control = pair[0];
        theirs = pair[1];
        r = fd_set_nonblock(w->control);
    }
    if (r == 0)
        r = output_open(&w->out[0], workers->loop->base, 1, worker_before_print, worker_print, w, &out);
    if (r == 0)
        r = output_open(&w->out[1], workers->loop->base, 2, worker_before_print, worker_print, w, &err);
    if (r == 0)
        r = lane_reserve_take(&workers->deaths.lanes, w->generation, &w->lane);
    if (r == 0) {
        int fds[6] = {theirs, lane_fd_s(w->lane), lane_fd_w(w->lane), sleep_word_fd(workers->sleep_word), out, err};
        r = forkserver_fork(w->forkserver, w->number, w->generation, fds);
    }
    if (r < 0) {
        char why[128];
        snprintf(why, sizeof why, "a worker cannot be made: %s", strerror(-r));
        log_error("pool=%s %s", pool->name, why);
        worker_not_born(w, why);
        lane_reserve_return(&workers->deaths.lanes, TAKE(w->lane));
        worker_free(w);
        return false;
    }
    lane_close_fds(w->lane);
    core_worker_add(process ? pool->processes : pool->core, &w->core, workers->loop->now_ns);
    return true;
}

/* The pool whose turn it is: of those that want a worker and whose forkserver can take a request, the one that least
 * recently got one. */
static struct pool *next_to_bear(struct workers *workers)
{
    struct pool *pool, *next = NULL;
    TAILQ_FOREACH (pool, &workers->pools, link)
        if (pool->spawns_wanted + pool->processes_wanted > 0 &&
            (!pool->current || forkserver_may_fork(pool->current)) && (!next || pool->last_birth < next->last_birth))
            next = pool;
    return next;
}

void worker_spawn_wanted(struct workers *workers)
{
    struct pool *pool;
    /* The rest continues when a forkserver has answered. */
    if (!workers->spawns_wanted || (workers->unforked > 0 && orphans_are_overdue(workers)))
        return;
    for (int i = 0; i < BIRTHS_AT_ONCE && (pool = next_to_bear(workers)); i++) {
        bool process = pool->processes_wanted > 0; /* a client is waiting for it */
        --*(process ? &pool->processes_wanted : &pool->spawns_wanted);
        if (!spawn_one(pool, process))
            core_spawn_failed(process ? pool->processes : pool->core, workers->loop->now_ns);
        if (workers->deaths.lanes.dead_count > 0)
            lane_reserve_trim(&workers->deaths.lanes); /* no more of them than there were workers */
    }
    workers->loop->again |= next_to_bear(workers) != NULL;
    workers->spawns_wanted = false;
    TAILQ_FOREACH (pool, &workers->pools, link)
        workers->spawns_wanted |= pool->spawns_wanted + pool->processes_wanted > 0;
}

/* Search from the end, as it was requested recently. */
static struct worker *find(struct pool *pool, uint32_t number, uint64_t generation)
{
    struct worker *w;
    TAILQ_FOREACH_REVERSE(w, &pool->members, pool_workers, link)
    if (w->number == number && w->generation == generation)
        return w;
    return NULL;
}

bool worker_forked(struct forkserver *t, uint32_t number, uint64_t generation, pid_t pid)
{
    struct worker *w = t->pool ? find(t->pool, number, generation) : NULL;
    if (!w || w->forkserver != t || w->pid != 0)
        return false;
    struct workers *workers = w->workers;
    if (pid <= 0) {
        char why[128];
        snprintf(why, sizeof why, "a worker cannot be forked: %s", strerror(-pid));
        worker_not_born(w, why);
        worker_fork_failed(w, why);
        return true;
    }
    /* It must be our own unreaped child, and not a known one: a forkserver may lie. */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    siginfo_t info = {0};
    if (pidfd < 0 || waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        orphans_is_known(workers, pid)) {
        if (pidfd >= 0)
            close(pidfd);
        return false;
    }
    w->pid = pid;
    w->pidfd = pidfd;
    workers->unforked--;
    w->child.worker = w;
    bool known = orphans_know(workers, &w->child, pid);
    workers->loop->stats.workers_born++;
    w->on_death = event_new(workers->loop->base, pidfd, EV_READ | EV_PERSIST, on_death, w);
    w->on_control = event_new(workers->loop->base, w->control, EV_READ | EV_PERSIST, worker_on_control, w);
    if (!known || !w->on_death || !w->on_control || event_add(w->on_death, NULL) < 0 ||
        event_add(w->on_control, NULL) < 0) {
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
    struct workers *workers = w->workers;
    log_error("worker not born pool=%s worker=%u: %s", w->pool->name, w->number, why);
    core_worker_died(&w->core, false, NULL, workers->loop->now_ns);
    worker_free(w);
}

/* ---- information about it ---- */

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
    struct workers *workers = w->workers;
    uint64_t limit = w->pool->config->max_memory;
    /* Reading /proc takes a few microseconds: ten times a second is enough to limit growth. */
    if (limit == 0 || !w->ready || w->core.outdated || workers->loop->now_ns - w->last_rss_check_ns < 100 * NS_PER_MS)
        return;
    w->last_rss_check_ns = workers->loop->now_ns;
    uint64_t rss = worker_rss(w);
    if (rss <= limit)
        return;
    log_info("worker outgrown pool=%s worker=%u rss=%llu max_memory=%llu", w->pool->name, w->number,
        (unsigned long long)rss, (unsigned long long)limit);
    core_worker_outdate(&w->core, workers->loop->now_ns);
}
