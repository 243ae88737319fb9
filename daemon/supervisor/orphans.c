#include "daemon/supervisor/orphans.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/procfs.h"
#include "daemon/supervisor/supervisor.h"

#define LOOK_PART  20       /* a look may take one of so many parts of the time */
#define OVERDUE_NS NS_PER_S /* where workers are forked all the time */

void orphans_init(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        log_warning("subreaper: %s; what tasks leave behind cannot be found", strerror(errno));
}

/* ---- who is known ---- */

static struct child *find(const struct supervisor *s, pid_t pid)
{
    struct child *child;
    HASH_FIND(hh, s->deaths.orphans.children, &pid, sizeof pid, child);
    return child;
}

void orphans_know(struct supervisor *s, struct child *child, pid_t pid)
{
    child->pid = pid;
    HASH_ADD(hh, s->deaths.orphans.children, pid, sizeof child->pid, child);
}

void orphans_forget(struct supervisor *s, struct child *child)
{
    if (child->pid == 0)
        return;
    HASH_DELETE(hh, s->deaths.orphans.children, child);
    child->pid = 0;
}

const struct child *orphans_find(const struct supervisor *s, pid_t pid)
{
    return find(s, pid);
}

bool orphans_is_known(const struct supervisor *s, pid_t pid)
{
    return find(s, pid) != NULL;
}

/* ---- who is not ---- */

void orphans_want(struct supervisor *s)
{
    if (!s->deaths.orphans.wanted)
        s->deaths.orphans.wanted_ns = s->now_ns;
    s->deaths.orphans.wanted = true;
    supervisor_need_housekeeping(s); /* should it not be time yet */
}

bool orphans_are_overdue(const struct supervisor *s)
{
    return s->deaths.orphans.wanted && s->now_ns - s->deaths.orphans.wanted_ns > OVERDUE_NS;
}

/* An orphan that has ended goes. → false: it has not. */
static bool reap(struct supervisor *s, struct child *orphan, pid_t pid)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid != pid)
        return false;
    if (orphan) {
        orphans_forget(s, orphan);
        free(orphan);
    }
    return true;
}

static void kill_orphan(struct supervisor *s, pid_t pid)
{
    struct child *orphan = calloc(1, sizeof *orphan);
    if (kill(pid, SIGKILL) < 0 || !orphan) {
        free(orphan); /* it is tried again */
        return;
    }
    orphan->orphan = true;
    orphans_know(s, orphan, pid);
    s->stats.orphans_killed++;
    log_warning("orphan killed pid=%d", (int)pid);
}

void orphans_look(struct supervisor *s)
{
    struct orphans *o = &s->deaths.orphans;
    pid_t *pids;
    size_t count;
    /* A worker that was just forked is our child before its template has told us: it is no orphan. */
    if (!o->wanted || s->unforked > 0 || s->now_ns < o->next_ns)
        return;
    uint64_t began_ns = clock_now_ns();
    o->wanted = false;
    if (procfs_children(&pids, &count) < 0) {
        orphans_want(s);
        return;
    }
    bool again = false;
    for (size_t i = 0; i < count; i++) {
        struct child *child = find(s, pids[i]);
        if (child && !child->orphan) /* reaped through its pidfd, with its usage */
            continue;
        if (reap(s, child, pids[i]))
            continue;
        if (!child)
            kill_orphan(s, pids[i]);
        again = true; /* its own children come to us when it is gone */
    }
    free(pids);
    o->next_ns = s->now_ns + LOOK_PART * (clock_now_ns() - began_ns);
    if (again)
        orphans_want(s);
}

void orphans_end(void)
{
    /* One at a time: whom a dead one leaves behind becomes our child only then, and has to be killed as well. */
    for (size_t count = 1; count > 0;) {
        _cleanup_(cleanup_free) pid_t *pids = NULL;
        if (procfs_children(&pids, &count) < 0)
            break;
        for (size_t i = 0; i < count; i++)
            kill(pids[i], SIGKILL);
        while (count > 0 && waitpid(-1, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

void orphans_free(struct supervisor *s)
{
    struct child *child, *next;
    HASH_ITER (hh, s->deaths.orphans.children, child, next) {
        HASH_DELETE(hh, s->deaths.orphans.children, child);
        if (child->orphan)
            free(child);
    }
}
