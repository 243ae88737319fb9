#include "daemon/supervisor/descent.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/procfs.h"
#include "daemon/supervisor/caller.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/orphans.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/task.h"
#include "daemon/supervisor/worker.h"

#define GENERATIONS_MAX 32 /* between a worker and the peer: shells, scripts, tools */
#define TRIES           3  /* parents may die while they are looked at */

#define KNOWN 32

struct descent {
    uid_t *users; /* that workers run as, or ran */
    size_t user_count;
    struct {
        pid_t pid;
        uint64_t start_ns;
    } outside[KNOWN]; /* processes that do not come of us: shells and the like; the oldest is replaced */
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
    free(d->users);
    free(d);
}

/* ---- users ---- */

static bool is_workers_user(const struct descent *d, uid_t uid)
{
    for (size_t i = 0; i < d->user_count; i++)
        if (d->users[i] == uid)
            return true;
    return false;
}

int descent_add_user(struct descent *d, uid_t uid)
{
    if (is_workers_user(d, uid))
        return 0;
    uid_t *grown = realloc(d->users, (d->user_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    d->users = grown;
    d->users[d->user_count++] = uid;
    return 0;
}

static bool is_admin(const struct conn *c)
{
    return c->uid == 0 || (c->uid == geteuid() && listener_is_private(c->supervisor->listener));
}

void descent_begin(struct conn *c)
{
    c->kin = is_workers_user(c->supervisor->descent, c->uid);
    c->caller->admin = !c->kin && is_admin(c);
}

/* ---- the look-up ---- */

enum descent_kind {
    DESCENT_OUTSIDE,
    DESCENT_INSIDE,
    DESCENT_TEMPLATE, /* a module that is being loaded */
    DESCENT_ORPHAN,   /* whoever made it is gone, and its worker, too */
    DESCENT_UNBORN,   /* it may come of a worker of which we have not heard yet */
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

/* Walks up from the peer. A process does not come of us once it is known not to: so the walk ends at the first ancestor
 * that was seen outside before, which mostly is the second process, whatever is above it.
 *
 * A number may be another process' by now: the peer's, if that began after the connection was accepted; a parent's, if
 * it began after its child. Then nothing is known. */
static enum descent_kind walk(struct supervisor *s, const struct conn *c, struct worker **ret)
{
    struct {
        pid_t pid;
        uint64_t start_ns;
    } seen[GENERATIONS_MAX];
    const pid_t own = getpid();
    pid_t pid = c->pid;
    uint64_t child_start_ns = c->accepted_boot_ns;
    /* Descendants cannot leave our namespace of processes but downwards, where they can be seen. */
    bool outside = pid == 0;
    int n = 0;
    for (; !outside; n++) {
        struct procfs_stat st;
        const struct child *child = orphans_find(s, pid);
        *ret = child ? child->worker : NULL;
        if (child)
            return *ret ? DESCENT_INSIDE : child->orphan ? DESCENT_ORPHAN : DESCENT_TEMPLATE;
        if (pid == own)
            return s->unforked > 0 ? DESCENT_UNBORN : DESCENT_ORPHAN;
        if (n == GENERATIONS_MAX || procfs_stat(pid, &st) < 0 || st.start_ns > child_start_ns)
            return DESCENT_UNKNOWN;
        seen[n].pid = pid;
        seen[n].start_ns = child_start_ns = st.start_ns;
        outside = st.parent <= 1 || is_known_outside(s->descent, pid, st.start_ns);
        pid = st.parent;
    }
    /* The peer, which may connect again, its parent, and that one's: a script that a shell runs. */
    for (int i = 0; i < n && i < 3; i++)
        know_outside(s->descent, seen[i].pid, seen[i].start_ns);
    return DESCENT_OUTSIDE;
}

static const char no_memory[] = "there is no memory to tell for whom";

static void go_inside(struct conn *c, struct worker *w)
{
    const struct task *t = worker_running(w);
    c->inside = w;
    TAILQ_INSERT_TAIL(&w->conns, c, of_inside);
    if (c->pid == w->pid)
        return; /* see follow() */
    if (!t) {
        c->stray = "its worker runs no task now";
        c->inside_task = UINT64_MAX;
        return;
    }
    c->inside_task = task_public_id(t);
    if (!conn_act_for(c, t->caller))
        c->stray = no_memory;
}

/* → false: it is too early to tell. */
static bool look_up(struct conn *c)
{
    struct supervisor *s = c->supervisor;
    struct worker *w = NULL;
    enum descent_kind kind = DESCENT_UNKNOWN;
    for (int i = 0; i < TRIES && kind == DESCENT_UNKNOWN; i++)
        kind = walk(s, c, &w);
    switch (kind) {
    case DESCENT_UNBORN: return false;
    case DESCENT_OUTSIDE: c->caller->admin = is_admin(c); break;
    case DESCENT_INSIDE: go_inside(c, w); break;
    case DESCENT_TEMPLATE: break;
    case DESCENT_ORPHAN: c->stray = "it has outlived its task"; break;
    case DESCENT_UNKNOWN: c->stray = "whether it belongs to a task cannot be told from /proc"; break;
    }
    c->inside_known = true;
    return true;
}

void descent_settle(struct conn *c)
{
    if (c->kin && !c->inside_known)
        look_up(c);
}

/* ---- requests ---- */

struct worker *descent_worker(const struct conn *c)
{
    const struct task *t;
    if (!c->inside || c->inside_task == 0)
        return c->inside;
    t = worker_running(c->inside);
    return t && task_public_id(t) == c->inside_task ? c->inside : NULL;
}

/* The worker's own connection: for the task that it runs, and until the next one begins, for that which it ran. */
static void follow(struct conn *c)
{
    const struct task *t = worker_running(c->inside);
    c->stray = t && !conn_act_for(c, t->caller) ? no_memory : NULL;
}

bool descent_admits(struct rpc *r, bool harmless, enum rpc_result *ret)
{
    struct conn *c = r->conn;
    if (!c->inside_known && !look_up(c)) {
        c->waits_for = NULL;
        c->waits_bytes = 0;
        *ret = RPC_LATER; /* once its template has told of it */
        return false;
    }
    if (c->inside && c->inside_task == 0)
        follow(c);
    else if (c->inside && !c->stray && !descent_worker(c))
        c->stray = "its task is over";
    if (!c->stray || harmless || listener_is_private(c->supervisor->listener))
        return true;
    *ret = rpc_fail(
        r, MPOOL_E_DENIED, "process %d runs as the user of workers, but for nobody: %s", (int)c->pid, c->stray);
    return false;
}

/* ---- ends ---- */

void descent_leave(struct conn *c)
{
    if (!c->inside)
        return;
    TAILQ_REMOVE(&c->inside->conns, c, of_inside);
    c->inside = NULL;
}

void descent_forget(struct worker *w)
{
    struct conn *c;
    while ((c = TAILQ_FIRST(&w->conns))) {
        c->stray = "its worker has ended";
        descent_leave(c);
    }
}
