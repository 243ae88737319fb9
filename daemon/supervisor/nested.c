#include "daemon/supervisor/nested.h"

#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/descent.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/rpc.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/kept.h"
#include "daemon/supervisor/worker.h"

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
    const struct worker *w = descent_worker(c);
    if (r->no_reply || !w)
        return true;
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
    const struct worker *w = descent_worker(c);
    if (w && core_worker_may_wait(&w->core))
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

void nested_leave(struct conn *c)
{
    if (c->inside)
        wait_no_more(c);
    strike_out(c);
    descent_leave(c);
}

void nested_forget(struct worker *w)
{
    struct conn *c;
    let_children_go(w);
    TAILQ_FOREACH (c, &w->conns, of_inside) {
        strike_out(c);
        c->inside_waits = false;
    }
    descent_forget(w);
}
