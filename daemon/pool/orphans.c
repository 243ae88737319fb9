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

#define LOOK_PART  20       /* looking for orphans may take one part in this many of the time */
#define OVERDUE_NS NS_PER_S /* for pools that fork workers all the time */

void orphans_init(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        log_warning("subreaper: %s; what tasks leave behind cannot be found", strerror(errno));
}

/* ---- known children ---- */

static struct child *find(const struct workers *workers, pid_t pid)
{
    struct child *child;
    HASH_FIND(hh, workers->deaths.orphans.children, &pid, sizeof pid, child);
    return child;
}

bool orphans_know(struct workers *workers, struct child *child, pid_t pid)
{
    child->pid = pid;
    HASH_ADD(hh, workers->deaths.orphans.children, pid, sizeof child->pid, child);
    if (!child->hh.tbl)
        child->pid = 0;
    return child->pid != 0;
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

/* ---- orphans ---- */

void orphans_want(struct workers *workers)
{
    if (!workers->deaths.orphans.wanted)
        workers->deaths.orphans.wanted_ns = workers->loop->now_ns;
    workers->deaths.orphans.wanted = true;
    loop_need_housekeeping(workers->loop); /* in case it is too early now */
}

bool orphans_are_overdue(const struct workers *workers)
{
    return workers->deaths.orphans.wanted && workers->loop->now_ns - workers->deaths.orphans.wanted_ns > OVERDUE_NS;
}

/* Reaps an orphan that has exited. → false: it has not. */
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
    if (kill(pid, SIGKILL) < 0 || !orphan || !orphans_know(workers, orphan, pid)) {
        free(orphan); /* it will be retried */
        return;
    }
    orphan->orphan = true;
    workers->loop->stats.orphans_killed++;
    log_warning("orphan killed pid=%d", (int)pid);
}

void orphans_look(struct workers *workers)
{
    struct orphans *o = &workers->deaths.orphans;
    pid_t *pids;
    size_t count;
    /* A worker that was just forked is our child before its forkserver has reported it: it is not an orphan. */
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
        again = true; /* its own children become ours when it is gone */
    }
    free(pids);
    o->next_ns = workers->loop->now_ns + LOOK_PART * (clock_now_ns() - began_ns);
    if (again)
        orphans_want(workers);
}

void orphans_end(void)
{
    /* One at a time: the children of a dead orphan become ours only then, and must be killed as well. */
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
