/* The one state of the supervisor, and the pass of its loop.
 *
 * Everything here lives on one thread. A pass: events are handled (they only take in: requests, pool messages, deaths),
 * lanes are collected, the heart runs once, then what became dirty is put out: one store and at most one wake per
 * worker, one write per client. See supervisor.c for the order and why nothing can be missed while it sleeps.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/base/clock.h"
#include "daemon/core/core.h"
#include "daemon/core/timer.h"
#include "daemon/supervisor/attached.h"
#include "daemon/config/config.h"
#include "daemon/supervisor/deadline.h"
#include "daemon/supervisor/deaths.h"
#include "daemon/supervisor/spinners.h"

struct conn;
struct descent;
struct kept;
struct farewells;
struct large_reply;
struct map;
struct pool;
struct task;
struct task_room;
struct worker;
struct listener;
struct names;
struct objects;
struct parties;
struct shares;

TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(kept_list, kept);
TAILQ_HEAD(large_reply_list, large_reply);
TAILQ_HEAD(maps, map);
TAILQ_HEAD(pool_list, pool);
TAILQ_HEAD(process_list, process);
TAILQ_HEAD(task_list, task);
TAILQ_HEAD(worker_list, worker);
LIST_HEAD(template_list, template);

/* Ids of detached tasks: milliseconds since 2026 at the daemon's start, then counted on; so they are short, and none is
 * used twice. Those that a daemon may have given before this one began with the day of the first one. Attached calls
 * and chunks count in a range of their own. All are below 2^53. */
#define SUPERVISOR_ID_EPOCH_MS 1767225600000ull
#define SUPERVISOR_FIRST_ID    1000ull
#define SUPERVISOR_OLDEST_ID   (324ull * 86400000) /* 2026-11-21 */
#define SUPERVISOR_ATTACHED_ID (1ull << 52)

/* Counters since the start, by the names that `stats` shows: those of tasks, and the rest. */
#define SUPERVISOR_TASK_STATS(X)                                                                                       \
    X(submitted) X(done) X(failed) X(lost) X(timeout) X(cancelled) X(shutdown) X(retried) X(expired) X(items)
#define SUPERVISOR_STATS(X)                                                                                            \
    X(requests)                                                                                                        \
    X(connections_accepted)                                                                                            \
    X(connections_refused)                                                                                             \
    X(connections_closed_for_stalling)                                                                                 \
    X(workers_born)                                                                                                    \
    X(workers_died)                                                                                                    \
    X(workers_killed)                                                                                                  \
    X(workers_broke_protocol)                                                                                          \
    X(orphans_killed)                                                                                                  \
    X(loop_passes)                                                                                                     \
    X(loop_deferrals)                                                                                                  \
    X(loop_sleeps)

struct supervisor_stats {
#define X(name) uint64_t name;
    SUPERVISOR_STATS(X)
    struct {
        SUPERVISOR_TASK_STATS(X)
    } tasks;
#undef X
};

struct supervisor {
    struct event_base *base;
    struct config *config;
    struct config_arguments arguments; /* for reading the configuration again */
    struct core *core;
    struct beacon *beacon;
    struct listener *listener;
    struct farewells *farewells; /* peers that have been told why they are closed */
    struct names *names;         /* functions by name, over all pools */

    struct pool_list pools; /* in the configuration's order, the default pool first; closing ones at the end */
    struct conn_list conns;
    struct conn_list dirty_conns;    /* have bytes to send, or wait to be read again */
    struct worker_list busy_workers; /* have something in their lane */
    uint32_t busy_count;
    struct worker_list dirty_workers; /* have something placed and not posted */
    struct spinners spinners;
    struct worker_list muted_workers; /* not read, as their task's caller does not read what it prints */
    struct task_list calls;           /* attached calls, newest first */
    struct maps maps;                 /* newest first */
    struct large_reply_list large_replies;
    struct descent *descent;         /* who is inside a worker? */
    struct conn_list answered_conns; /* of peers inside workers: may wait no more, see nested.h */
    struct process_list processes;   /* that have not ended: see process.h */
    struct kept *kept_by_id;         /* hash */
    struct kept_list kept;           /* newest first */
    struct objects *objects;         /* shared ones */
    struct parties *parties;         /* who has them open */
    struct shares *shares;           /* what its users hold */

    struct core_timers queue_timers; /* of requests that wait at queues */
    struct deadline core_deadline;   /* of the heart, and of those */
    int signal_fd;
    struct event *on_signals;
    struct event *watchdog;     /* only under a service manager that wants it */
    struct event *housekeeping; /* armed only while something needs it */
    bool housekeeping_on;

    uint64_t now_ns, wall_ms; /* of this pass, or of the event that is handled: see supervisor_tick() */
    uint64_t start_ns, start_wall_ms;
    uint64_t next_task_id, first_task_id; /* detached ones */
    uint64_t next_attached_id;
    struct deaths deaths;
    struct template_list templates; /* all whose process has not been reaped */
    uint32_t unforked;              /* workers that were asked of a template which has not answered yet */
    uint32_t next_worker;
    uint64_t next_generation;
    uint64_t hard_nofile;           /* and what it may use; RLIM_INFINITY: no limit */
    struct conn_list waiting_conns; /* have stopped at a message, in the order of their coming; see conn->waits_for */
    uint64_t turn_ns;               /* that requests have taken in this pass */
    uint64_t collected_bytes;       /* of results, in this pass */
    uint64_t hash_key;              /* of tables whose keys clients choose: they cannot know where a key falls */
    struct task_room *task_rooms;   /* memory of small tasks that have ended, kept for the next ones */
    uint32_t task_room_count;
    struct attached_table attached_calls, attached_maps;

    bool spawns_wanted;     /* of some pool */
    bool again;             /* this pass has made work for another one: do not sleep */
    struct maps dirty_maps; /* may have room for another chunk, or have ended */
    bool stopping;
    uint32_t stops_direct, stops_passed_on, stops_heeded; /* SIGTERMs, by the way they came */
    uint64_t flush_until_ns; /* after the last task: how long replies may still be written */
    struct supervisor_stats stats;
};

/* config: taken. listen_fd: taken, or -1 to make the socket. → 0 or -errno; what is wrong has been logged. */
int supervisor_new(struct supervisor **ret, struct config *config, const struct config_arguments *arguments);
void supervisor_free(struct supervisor *s);

/* Runs until it was told to stop and has stopped. → the exit status. */
int supervisor_run(struct supervisor *s);

/* What time is it? Read once a pass and once an event, not once a task. Every handler of an event begins with it, as it
 * runs after a sleep of any length. */
static inline void supervisor_tick(struct supervisor *s)
{
    s->now_ns = clock_now_ns();
    s->wall_ms = clock_wall_ms();
}

/* No work holds the loop: whatever grows with what a client asks for (copies, writes, scans) goes on for a step of a
 * pass, and as long as there is time in it, then in the next one. So everybody else waits for a pass, not for the work.
 */
#define STEP_BYTES (1u << 20)
#define PASS_NS    (5 * NS_PER_MS)

static inline bool supervisor_has_time(const struct supervisor *s)
{
    return clock_now_ns() - s->now_ns < PASS_NS;
}

/* Some work goes on in the next pass. */
static inline void supervisor_defer(struct supervisor *s)
{
    s->stats.loop_deferrals++;
    s->again = true;
}

/* SIGTERM: the first time with the configured grace, the second time at once. */
void supervisor_stop(struct supervisor *s);

/* Asks for housekeeping (stalled connections, samples of worker memory) within the second. */
void supervisor_need_housekeeping(struct supervisor *s);
