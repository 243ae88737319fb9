#include "daemon/task/descent.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/procfs.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn.h"
#include "daemon/pool/orphans.h"
#include "daemon/pool/worker.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/task.h"
#include "daemon/task/tasks.h"

#define GENERATIONS_MAX 32 /* maximum between a worker and the peer: shells, scripts, tools */
#define TRIES           3  /* parents may exit while they are being read */

#define KNOWN 32

struct descent {
    struct {
        pid_t pid;
        uint64_t start_ns;
    } outside[KNOWN]; /* processes known not to descend from us: shells and the like; the oldest is replaced */
    unsigned next;
};

struct descent *descent_new(void)
{
    return calloc(1, sizeof(struct descent));
}

void descent_free(struct descent *d)
{
    if (!d)
        return;
    free(d);
}

static bool is_admin(const struct conn *c)
{
    return c->uid == 0 || (c->uid == geteuid() && c->tasks->all->workers->socket_is_private);
}

void descent_begin(struct conn *c)
{
    c->tasks->kin = workers_run_as(c->tasks->all->workers, c->uid);
    c->unidentified = c->tasks->kin;
    c->caller->admin = !c->tasks->kin && is_admin(c);
}

/* ---- the look-up ---- */

enum descent_kind {
    DESCENT_OUTSIDE,
    DESCENT_INSIDE,
    DESCENT_TEMPLATE, /* a module that is being loaded */
    DESCENT_ORPHAN,   /* its worker, or the process that started it, is gone */
    DESCENT_UNBORN,   /* it may descend from a worker that has not been reported yet */
    DESCENT_UNKNOWN,
};

static bool is_known_outside(const struct descent *d, pid_t pid, uint64_t start_ns)
{
    for (unsigned i = 0; i < KNOWN; i++)
        if (d->outside[i].pid == pid && d->outside[i].start_ns == start_ns)
            return true;
    return false;
}

static void know_outside(struct descent *d, pid_t pid, uint64_t start_ns)
{
    if (is_known_outside(d, pid, start_ns))
        return;
    d->outside[d->next].pid = pid;
    d->outside[d->next].start_ns = start_ns;
    d->next = (d->next + 1) % KNOWN;
}

/* Walks up from the peer. A process seen to be outside never becomes a descendant, so the walk ends at the first
 * ancestor that is cached as outside, which usually is the second process, however many are above it.
 *
 * A pid may have been reused: the peer's, if that process started after the connection was accepted; a parent's, if it
 * started after its child. Then the result is unknown. */
static enum descent_kind walk(struct tasks *tasks, const struct conn *c, struct worker **ret)
{
    struct {
        pid_t pid;
        uint64_t start_ns;
    } seen[GENERATIONS_MAX];
    const pid_t own = getpid();
    pid_t pid = c->pid;
    uint64_t child_start_ns = c->accepted_boot_ns;
    /* Descendants can leave our pid namespace only for a nested one, where we still see them. */
    bool outside = pid == 0;
    int n = 0;
    for (; !outside; n++) {
        struct procfs_stat st;
        const struct child *child = orphans_find(tasks->workers, pid);
        *ret = child ? child->worker : NULL;
        if (child)
            return *ret ? DESCENT_INSIDE : child->orphan ? DESCENT_ORPHAN : DESCENT_TEMPLATE;
        if (pid == own)
            return tasks->workers->unforked > 0 ? DESCENT_UNBORN : DESCENT_ORPHAN;
        if (n == GENERATIONS_MAX || procfs_stat(pid, &st) < 0 || st.start_ns > child_start_ns)
            return DESCENT_UNKNOWN;
        seen[n].pid = pid;
        seen[n].start_ns = child_start_ns = st.start_ns;
        outside = st.parent <= 1 || is_known_outside(tasks->descent, pid, st.start_ns);
        pid = st.parent;
    }
    /* The peer, which may connect again, its parent and its grandparent: a script that is run by a shell. */
    for (int i = 0; i < n && i < 3; i++)
        know_outside(tasks->descent, seen[i].pid, seen[i].start_ns);
    return DESCENT_OUTSIDE;
}

static const char no_memory[] = "there is no memory to tell for whom";

static void go_inside(struct conn *c, struct worker *w)
{
    const struct task *t = task_running(w);
    c->tasks->inside = w;
    TAILQ_INSERT_TAIL(&w->clients, c->tasks, of_inside);
    if (c->pid == w->pid)
        return; /* see follow() */
    if (!t) {
        c->tasks->stray = "its worker runs no task now";
        c->tasks->inside_task = UINT64_MAX;
        return;
    }
    c->tasks->inside_task = task_public_id(t);
    if (!conn_act_for(c, t->caller))
        c->tasks->stray = no_memory;
}

/* → false: too early to say. */
static bool look_up(struct conn *c)
{
    struct tasks *tasks = c->tasks->all;
    struct worker *w = NULL;
    enum descent_kind kind = DESCENT_UNKNOWN;
    for (int i = 0; i < TRIES && kind == DESCENT_UNKNOWN; i++)
        kind = walk(tasks, c, &w);
    switch (kind) {
    case DESCENT_UNBORN: return false;
    case DESCENT_OUTSIDE: c->caller->admin = is_admin(c); break;
    case DESCENT_INSIDE: go_inside(c, w); break;
    case DESCENT_TEMPLATE: break;
    case DESCENT_ORPHAN: c->tasks->stray = "it has outlived its task"; break;
    case DESCENT_UNKNOWN: c->tasks->stray = "whether it belongs to a task cannot be told from /proc"; break;
    }
    c->tasks->inside_known = true;
    c->unidentified = false;
    return true;
}

void descent_settle(struct conn *c)
{
    if (c->tasks->kin && !c->tasks->inside_known)
        look_up(c);
}

/* ---- requests ---- */

struct worker *descent_worker(const struct conn *c)
{
    const struct task *t;
    if (!c->tasks->inside || c->tasks->inside_task == 0)
        return c->tasks->inside;
    t = task_running(c->tasks->inside);
    return t && task_public_id(t) == c->tasks->inside_task ? c->tasks->inside : NULL;
}

/* The worker's own connection acts for the task that the worker runs or, until the next one begins, for the last one it
 * ran. */
static void follow(struct conn *c)
{
    const struct task *t = task_running(c->tasks->inside);
    c->tasks->stray = t && !conn_act_for(c, t->caller) ? no_memory : NULL;
}

enum rpc_result descent_admits(struct conn *c, bool harmless, char *why, size_t size)
{
    struct conn_tasks *own = c->tasks;
    if (!own->inside_known && !look_up(c))
        return conn_wait_turn(c); /* until its forkserver has reported it */
    if (own->inside && own->inside_task == 0)
        follow(c);
    else if (own->inside && !own->stray && !descent_worker(c))
        own->stray = "its task is over";
    if (!own->stray || harmless || own->all->workers->socket_is_private)
        return RPC_CONTINUE;
    snprintf(why, size, "process %d runs as the user of workers, but for nobody: %s", (int)c->pid, own->stray);
    return RPC_ANSWERED;
}

/* ---- ends ---- */

void descent_leave(struct conn *c)
{
    if (!c->tasks->inside)
        return;
    TAILQ_REMOVE(&c->tasks->inside->clients, c->tasks, of_inside);
    c->tasks->inside = NULL;
}

void descent_forget(struct worker *w)
{
    struct conn_tasks *own;
    while ((own = TAILQ_FIRST(&w->clients))) {
        own->stray = "its worker has ended";
        descent_leave(own->conn);
    }
}
