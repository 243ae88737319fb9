/* Which process holds a lock if mpool is killed while its command keeps running?
 *
 * A second process, the keeper: it connects, takes the lock, runs the command, and gives the lock back when the command
 * and all that descends from it have ended. The first one, whose pid others know, only forwards signals and ends as the
 * command did; if it gets SIGKILL, the lock is not taken from processes that still rely on it. The keeper is the
 * subreaper of what it runs, so nothing escapes it by a double fork or a session of its own. If it is itself killed,
 * the command gets SIGTERM (child.h). A queue item is kept in the same way, so that nobody else gets it while it is
 * being worked on.
 */
#pragma once

#include <stdbool.h>

struct keeper {
    int tell;   /* the first process waits here for the status */
    bool stays; /* it must outlive the first process */
};

/* Runs `run` in a keeper. → its status, or the one passed to keeper_release(). userdata: borrowed. */
int keeper_run(int (*run)(struct keeper *keeper, void *userdata), void *userdata);

/* Called in the keeper once it holds the lock or item: from now on it outlives the first process. → 0, or -1 if the
 * first process has gone already, so that there is nothing to do. */
int keeper_stay(struct keeper *keeper);

/* Called in the keeper when the command has ended: if processes that it started are left, lets the first process exit
 * with that status, and waits until all of them have ended. Without keeper_stay() the command got SIGTERM if the first
 * process was killed; then the rest get it, too. */
void keeper_release(struct keeper *keeper, int status);
