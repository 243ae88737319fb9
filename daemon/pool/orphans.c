#include "daemon/pool/orphans.h"

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
#include "daemon/pool/workers.h"

#define LOOK_PART  20       /* a look may take one of so many parts of the time */
#define OVERDUE_NS NS_PER_S /* where workers are forked all the time */

void orphans_init(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        log_warning("subreaper: %s; what tasks leave behind cannot be found", strerror(errno));
}

/* ---- who is known ---- */

static struct child *find(const struct workers *workers, pid_t pid)
{
    struct child *child;
    HASH_FIND(hh, workers->deaths.orphans.children, &pid, sizeof pid, child);
    return child;
}

void orphans_know(struct workers *workers, struct child *child, pid_t pid)
{
    child->pid = pid;
    HASH_ADD(hh, workers->deaths.orphans.children, pid, sizeof child->pid, child);
}

void orphans_forget(struct workers *workers, struct child *child)
{
    if (child->pid == 0)
        return;
    HASH_DELETE(hh, workers->deaths.orphans.children, child);
    child->pid = 0;
}

const struct child *orphans_find(const struct workers *workers, pid_t pid)
{
    return find(workers, pid);
}

bool orphans_is_known(const struct workers *workers, pid_t pid)
{
    return find(workers, pid) != NULL;
}

/* ---- who is not ---- */

void orphans_want(struct workers *workers)
{
    if (!workers->deaths.orphans.wanted)
        workers->deaths.orphans.wanted_ns = workers->loop->now_ns;
    workers->deaths.orphans.wanted = true;
    loop_need_housekeeping(workers->loop); /* should it not be time yet */
}

bool orphans_are_overdue(const struct workers *workers)
{
    return workers->deaths.orphans.wanted && workers->loop->now_ns - workers->deaths.orphans.wanted_ns > OVERDUE_NS;
}

/* An orphan that has ended goes. → false: it has not. */
static bool reap(struct workers *workers, struct child *orphan, pid_t pid)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid != pid)
        return false;
    if (orphan) {
        orphans_forget(workers, orphan);
        free(orphan);
    }
    return true;
}

static void kill_orphan(struct workers *workers, pid_t pid)
{
    struct child *orphan = calloc(1, sizeof *orphan);
    if (kill(pid, SIGKILL) < 0 || !orphan) {
        free(orphan); /* it is tried again */
        return;
    }
    orphan->orphan = true;
    orphans_know(workers, orphan, pid);
    workers->loop->stats.orphans_killed++;
    log_warning("orphan killed pid=%d", (int)pid);
}

void orphans_look(struct workers *workers)
{
    struct orphans *o = &workers->deaths.orphans;
    pid_t *pids;
    size_t count;
    /* A worker that was just forked is our child before its template has told us: it is no orphan. */
    if (!o->wanted || workers->unforked > 0 || workers->loop->now_ns < o->next_ns)
        return;
    uint64_t began_ns = clock_now_ns();
    o->wanted = false;
    if (procfs_children(&pids, &count) < 0) {
        orphans_want(workers);
        return;
    }
    bool again = false;
    for (size_t i = 0; i < count; i++) {
        struct child *child = find(workers, pids[i]);
        if (child && !child->orphan) /* reaped through its pidfd, with its usage */
            continue;
        if (reap(workers, child, pids[i]))
            continue;
        if (!child)
            kill_orphan(workers, pids[i]);
        again = true; /* its own children come to us when it is gone */
    }
    free(pids);
    o->next_ns = workers->loop->now_ns + LOOK_PART * (clock_now_ns() - began_ns);
    if (again)
        orphans_want(workers);
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

void orphans_free(struct workers *workers)
{
    struct child *child, *next;
    HASH_ITER (hh, workers->deaths.orphans.children, child, next) {
        HASH_DELETE(hh, workers->deaths.orphans.children, child);
        if (child->orphan)
            free(child);
    }
}
