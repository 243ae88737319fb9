/* Finds and kills every process that a task leaves behind when its worker dies.
 *
 * The supervisor is a subreaper, so descendants of a dead worker become its own children, however often they forked or
 * changed their session. A child that is neither worker nor forkserver is such an orphan. The time to look for them
 * grows with the number of children, so this is not done at each death, but only as often as keeps it a small part of
 * the time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

struct workers;
struct worker;

/* A child that is identified by its pid until it has been reaped; embedded in workers and forkservers. */
struct child {
    UT_hash_handle hh;
    pid_t pid; /* 0: none */
    bool orphan;
    struct worker *worker; /* the worker that it is, or NULL */
};

struct orphans {
    struct child *children; /* hash table */
    bool wanted;            /* a child has died, or been reparented to us: look for orphans */
    uint64_t wanted_ns;     /* since when */
    uint64_t next_ns;       /* not before that time */
};

void orphans_init(void);
/* pid is our own child, and not an orphan. → false: out of memory; it is not known, and would be taken for an orphan.
 */
bool orphans_know(struct workers *workers, struct child *child, pid_t pid);
/* It has been reaped. A child without a pid: nothing. */
void orphans_forget(struct workers *workers, struct child *child);
/* The child with that pid: a worker, a forkserver, or an orphan already found. NULL: there is none. */
const struct child *orphans_find(const struct workers *workers, pid_t pid);
/* Is the process one of our workers or forkservers? */
bool orphans_is_known(const struct workers *workers, pid_t pid);
/* A process has died: there may be orphans. */
void orphans_want(struct workers *workers);
/* Kills and reaps unknown children if that is wanted and due; keeps rescheduling itself until there are none. */
void orphans_look(struct workers *workers);
/* Is the look for orphans so overdue that no worker should be forked before it? */
bool orphans_are_overdue(const struct workers *workers);
/* Kills and reaps all children and waits for them; at shutdown. */
void orphans_end(void);
void orphans_free(struct workers *workers);
