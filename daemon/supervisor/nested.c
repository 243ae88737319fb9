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
            TAILQ_INSERT_TAIL(&c->supervisor->nested_conns, c, nested);
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

static void wait_no_more(struct conn *c)
{
    struct worker *w = c->inside;
    if (!c->inside_waits)
        return;
    c->inside_waits = false;
    if (--w->waits == 0)
        core_worker_waiting(c->supervisor->core, &w->core, false, c->supervisor->now_ns);
}

void nested_settle(struct conn *c)
{
    if (c->inside_waits && (c->closed || (c->in_flight == 0 && !c->in_room)))
        wait_no_more(c);
}

static void leave(struct conn *c)
{
    TAILQ_REMOVE(&c->supervisor->nested_conns, c, nested);
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
    struct conn *c, *next;
    for (c = TAILQ_FIRST(&w->supervisor->nested_conns); c; c = next) {
        next = TAILQ_NEXT(c, nested);
        if (c->inside == w)
            leave(c);
    }
}
