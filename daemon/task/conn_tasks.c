#include "daemon/base/cleanup.h"
#include "daemon/task/conn_tasks.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/core/core.h"
#include "daemon/task/descent.h"
#include "daemon/task/job.h"
#include "daemon/task/large_reply.h"
#include "daemon/task/map.h"
#include "daemon/task/nested.h"
#include "daemon/task/process.h"
#include "daemon/task/task.h"
#include "daemon/task/tasks.h"

static struct conn *conn_of(struct conn_closer *closer)
{
    return CONTAINER_OF(closer, struct conn_tasks, closer)->conn;
}

static void on_close(struct conn_closer *closer)
{
    struct conn *c = conn_of(closer);
    struct conn_tasks *own = c->tasks;
    struct map *m;
    struct waiter *w;
    struct task *t, *next;
    processes_orphaned(c);
    while ((w = LIST_FIRST(&own->waiters)))
        waiter_free(w);
    while ((m = LIST_FIRST(&own->maps)))
        map_cancel(m, 0);
    large_replies_drop(c);
    for (t = TAILQ_FIRST(&own->calls.all); t; t = next) {
        next = TAILQ_NEXT(t, call.of_conn);
        core_cancel(&t->core, CORE_WHY_CANCEL, own->all->loop->now_ns);
    }
}

static void on_peer_death(struct conn_closer *closer)
{
    processes_orphaned(conn_of(closer));
}

static void on_free(struct conn_closer *closer)
{
    struct conn *c = conn_of(closer);
    nested_leave(c);
    call_table_deinit(&c->tasks->calls);
    core_client_free(c->tasks->client);
    free(c->tasks);
    c->tasks = NULL;
}

static const struct conn_closer_ops closer_ops = {.close = on_close, .peer_died = on_peer_death, .free = on_free};

int conn_tasks_new(struct tasks *all, struct conn *c)
{
    struct conn_tasks *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    own->client = core_client_new();
    if (!own->client) {
        free(own);
        return -ENOMEM;
    }
    own->all = all;
    own->conn = c;
    call_table_init(&own->calls, c->connections->hash_key);
    c->tasks = own;
    conn_on_close(c, &own->closer, &closer_ops);
    descent_begin(c);
    return 0;
}

struct core_flow *conn_tasks_flow(struct conn *c, struct core_pool *pool, uint64_t priority)
{
    return core_flow_get(c->tasks->client, pool, c->uid, (uint8_t)priority);
}

bool conn_tasks_waits(const struct conn *c)
{
    return !TAILQ_EMPTY(&c->tasks->calls.all) || !LIST_EMPTY(&c->tasks->maps);
}

bool conn_tasks_add_call(struct conn *c, struct task *t)
{
    if (!call_table_add(&c->tasks->calls, t))
        return false;
    conn_hold(c, t->args_length);
    conn_ref(c);
    return true;
}

void conn_tasks_remove_call(struct conn *c, struct task *t)
{
    call_table_remove(&c->tasks->calls, t);
    conn_let_go(c, t->args_length);
    conn_unref(c);
}
