#include "daemon/task/nested.h"

#include <stdio.h>

#include "daemon/conn/conn.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/worker.h"
#include "daemon/task/conn_tasks.h"
#include "daemon/task/descent.h"
#include "daemon/task/job.h"
#include "daemon/task/tasks.h"

static void begin_to_wait(struct conn *c)
{
    struct worker *w = c->tasks->inside;
    w->waits += !c->tasks->inside_waits;
    c->tasks->inside_waits = true;
    core_worker_waiting(&w->core, true, c->tasks->all->loop->now_ns);
}

bool nested_may_wait(struct conn *c, char *why, size_t size)
{
    const struct worker *w = descent_worker(c);
    if (!w)
        return true;
    if (!core_worker_may_wait(&w->core)) {
        snprintf(why, size,
            "pool %s: %u workers already wait for nested tasks (max_nested); with one more, none would be left to run "
            "them",
            w->pool->name, w->pool->config->max_nested);
        return false;
    }
    begin_to_wait(c);
    return true;
}

void nested_waits(struct conn *c)
{
    const struct worker *w = descent_worker(c);
    if (w && core_worker_may_wait(&w->core))
        begin_to_wait(c);
}

/* ---- the tasks that a worker waits for ---- */

bool nested_goes_ahead(const struct conn *c)
{
    return c->tasks->inside_waits && !c->tasks->inside->leader;
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
    const struct tasks *tasks = c->tasks->all;
    if (become_child(c->tasks->inside, t))
        core_submit_ahead(&t->core, tasks->loop->now_ns);
    else if (front)
        core_submit_front(&t->core, tasks->loop->now_ns);
    else
        core_submit(&t->core, tasks->loop->now_ns);
}

void nested_adopt(const struct conn *c, struct task *t)
{
    const struct tasks *tasks = c->tasks->all;
    if (c->tasks->inside_waits && !t->parent && !t->job->process && become_child(c->tasks->inside, t))
        core_lead(&t->core, tasks->loop->now_ns);
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
        core_lead(&w->leader->core, w->workers->loop->now_ns);
}

/* They no longer have a waiting parent. */
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
    struct worker *w = c->tasks->inside;
    if (!c->tasks->inside_waits)
        return;
    c->tasks->inside_waits = false;
    if (--w->waits > 0)
        return;
    let_children_go(w);
    core_worker_waiting(&w->core, false, c->tasks->all->loop->now_ns);
}

void nested_answered(struct conn *c)
{
    struct tasks *tasks = c->tasks->all;
    if (!c->tasks->inside_waits || c->tasks->in_answered)
        return;
    c->tasks->in_answered = true;
    TAILQ_INSERT_TAIL(&tasks->answered, c->tasks, answered);
    tasks->loop->again = true;
}

static void strike_out(struct conn *c)
{
    if (c->tasks->in_answered)
        TAILQ_REMOVE(&c->tasks->all->answered, c->tasks, answered);
    c->tasks->in_answered = false;
}

void nested_run(struct tasks *tasks)
{
    const struct conn_tasks *own;
    while ((own = TAILQ_FIRST(&tasks->answered))) {
        struct conn *c = own->conn;
        strike_out(c);
        if (conn_is_closed(c) || (c->in_flight == 0 && !c->in_blocked)) /* it may have sent another request meanwhile */
            wait_no_more(c);
    }
}

void nested_leave(struct conn *c)
{
    if (c->tasks->inside)
        wait_no_more(c);
    strike_out(c);
    descent_leave(c);
}

void nested_forget(struct worker *w)
{
    struct conn_tasks *own;
    let_children_go(w);
    TAILQ_FOREACH (own, &w->clients, of_inside) {
        strike_out(own->conn);
        own->inside_waits = false;
    }
    descent_forget(w);
}
