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
#include "daemon/base/start.h"
#include "daemon/supervisor/descent.h"
#include "daemon/supervisor/descriptors.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/guardian.h"
#include "daemon/supervisor/kept.h"
#include "daemon/supervisor/farewell.h"
#include "daemon/supervisor/large_reply.h"
#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/map.h"
#include "daemon/supervisor/names.h"
#include "daemon/supervisor/nested.h"
#include "daemon/supervisor/notify.h"
#include "daemon/supervisor/objects.h"
#include "daemon/supervisor/orphans.h"
#include "daemon/supervisor/parties.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/queue.h"
#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/rpc.h"
#include "daemon/supervisor/shares.h"
#include "daemon/supervisor/task.h"
#include "daemon/supervisor/template.h"
#include "daemon/supervisor/worker.h"

#define COLLECT_BYTES   (4u << 20)     /* of results that lie in lanes, copied in one pass */
#define FLUSH_GRACE_NS  (2 * NS_PER_S) /* after the last task: how long replies may take to be read */
#define RETIRE_GRACE_NS (5 * NS_PER_S) /* for a worker that was asked to go */

static void pool_emptied(void *context, struct core_pool *core_pool)
{
    struct pool *pool = core_pool_userdata(core_pool);
    (void)context;
    pool->empty = --pool->hearts == 0;
    pool->supervisor->again = true;
}

static const struct core_ops ops = {
    .place = worker_place,
    .reclaim = worker_reclaim,
    .started = worker_started,
    .cancel = worker_cancel,
    .kill_task = worker_kill_task,
    .kill_worker = worker_kill,
    .retire = worker_retire,
    .spawn = worker_spawn,
    .finish = task_finished,
    .pool_empty = pool_emptied,
};

/* ---- signals and timers
 * ---------------------------------------------------------------------------------------------------------- */

/* Who stops a whole process group reaches us twice, directly and through the guardian: the two are counted apart, and
 * the larger count is how often we were told. */
static void told_to_stop(struct supervisor *s, uint32_t *count)
{
    if (++*count > s->stops_heeded) {
        s->stops_heeded = *count;
        supervisor_stop(s);
    }
}

static void heed(struct supervisor *s, int number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT: told_to_stop(s, &s->stops_direct); break;
    case GUARDIAN_STOP: told_to_stop(s, &s->stops_passed_on); break;
    case SIGHUP: reload(s); break;
    case GUARDIAN_GONE: /* the guardian is gone: nobody would clean up after us */
        log_error("the guardian was killed; stopping at once");
        supervisor_stop(s);
        core_stop(s->core, 0, s->now_ns);
        break;
    case SIGCHLD: orphans_want(s); break;
    default: break;
    }
}

static void on_signals(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    struct signalfd_siginfo info;
    (void)what;
    supervisor_tick(s);
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        heed(s, (int)info.ssi_signo);
}

void supervisor_need_housekeeping(struct supervisor *s)
{
    struct timeval tv = {.tv_usec = 500000};
    if (s->housekeeping_on)
        return;
    s->housekeeping_on = true;
    event_add(s->housekeeping, &tv);
}

/* Looks after what has a deadline that nobody else watches; asks for itself again only while there is something. */
static void on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    struct conn *c, *next;
    struct pool *pool;
    struct worker *w;
    bool more = false;
    (void)fd;
    (void)what;
    s->housekeeping_on = false;
    supervisor_tick(s);
    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, link);
        more |= conn_housekeeping(c);
    }
    TAILQ_FOREACH (pool, &s->pools, link)
        TAILQ_FOREACH (w, &pool->workers, link)
            if (w->retiring && !w->doomed) {
                more = true;
                if (s->now_ns - w->retired_ns > RETIRE_GRACE_NS)
                    worker_kill(s, &w->core);
            }
    if (s->deaths.lanes.wanted)
        lane_reserve_tidy(&s->deaths.lanes);
    more |= s->deaths.lanes.wanted || s->deaths.orphans.wanted;
    more |= !TAILQ_EMPTY(&s->muted_workers); /* a bell that is not read does not wake us: look at least now and then */
    if (more)
        supervisor_need_housekeeping(s);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    notify("WATCHDOG=1"); /* from the loop itself: a stalled loop is what it is to find */
}

/* ---- the pass
 * ----------------------------------------------------------------------------------------------------------------------
 */

/* Each worker in its turn, until the results are too much to be copied in one pass. */
static unsigned collect(struct supervisor *s)
{
    struct worker *w, *next, *last = TAILQ_LAST(&s->busy_workers, worker_list);
    unsigned n = 0;
    s->collected_bytes = 0;
    for (w = TAILQ_FIRST(&s->busy_workers); w; w = next) {
        next = w == last ? NULL : TAILQ_NEXT(w, busy);
        if (w->broke || !worker_has_result(w))
            continue;
        n += worker_collect(w);
        if (s->collected_bytes < COLLECT_BYTES)
            continue;
        if (next) { /* they are the first in the next pass */
            supervisor_defer(s);
            while ((w = TAILQ_FIRST(&s->busy_workers)) != next) {
                TAILQ_REMOVE(&s->busy_workers, w, busy);
                TAILQ_INSERT_TAIL(&s->busy_workers, w, busy);
            }
        }
        break;
    }
    return n;
}

static void pools_run(struct supervisor *s)
{
    struct pool *pool, *next;
    for (pool = TAILQ_FIRST(&s->pools); pool; pool = next) {
        next = TAILQ_NEXT(pool, link);
        if (pool->drop_wanted) {
            task_drop_absent(s, pool);
            s->again = true;
        }
        if (pool->empty && TAILQ_EMPTY(&pool->workers)) {
            log_info("pool=%s is gone", pool->name);
            struct conn *c;
            TAILQ_FOREACH (c, &s->waiting_conns, room)
                if (c->waits_for == pool)
                    c->waits_for = NULL;
            TAILQ_REMOVE(&s->pools, pool, link);
            pool_free(pool);
        }
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* One pass after the events: takes in, decides once, puts out. → it has made work for another one. */
/* *ret_worked: it did something. → there is more to do: no sleep. */
static bool pass(struct supervisor *s, bool *ret_worked)
{
    struct worker *w;
    struct conn *c, *next;
    s->again = false;
    s->stats.loop_passes++;
    s->turn_ns = 0;
    supervisor_tick(s);
    unsigned collected = collect(s);
    if (!TAILQ_EMPTY(&s->muted_workers))
        worker_unmute(s);
    maps_run(s);
    large_replies_run(s);
    queues_run(s);
    objects_run(s->objects);
    nested_run(s);
    core_run(s->core, s->now_ns);
    conn_serve_line(s);
    if (orphans_are_overdue(s))
        orphans_look(s);
    worker_spawn_wanted(s);
    orphans_look(s); /* else when the next workers are on their way */
    pools_run(s);
    bool given = !TAILQ_EMPTY(&s->dirty_workers);
    while ((w = TAILQ_FIRST(&s->dirty_workers)))
        worker_post(w);
    if (given)
        oom_look(&s->deaths.oom, s->now_ns);
    /* Those that are touched while this goes on wait for the next pass, so that it ends. */
    struct conn *last = TAILQ_LAST(&s->dirty_conns, conn_list);
    bool held = spinners_hold(s, collected > 0);
    for (c = TAILQ_FIRST(&s->dirty_conns); c; c = next) {
        next = c == last ? NULL : TAILQ_NEXT(c, dirty);
        uint64_t deferrals = s->stats.loop_deferrals;
        if (!held || !conn_may_be_held(c))
            conn_flush(c);
        if (s->stats.loop_deferrals > deferrals && !supervisor_has_time(s))
            break; /* the others are the first in the next pass */
    }
    uint64_t next_ns = core_next_ns(s->core);
    if (next_ns > 0)
        deadline_set(&s->core_deadline, earlier(next_ns, queues_next_ns(s)));
    bool more = next_ns == 0 || s->again || !TAILQ_EMPTY(&s->dirty_conns) || !TAILQ_EMPTY(&s->dirty_maps) ||
                !TAILQ_EMPTY(&s->dirty_workers) || (collected > 0 && !TAILQ_EMPTY(&s->busy_workers));
    *ret_worked = more || collected > 0;
    return more;
}

static bool something_to_collect(const struct supervisor *s)
{
    const struct worker *w;
    TAILQ_FOREACH (w, &s->busy_workers, busy)
        if (!w->broke && worker_has_result(w))
            return true;
    return false;
}

/* Has all that was begun come to its end? Then replies are flushed for a moment, and that is it. */
static bool is_over(struct supervisor *s)
{
    const struct conn *c;
    if (!s->stopping || !core_is_empty(s->core) || !TAILQ_EMPTY(&s->maps) || !TAILQ_EMPTY(&s->large_replies))
        return false;
    if (s->flush_until_ns == 0)
        s->flush_until_ns = s->now_ns + FLUSH_GRACE_NS;
    TAILQ_FOREACH (c, &s->conns, link)
        if (!c->closed && conn_unsent(c) > 0 && s->now_ns < s->flush_until_ns) {
            supervisor_need_housekeeping(s); /* so that the loop wakes for the deadline */
            return false;
        }
    return true;
}

int supervisor_run(struct supervisor *s)
{
    log_info(
        "serving version=%s socket=%s pools=%zu", MPOOL_VERSION, listener_path(s->listener), s->config->pool_count);
    listener_start(s->listener);
    while (!is_over(s)) {
        int flags = EVLOOP_ONCE;
        bool worked, more = pass(s, &worked);
        if (worked) {
            spinners_worked(&s->spinners);
            if (spinners_pause(s, something_to_collect))
                continue;
        }
        if (more) {
            flags |= EVLOOP_NONBLOCK;
        } else if (spinners_wait(s, something_to_collect)) {
            flags |= EVLOOP_NONBLOCK;
        } else if (s->deaths.lanes.wanted && s->unforked == 0) {
            lane_reserve_tidy(&s->deaths.lanes); /* whoever waits for the next worker comes first */
            flags |= EVLOOP_NONBLOCK;
        } else {
            /* Sleep is declared first, then the lanes are looked at once more: a worker that published before it saw
             * the declaration is seen here, one that publishes after it rings. See beacon_sleep(). */
            beacon_sleep(s->beacon);
            if (something_to_collect(s))
                flags |= EVLOOP_NONBLOCK;
            else
                s->stats.loop_sleeps++;
        }
        if (event_base_loop(s->base, flags) < 0) {
            log_error("the event loop failed: %s", strerror(errno));
            return 1;
        }
        beacon_wake(s->beacon);
    }
    log_info("stopped");
    return 0;
}

void supervisor_stop(struct supervisor *s)
{
    uint64_t grace = s->stopping ? 0 : s->config->stop_grace_ms;
    if (!s->stopping) {
        s->stopping = true;
        notify("STOPPING=1");
        listener_close(s->listener);
        struct map *m;
        TAILQ_FOREACH (m, &s->maps, every)
            map_touch(m);
    }
    log_info("stopping grace_ms=%llu", (unsigned long long)grace);
    core_stop(s->core, grace, s->now_ns);
    s->again = true;
}

/* ---- birth and end
 * ---------------------------------------------------------------------------------------------------------------------
 */

static int start_pools(struct supervisor *s)
{
    for (size_t i = 0; i < s->config->pool_count; i++) {
        struct pool *pool = pool_new(s, &s->config->pools[i]);
        if (!pool)
            return -ENOMEM;
        TAILQ_INSERT_TAIL(&s->pools, pool, link);
    }
    return 0;
}

static int watch_signals(struct supervisor *s)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, GUARDIAN_STOP, GUARDIAN_GONE};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        signal(numbers[i], SIG_DFL); /* whoever started us may ignore some: nohup does */
        sigaddset(&set, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is an error of its write */
    /* Read, not handled: no system call is interrupted, and a worker's death costs no handler. Templates begin with a
     * mask of their own. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return -errno;
    s->on_signals = event_new(s->base, s->signal_fd, EV_READ | EV_PERSIST, on_signals, s);
    return !s->on_signals || event_add(s->on_signals, NULL) < 0 ? -ENOMEM : 0;
}

static int watch_watchdog(struct supervisor *s)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0 || usec == 0)
        return 0;
    struct timeval tv = {.tv_sec = (time_t)(usec / 3 / 1000000), .tv_usec = (suseconds_t)(usec / 3 % 1000000)};
    s->watchdog = event_new(s->base, -1, EV_PERSIST, on_watchdog, s);
    return !s->watchdog || event_add(s->watchdog, &tv) < 0 ? -ENOMEM : 0;
}

/* Connections and lanes need descriptors, arrays need large files: the hard limits are ours to use. Templates get back
 * what we were started with. */
static void raise_limits(struct supervisor *s)
{
    struct rlimit limit;
    start_raise_limits();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        s->hard_nofile = limit.rlim_max;
}

static uint64_t random_key(void)
{
    uint64_t key;
    if (getrandom(&key, sizeof key, GRND_NONBLOCK) != (ssize_t)sizeof key)
        key = clock_now_ns() ^ clock_wall_ms() << 32 ^ (uint64_t)(uintptr_t)&key; /* before there is entropy: at boot */
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

int supervisor_new(struct supervisor **ret, struct config *config, const struct config_arguments *arguments)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s) {
        config_free(config);
        return -ENOMEM;
    }
    s->config = config;
    s->arguments = *arguments;
    TAILQ_INIT(&s->pools);
    TAILQ_INIT(&s->conns);
    TAILQ_INIT(&s->dirty_conns);
    TAILQ_INIT(&s->waiting_conns);
    TAILQ_INIT(&s->busy_workers);
    TAILQ_INIT(&s->dirty_workers);
    TAILQ_INIT(&s->muted_workers);
    TAILQ_INIT(&s->calls);
    TAILQ_INIT(&s->maps);
    TAILQ_INIT(&s->large_replies);
    TAILQ_INIT(&s->dirty_maps);
    TAILQ_INIT(&s->kept);
    TAILQ_INIT(&s->answered_conns);
    TAILQ_INIT(&s->processes);
    supervisor_tick(s);
    s->start_ns = s->now_ns;
    s->start_wall_ms = s->wall_ms;
    s->core_deadline.fd = s->signal_fd = -1;
    s->first_task_id = SUPERVISOR_FIRST_ID +
                       (s->start_wall_ms > SUPERVISOR_ID_EPOCH_MS ? s->start_wall_ms - SUPERVISOR_ID_EPOCH_MS : 0);
    s->next_task_id = s->first_task_id;
    s->next_attached_id = SUPERVISOR_ATTACHED_ID;
    oom_init(&s->deaths.oom, s->now_ns);
    spinners_init(&s->spinners);
    spinners_configure(&s->spinners, config->spin);
    s->hash_key = random_key();
    s->hard_nofile = RLIM_INFINITY;
    raise_limits(s);
    orphans_init();

    int r = 0;
    s->base = new_base();
    s->names = names_new();
    s->descent = descent_new();
    s->shares = shares_new(config);
    s->farewells = farewells_new(s);
    s->objects = objects_new(s);
    s->parties = parties_new(s);
    s->core = core_new(&ops, s);
    if (s->base) {
        r = deadline_init(&s->core_deadline, s->base);
        s->housekeeping = evtimer_new(s->base, on_housekeeping, s);
    }
    if (!s->base || !s->names || !s->descent || !s->shares || !s->farewells || !s->objects || !s->parties || !s->core ||
        !s->housekeeping)
        r = -ENOMEM;
    if (r == 0)
        r = beacon_new(&s->beacon);
    if (r == 0)
        r = watch_signals(s);
    if (r == 0)
        r = watch_watchdog(s);
    if (r < 0)
        log_error("cannot start: %s", strerror(-r));
    if (r == 0)
        r = listener_new(&s->listener, s);
    if (r == 0)
        r = start_pools(s);
    if (r == 0)
        shares_set_descriptors(s->shares, descriptors_for_peers(s));
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
    struct kept *k;
    if (!s)
        return;
    objects_shut(s->objects);
    while ((c = TAILQ_FIRST(&s->conns)))
        conn_free(c);
    objects_free(s->objects);
    parties_free(s->parties);
    while ((k = TAILQ_FIRST(&s->kept)))
        kept_free(s, k);
    while ((pool = TAILQ_FIRST(&s->pools))) {
        TAILQ_REMOVE(&s->pools, pool, link);
        pool_free(pool);
    }
    templates_end(s);
    listener_free(s->listener);
    farewells_free(s->farewells);
    orphans_end();
    deadline_deinit(&s->core_deadline);
    struct event *events[] = {s->on_signals, s->housekeeping, s->watchdog};
    for (size_t i = 0; i < ELEMENTS(events); i++)
        if (events[i])
            event_free(events[i]);
    fd_close(&s->signal_fd);
    oom_deinit(&s->deaths.oom);
    if (s->core)
        core_free(s->core);
    names_free(s->names);
    descent_free(s->descent);
    shares_free(s->shares);
    task_rooms_free(s);
    lane_reserve_free(&s->deaths.lanes);
    orphans_free(s);
    beacon_free(s->beacon);
    if (s->base)
        event_base_free(s->base);
    config_free(s->config);
    free(s);
}
