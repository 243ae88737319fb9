/* Which process holds a lock when mpool is killed and its command goes on?
 *
 * A second process, the keeper: it connects, takes the lock, runs the command, and gives the lock back when the command
 * and all that descends from it have ended. The first one, which others know, only passes signals on and ends as the
 * command did; SIGKILL to it takes the lock from nobody who still works under it. The keeper is the subreaper of what
 * it runs, so nothing escapes it by a double fork or a session of its own. If it is itself killed, the command gets
 * SIGTERM (child.h). In the same way an item of a queue is kept, which nobody else is to get while somebody works on
 * it.
 */
#pragma once

#include <stdbool.h>

struct keeper {
    int tell;   /* the first process waits here for the status */
    bool stays; /* it is to outlive the first process */
};

/* Runs `run` in a keeper. → its status, or what keeper_release() has said. userdata: borrowed. */
int keeper_run(int (*run)(struct keeper *keeper, void *userdata), void *userdata);

/* In the keeper, which has what it keeps: from here on it outlives the first process. → 0, or -1: that has gone
 * already, and nobody wants anything any more. */
int keeper_stay(struct keeper *keeper);

/* In the keeper, when the command has ended: if some of what it started is left, lets the first process go with that
 * status, and waits here until all has ended. Without keeper_stay() the command got SIGTERM if the first process was
 * killed; then all the rest gets it, too. */
void keeper_release(struct keeper *keeper, int status);
