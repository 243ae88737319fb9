#include "daemon/supervisor/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/supervisor/pool.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/worker.h"

void orphans_init(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        log_warning("subreaper: %s; what tasks leave behind cannot be found", strerror(errno));
}

bool orphans_is_known(struct supervisor *s, pid_t pid)
{
    struct pool *pool;
    TAILQ_FOREACH (pool, &s->pools, link) {
        struct worker *w;
        if ((pool->current && pool->current->pid == pid) || (pool->coming && pool->coming->pid == pid))
            return true;
        TAILQ_FOREACH (w, &pool->workers, link)
            if (w->pid == pid || (w->template && w->template->pid == pid))
                return true;
    }
    return false;
}

/* The children of this process, as the kernel lists them. → how many; 0 also when the kernel has no such list. */
static size_t children(pid_t *ret, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    _cleanup_(cleanup_fclose) FILE *f = fopen(path, "re");
    size_t n = 0;
    int pid;
    while (f && n < room && fscanf(f, "%d", &pid) == 1)
        ret[n++] = pid;
    return n;
}

/* A worker that was just forked is our child before its template has told us: it is no orphan. */
static bool births_pending(struct supervisor *s)
{
    struct pool *pool;
    struct worker *w;
    TAILQ_FOREACH (pool, &s->pools, link)
        TAILQ_FOREACH (w, &pool->workers, link)
            if (w->pid == 0)
                return true;
    return false;
}

void orphans_look(struct supervisor *s)
{
    pid_t pids[1024];
    s->children_changed = false;
    s->orphans_wanted = births_pending(s);
    size_t n = s->orphans_wanted ? 0 : children(pids, ELEMENTS(pids));
    for (size_t i = 0; i < n; i++) {
        siginfo_t info = {0};
        if (orphans_is_known(s, pids[i])) /* reaped through its pidfd, with its usage */
            continue;
        if (waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOHANG) == 0 && info.si_pid == pids[i])
            continue;
        if (kill(pids[i], SIGKILL) == 0) {
            s->stats.orphans_killed++;
            log_warning("orphan killed pid=%d", (int)pids[i]);
        }
        /* Its own children come to us when it is gone: SIGCHLD brings us back, and housekeeping if that was merged. */
        s->orphans_wanted = true;
    }
    if (s->orphans_wanted)
        supervisor_need_housekeeping(s);
}

void orphans_end(void)
{
    pid_t pids[1024];
    size_t n;
    /* One at a time: whom a dead one leaves behind becomes our child only then, and has to be killed as well. */
    while ((n = children(pids, ELEMENTS(pids))) > 0) {
        for (size_t i = 0; i < n; i++)
            kill(pids[i], SIGKILL);
        while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}
