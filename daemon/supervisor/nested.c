#include "daemon/supervisor/nested.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/rpc.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/kept.h"
#include "daemon/supervisor/worker.h"

#define GENERATIONS_MAX 16 /* between a worker and the peer: a shell, a script, a tool */

/* → 0: it is gone, or nobody's child. */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    _cleanup_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *after_name = strrchr(text, ')'); /* the name may hold anything */
    int parent;
    return after_name && sscanf(after_name, ") %*c %d", &parent) == 1 ? parent : 0;
}

static struct worker *worker_of_pid(const struct supervisor *s, pid_t pid)
{
    struct pool *pool;
    struct worker *w;
    TAILQ_FOREACH (pool, &s->pools, link)
        TAILQ_FOREACH (w, &pool->workers, link)
            if (w->pid == pid)
                return w;
    return NULL;
}

static struct worker *find(const struct supervisor *s, pid_t pid)
{
    const pid_t own = getpid();
    for (int i = 0; i < GENERATIONS_MAX && pid > 1 && pid != own; i++, pid = parent_of(pid)) {
        struct worker *w = worker_of_pid(s, pid);
        if (w)
            return w;
    }
    return NULL;
}

bool nested_inside(struct conn *c)
{
    /* While no worker has anything to do it does not matter, and is not worth looking up. */
    if (!c->inside_known && c->supervisor->busy_count > 0) {
        c->inside_known = true;
        c->inside = find(c->supervisor, c->pid);
        if (c->inside)
            TAILQ_INSERT_TAIL(&c->inside->conns, c, of_inside);
    }
    return c->inside != NULL;
}

static void begin_to_wait(struct conn *c)
{
    struct worker *w = c->inside;
    w->waits += !c->inside_waits;
    c->inside_waits = true;
    core_worker_waiting(c->supervisor->core, &w->core, true, c->supervisor->now_ns);
}

bool nested_may_wait(struct rpc *r)
{
    struct conn *c = r->conn;
    if (r->no_reply || !nested_inside(c))
        return true;
    const struct worker *w = c->inside;
    if (!core_worker_may_wait(&w->core)) {
        rpc_fail(r, MPOOL_E_BUSY,
            "%u workers of pool %s wait for tasks already, and one more would leave nobody to run them (max_nested)",
            w->pool->config->max_nested, w->pool->name);
        return false;
    }
    begin_to_wait(c);
    return true;
}

void nested_waits(struct conn *c)
{
    if (nested_inside(c) && core_worker_may_wait(&c->inside->core))
        begin_to_wait(c);
}

/* ---- the tasks that it waits for ---- */

bool nested_goes_ahead(const struct conn *c)
{
    return c->inside_waits && !c->inside->leader;
}

static bool become_child(struct worker *w, struct task *t)
{
    t->parent = w;
    TAILQ_INSERT_TAIL(&w->children, t, sibling);
    if (w->leader)
        return false;
    w->leader = t;
    return true;
}

void nested_submit(const struct conn *c, struct task *t, bool front)
{
    const struct supervisor *s = c->supervisor;
    if (become_child(c->inside, t))
        core_submit_ahead(s->core, &t->core, s->now_ns);
    else if (front)
        core_submit_front(s->core, &t->core, s->now_ns);
    else
        core_submit(s->core, &t->core, s->now_ns);
}

void nested_adopt(const struct conn *c, struct task *t)
{
    const struct supervisor *s = c->supervisor;
    if (c->inside_waits && !t->parent && !t->kept->process && become_child(c->inside, t))
        core_lead(s->core, &t->core, s->now_ns);
}

void nested_end(struct task *t)
{
    struct worker *w = t->parent;
    if (!w)
        return;
    TAILQ_REMOVE(&w->children, t, sibling);
    t->parent = NULL;
    if (w->leader != t)
        return;
    w->leader = TAILQ_FIRST(&w->children);
    if (w->leader)
        core_lead(w->supervisor->core, &w->leader->core, w->supervisor->now_ns);
}

/* Nobody waits for them any more. */
static void let_children_go(struct worker *w)
{
    struct task *t;
    w->leader = NULL;
    while ((t = TAILQ_FIRST(&w->children))) {
        TAILQ_REMOVE(&w->children, t, sibling);
        t->parent = NULL;
    }
}

/* ---- the end of waiting ---- */

static void wait_no_more(struct conn *c)
{
    struct worker *w = c->inside;
    if (!c->inside_waits)
        return;
    c->inside_waits = false;
    if (--w->waits > 0)
        return;
    let_children_go(w);
    core_worker_waiting(c->supervisor->core, &w->core, false, c->supervisor->now_ns);
}

void nested_answered(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    if (!c->inside_waits || c->in_answered)
        return;
    c->in_answered = true;
    TAILQ_INSERT_TAIL(&s->answered_conns, c, answered);
    s->again = true;
}

static void strike_out(struct conn *c)
{
    if (c->in_answered)
        TAILQ_REMOVE(&c->supervisor->answered_conns, c, answered);
    c->in_answered = false;
}

void nested_run(struct supervisor *s)
{
    struct conn *c;
    while ((c = TAILQ_FIRST(&s->answered_conns))) {
        strike_out(c);
        if (c->closed || (c->in_flight == 0 && !c->in_room)) /* it may have asked for more meanwhile */
            wait_no_more(c);
    }
}

static void leave(struct conn *c)
{
    strike_out(c);
    TAILQ_REMOVE(&c->inside->conns, c, of_inside);
    c->inside = NULL;
    c->inside_waits = false;
}

void nested_leave(struct conn *c)
{
    if (!c->inside)
        return;
    wait_no_more(c);
    leave(c);
}

void nested_forget(struct worker *w)
{
    struct conn *c;
    let_children_go(w);
    while ((c = TAILQ_FIRST(&w->conns)))
        leave(c);
}
