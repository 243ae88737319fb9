/* Whatever a task leaves behind when its worker dies: found, and killed.
 *
 * The supervisor is a subreaper, so descendants of a dead worker become its own children, however often they forked or
 * changed their session. A child that is neither worker nor template is such an orphan. Looking takes the longer the
 * more children there are, so it is not done at each death, but as often as leaves it a small part of the time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

struct workers;
struct worker;

/* A child that is known by its pid until it has been reaped; embedded in workers and templates. */
struct child {
    UT_hash_handle hh;
    pid_t pid; /* 0: none */
    bool orphan;
    struct worker *worker; /* that it is, or NULL */
};

struct orphans {
    struct child *children; /* hash */
    bool wanted;            /* one has died, or come to us from one that has: look */
    uint64_t wanted_ns;     /* since when */
    uint64_t next_ns;       /* not before that time */
};

void orphans_init(void);
/* pid is our own child, and no orphan. */
void orphans_know(struct workers *workers, struct child *child, pid_t pid);
/* It has been reaped. One without a pid: nothing. */
void orphans_forget(struct workers *workers, struct child *child);
/* The child of that pid: a worker, a template, or an orphan that is known to be one. NULL: there is none. */
const struct child *orphans_find(const struct workers *workers, pid_t pid);
/* Is the process one of our workers or templates? */
bool orphans_is_known(const struct workers *workers, pid_t pid);
/* Something has died: there may be orphans. */
void orphans_want(struct workers *workers);
/* Kills and reaps unknown children, if that is wanted and it is time, and comes back until there is none. */
void orphans_look(struct workers *workers);
/* Has that been wanted for so long that no worker should be forked until it has been done? */
bool orphans_are_overdue(const struct workers *workers);
/* Kills and reaps all children, waiting; at the very end. */
void orphans_end(void);
void orphans_free(struct workers *workers);
