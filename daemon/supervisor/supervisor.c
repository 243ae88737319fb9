#include "daemon/supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/notify.h"
#include "daemon/base/start.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/lingering_close.h"
#include "daemon/conn/listener.h"
#include "daemon/conn/shares.h"
#include "daemon/object/objects.h"
#include "daemon/object/queue.h"
#include "daemon/pool/function_index.h"
#include "daemon/pool/guardian.h"
#include "daemon/pool/orphans.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/forkserver.h"
#include "daemon/pool/worker.h"
#include "daemon/rpc/rpc.h"
#include "daemon/supervisor/reload.h"
#include "daemon/task/descent.h"
#include "daemon/task/job.h"
#include "daemon/task/large_reply.h"
#include "daemon/task/map.h"
#include "daemon/task/nested.h"
#include "daemon/task/task.h"

#define COLLECT_BYTES   (4u << 20)     /* of results in lanes, copied in one pass */
#define FLUSH_GRACE_NS  (2 * NS_PER_S) /* after the last task: time for clients to read their replies */
#define RETIRE_GRACE_NS (5 * NS_PER_S) /* for a worker that was asked to exit */

static void pool_emptied(void *context, struct core_pool *core_pool)
{
    struct pool *pool = core_pool_userdata(core_pool);
    (void)context;
    pool->empty = --pool->open_core_pools == 0;
    pool->workers->loop->again = true;
}

static void supervisor_stop(struct supervisor *s);

static const struct core_ops ops = {
    .place = worker_place,
    .reclaim = worker_reclaim,
    .started = worker_started,
    .cancel = worker_cancel,
    .kill_task = worker_kill_task,
    .kill_worker = worker_kill,
    .retire = worker_retire,
    .spawn = worker_spawn,
    .finish = worker_finish,
    .pool_empty = pool_emptied,
};

/* ---- signals and timers ---- */

/* A SIGTERM to the whole process group arrives twice: once directly and once forwarded by the guardian. Count both
 * routes; the larger count is the number of requests. */
static void on_stop_signal(struct supervisor *s, uint32_t *count)
{
    if (++*count > s->stop_signals_handled) {
        s->stop_signals_handled = *count;
        supervisor_stop(s);
    }
}

static void handle_signal(struct supervisor *s, int number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT: on_stop_signal(s, &s->stop_signals_direct); break;
    case GUARDIAN_STOP: on_stop_signal(s, &s->stop_signals_forwarded); break;
    case SIGHUP: reload(s); break;
    case GUARDIAN_GONE: /* the guardian is gone: leftover processes would not be killed after us */
        log_error("the guardian was killed; stopping at once");
        supervisor_stop(s);
        core_stop(s->service.core, 0, s->loop.now_ns);
        break;
    case SIGCHLD: orphans_want(&s->workers); break;
    default: break;
    }
}

static void on_signals(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    struct signalfd_siginfo info;
    (void)what;
    loop_tick(&s->loop);
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        handle_signal(s, (int)info.ssi_signo);
}

/* Checks deadlines that have no timer of their own. Re-arms itself only while any are pending. */
static void on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    struct conn *c, *next;
    struct pool *pool;
    struct worker *w;
    bool more = false;
    (void)fd;
    (void)what;
    s->loop.housekeeping_on = false;
    loop_tick(&s->loop);
    for (c = TAILQ_FIRST(&s->connections.all); c; c = next) {
        next = TAILQ_NEXT(c, link);
        more |= conn_housekeeping(c);
    }
    TAILQ_FOREACH (pool, &s->workers.pools, link)
        TAILQ_FOREACH (w, &pool->members, link)
            if (w->retiring && !w->kill_sent) {
                more = true;
                if (s->loop.now_ns - w->retired_ns > RETIRE_GRACE_NS)
                    worker_kill(&s->workers, &w->core);
            }
    if (s->workers.deaths.lanes.wanted)
        lane_reserve_trim(&s->workers.deaths.lanes);
    more |= s->workers.deaths.lanes.wanted || s->workers.deaths.orphans.wanted;
    more |= !TAILQ_EMPTY(
        &s->workers.paused); /* doorbells of paused workers are not read and do not wake us: poll now and then */
    if (more)
        loop_need_housekeeping(&s->loop);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    notify("WATCHDOG=1"); /* from the loop itself, so that the watchdog detects a stalled loop */
}

/* ---- the pass ---- */

/* Each worker in turn, until the results are too many to copy in one pass. */
static unsigned collect(struct supervisor *s)
{
    struct worker *w, *next, *last = TAILQ_LAST(&s->workers.busy, worker_list);
    unsigned n = 0;
    s->workers.collected_bytes = 0;
    for (w = TAILQ_FIRST(&s->workers.busy); w; w = next) {
        next = w == last ? NULL : TAILQ_NEXT(w, busy);
        if (w->broke || !worker_has_result(w))
            continue;
        n += worker_collect(w);
        if (s->workers.collected_bytes < COLLECT_BYTES)
            continue;
        if (next) { /* the rest are first in the next pass */
            loop_defer(&s->loop);
            while ((w = TAILQ_FIRST(&s->workers.busy)) != next) {
                TAILQ_REMOVE(&s->workers.busy, w, busy);
                TAILQ_INSERT_TAIL(&s->workers.busy, w, busy);
            }
        }
        break;
    }
    return n;
}

static void pools_run(struct supervisor *s)
{
    struct pool *pool, *next;
    for (pool = TAILQ_FIRST(&s->workers.pools); pool; pool = next) {
        next = TAILQ_NEXT(pool, link);
        if (pool->drop_wanted) {
            task_worker_ops.drop_absent(&s->tasks, pool);
            s->loop.again = true;
        }
        if (pool->empty && TAILQ_EMPTY(&pool->members)) {
            log_info("pool=%s is gone", pool->name);
            struct conn *c;
            TAILQ_FOREACH (c, &s->connections.blocked, blocked)
                if (c->wait_for == pool)
                    c->wait_for = NULL;
            TAILQ_REMOVE(&s->workers.pools, pool, link);
            pool_free(pool);
        }
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* One pass after event handling: collect results, schedule, flush. */
/* *ret_worked: it did something. → true if there is more to do and the loop must not sleep. */
static bool pass(struct supervisor *s, bool *ret_worked)
{
    struct worker *w;
    struct conn *c, *next;
    s->loop.again = false;
    s->loop.stats.loop_passes++;
    s->connections.turn_ns = 0;
    loop_tick(&s->loop);
    unsigned collected = collect(s);
    if (!TAILQ_EMPTY(&s->workers.paused))
        worker_resume_output(&s->workers);
    maps_run(&s->tasks);
    large_replies_run(&s->tasks);
    queues_run(s->service.objects);
    objects_run(s->service.objects);
    nested_run(&s->tasks);
    core_run(s->service.core, s->loop.now_ns);
    conn_resume_blocked(&s->connections);
    if (orphans_are_overdue(&s->workers))
        orphans_look(&s->workers);
    worker_spawn_wanted(&s->workers);
    orphans_look(&s->workers); /* otherwise when the next workers have been requested */
    pools_run(s);
    bool given = !TAILQ_EMPTY(&s->workers.dirty);
    while ((w = TAILQ_FIRST(&s->workers.dirty)))
        worker_post(w);
    if (given)
        oom_look(&s->workers.deaths.oom, s->loop.now_ns);
    /* Connections that become dirty during this loop wait for the next pass, so that it ends. */
    struct conn *last = TAILQ_LAST(&s->connections.dirty, conn_list);
    bool held = spin_policy_hold(&s->workers, collected > 0);
    for (c = TAILQ_FIRST(&s->connections.dirty); c; c = next) {
        next = c == last ? NULL : TAILQ_NEXT(c, dirty);
        uint64_t deferrals = s->loop.stats.loop_deferrals;
        if (!held || !conn_may_be_held(c))
            conn_flush(c);
        if (s->loop.stats.loop_deferrals > deferrals && !loop_has_time(&s->loop))
            break; /* the rest are first in the next pass */
    }
    uint64_t next_ns = core_next_ns(s->service.core);
    if (next_ns > 0)
        deadline_set(&s->core_deadline, earlier(next_ns, queues_next_ns(s->service.objects)));
    bool more = next_ns == 0 || s->loop.again || !TAILQ_EMPTY(&s->connections.dirty) ||
                !TAILQ_EMPTY(&s->tasks.dirty_maps) || !TAILQ_EMPTY(&s->workers.dirty) ||
                (collected > 0 && !TAILQ_EMPTY(&s->workers.busy));
    *ret_worked = more || collected > 0;
    return more;
}

static bool something_to_collect(const struct workers *workers)
{
    const struct worker *w;
    TAILQ_FOREACH (w, &workers->busy, busy)
        if (!w->broke && worker_has_result(w))
            return true;
    return false;
}

/* Is all work finished? If so, allow a short grace for unsent replies, then exit. */
static bool is_over(struct supervisor *s)
{
    const struct conn *c;
    if (!s->loop.stopping || !core_is_empty(s->service.core) || !TAILQ_EMPTY(&s->tasks.maps) ||
        !TAILQ_EMPTY(&s->tasks.large_replies))
        return false;
    if (s->flush_until_ns == 0)
        s->flush_until_ns = s->loop.now_ns + FLUSH_GRACE_NS;
    TAILQ_FOREACH (c, &s->connections.all, link)
        if (!conn_is_closed(c) && conn_unsent(c) > 0 && s->loop.now_ns < s->flush_until_ns) {
            loop_need_housekeeping(&s->loop); /* so that the loop wakes for the deadline */
            return false;
        }
    return true;
}

int supervisor_run(struct supervisor *s)
{
    log_info("serving version=%s socket=%s pools=%zu", MPOOL_VERSION, listener_path(s->connections.listener),
        s->config->pool_count);
    listener_start(s->connections.listener);
    while (!is_over(s)) {
        int flags = EVLOOP_ONCE;
        bool worked, more = pass(s, &worked);
        if (worked) {
            spin_policy_worked(&s->workers.spin);
            if (spin_policy_pause(&s->workers, something_to_collect))
                continue;
        }
        if (more) {
            flags |= EVLOOP_NONBLOCK;
        } else if (spin_policy_wait(&s->workers, something_to_collect)) {
            flags |= EVLOOP_NONBLOCK;
        } else if (s->workers.deaths.lanes.wanted && s->workers.unforked == 0) {
            lane_reserve_trim(&s->workers.deaths.lanes); /* clients waiting for the next worker come first */
            flags |= EVLOOP_NONBLOCK;
        } else {
            /* First declare that we sleep, then check the lanes once more: a worker that published before it saw the
             * declaration is found here, one that publishes after it rings. See sleep_word_declare(). */
            sleep_word_declare(s->workers.sleep_word);
            if (something_to_collect(&s->workers))
                flags |= EVLOOP_NONBLOCK;
            else
                s->loop.stats.loop_sleeps++;
        }
        if (event_base_loop(s->loop.base, flags) < 0) {
            log_error("the event loop failed: %s", strerror(errno));
            return 1;
        }
        sleep_word_clear(s->workers.sleep_word);
    }
    log_info("stopped");
    return 0;
}

/* SIGTERM: the first one with the configured grace, the second one at once. */
static void supervisor_stop(struct supervisor *s)
{
    uint64_t grace = s->loop.stopping ? 0 : s->config->stop_grace_ms;
    if (!s->loop.stopping) {
        s->loop.stopping = true;
        notify("STOPPING=1");
        listener_close(s->connections.listener);
        struct map *m;
        TAILQ_FOREACH (m, &s->tasks.maps, every)
            map_touch(m);
    }
    log_info("stopping grace_ms=%llu", (unsigned long long)grace);
    core_stop(s->service.core, grace, s->loop.now_ns);
    s->loop.again = true;
}

/* ---- birth and end ---- */

static int start_pools(struct supervisor *s)
{
    for (size_t i = 0; i < s->config->pool_count; i++) {
        struct pool *pool = pool_new(&s->workers, &s->config->pools[i]);
        if (!pool)
            return -ENOMEM;
        TAILQ_INSERT_TAIL(&s->workers.pools, pool, link);
    }
    return 0;
}

static int watch_signals(struct supervisor *s)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, GUARDIAN_STOP, GUARDIAN_GONE};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        signal(numbers[i], SIG_DFL); /* our parent may have ignored some: nohup does */
        sigaddset(&set, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit should be a write error */
    /* Read, not handled: system calls are not interrupted, and a worker's exit needs no handler. Forkservers start with
     * a signal mask of their own. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return -errno;
    s->on_signals = event_new(s->loop.base, s->signal_fd, EV_READ | EV_PERSIST, on_signals, s);
    return !s->on_signals || event_add(s->on_signals, NULL) < 0 ? -ENOMEM : 0;
}

static int watch_watchdog(struct supervisor *s)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0 || usec == 0)
        return 0;
    struct timeval tv = {.tv_sec = (time_t)(usec / 3 / 1000000), .tv_usec = (suseconds_t)(usec / 3 % 1000000)};
    s->watchdog = event_new(s->loop.base, -1, EV_PERSIST, on_watchdog, s);
    return !s->watchdog || event_add(s->watchdog, &tv) < 0 ? -ENOMEM : 0;
}

/* Connections and lanes need descriptors, arrays need large files: raise the soft limits to the hard ones. Forkservers
 * get the original limits back. */
static void raise_limits(struct supervisor *s)
{
    struct rlimit limit;
    start_raise_limits();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        s->descriptors.limit = limit.rlim_max;
}

static uint64_t random_key(void)
{
    uint64_t key;
    if (getrandom(&key, sizeof key, GRND_NONBLOCK) != (ssize_t)sizeof key)
        key = clock_now_ns() ^ clock_wall_ms() << 32 ^
              (uint64_t)(uintptr_t)&key; /* at boot there may be no entropy yet */
    return key;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    return base;
}

/* Connects the modules: each folder gets pointers to those below it. */
static void wire_up(struct supervisor *s)
{
    s->connections.loop = s->workers.loop = s->tasks.loop = s->service.loop = &s->loop;
    s->connections.handler = &rpc_conn_handler;
    s->connections.service = &s->service;
    s->connections.descriptors = &s->descriptors;
    s->workers.ops = &task_worker_ops;
    s->workers.tasks = &s->tasks;
    s->tasks.connections = s->service.connections = &s->connections;
    s->tasks.workers = s->service.workers = &s->workers;
    s->service.tasks = &s->tasks;
    s->descriptors =
        (struct descriptors){.limit = RLIM_INFINITY, .workers_lacking = workers_lacking, .context = &s->workers};
    TAILQ_INIT(&s->connections.all);
    TAILQ_INIT(&s->connections.dirty);
    TAILQ_INIT(&s->connections.blocked);
    TAILQ_INIT(&s->workers.pools);
    TAILQ_INIT(&s->workers.busy);
    TAILQ_INIT(&s->workers.dirty);
    TAILQ_INIT(&s->workers.paused);
}

void supervisor_configure(struct supervisor *s)
{
    s->connections.config = s->workers.config = s->tasks.config = s->service.config = s->config;
    if (s->service.objects) {
        s->service.objects->config = s->config;
        objects_configure(s->service.objects);
    }
    spin_policy_configure(&s->workers.spin, s->config->spin);
    if (s->connections.shares)
        shares_configure(s->connections.shares, s->config);
}

static int make_parts(struct supervisor *s)
{
    s->loop.base = new_base();
    s->workers.functions = function_index_new();
    s->tasks.descent = descent_new();
    s->connections.shares = shares_new(s->config);
    s->connections.lingering_closes = lingering_closes_new(&s->connections);
    if (!s->connections.shares)
        return -ENOMEM;
    s->service.objects = objects_new(&s->loop, s->config, &s->descriptors, s->connections.shares);
    s->service.core = s->workers.core = s->tasks.core = core_new(&ops, &s->workers);
    if (s->loop.base)
        s->loop.housekeeping = evtimer_new(s->loop.base, on_housekeeping, s);
    if (!s->workers.functions || !s->tasks.descent || !s->connections.lingering_closes || !s->service.objects ||
        !s->service.core || !s->loop.housekeeping)
        return -ENOMEM;
    int r = deadline_init(&s->core_deadline, s->loop.base);
    if (r == 0)
        r = sleep_word_new(&s->workers.sleep_word);
    if (r == 0)
        r = watch_signals(s);
    return r == 0 ? watch_watchdog(s) : r;
}

int supervisor_new(struct supervisor **ret, struct config *config, const struct config_arguments *arguments)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s) {
        config_free(config);
        return -ENOMEM;
    }
    s->config = config;
    s->arguments = *arguments;
    s->core_deadline.fd = s->signal_fd = -1;
    wire_up(s);
    loop_tick(&s->loop);
    s->service.start_ns = s->loop.now_ns;
    s->service.start_wall_ms = s->loop.wall_ms;
    tasks_init(&s->tasks);
    oom_init(&s->workers.deaths.oom, s->loop.now_ns);
    spin_policy_init(&s->workers.spin);
    supervisor_configure(s);
    s->connections.hash_key = random_key();
    raise_limits(s);
    orphans_init();
    int r = make_parts(s);
    if (r < 0)
        log_error("cannot start: %s", strerror(-r));
    if (r == 0)
        r = listener_new(&s->connections.listener, &s->connections);
    if (r == 0) {
        s->workers.socket_path = listener_path(s->connections.listener);
        s->workers.socket_is_private = listener_is_private(s->connections.listener);
        r = start_pools(s);
    }
    if (r == 0)
        shares_set_descriptors(s->connections.shares, descriptors_for_peers(&s->descriptors));
    if (r < 0) {
        supervisor_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void supervisor_free(struct supervisor *s)
{
    struct pool *pool;
    struct conn *c;
    struct job *job;
    if (!s)
        return;
    objects_shut(s->service.objects);
    while ((c = TAILQ_FIRST(&s->connections.all)))
        conn_free(c);
    objects_free(s->service.objects);
    while ((job = TAILQ_FIRST(&s->tasks.jobs)))
        job_free(&s->tasks, job);
    while ((pool = TAILQ_FIRST(&s->workers.pools))) {
        TAILQ_REMOVE(&s->workers.pools, pool, link);
        pool_free(pool);
    }
    templates_end(&s->workers);
    listener_free(s->connections.listener);
    lingering_closes_free(s->connections.lingering_closes);
    orphans_end();
    deadline_deinit(&s->core_deadline);
    struct event *events[] = {s->on_signals, s->loop.housekeeping, s->watchdog};
    for (size_t i = 0; i < ELEMENTS(events); i++)
        if (events[i])
            event_free(events[i]);
    fd_close(&s->signal_fd);
    oom_deinit(&s->workers.deaths.oom);
    if (s->service.core)
        core_free(s->service.core);
    function_index_free(s->workers.functions);
    descent_free(s->tasks.descent);
    free(s->workers.users);
    shares_free(s->connections.shares);
    task_rooms_free(&s->tasks);
    lane_reserve_free(&s->workers.deaths.lanes);
    orphans_free(&s->workers);
    sleep_word_free(s->workers.sleep_word);
    if (s->loop.base)
        event_base_free(s->loop.base);
    config_free(s->config);
    free(s);
}
