/* Which workers may busy-wait, and for how long?
 *
 * Waking a halted CPU takes longer than a small task. So the workers that were last given work poll for more for a
 * while before they sleep, and the supervisor polls while a result is due. There are always fewer such workers than
 * CPUs; the others sleep at once. Does not know what is being waited for. Never fails. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct workers;
struct worker;

struct spin_policy {
    TAILQ_HEAD(, worker) workers; /* the one that was last given work at the end */
    unsigned count, max;
    uint32_t wake_ns;          /* measured cost of a wake on this machine; 0: nobody could busy-wait */
    uint32_t budget_ns;        /* 0: nobody spins */
    uint64_t crowded_until_ns; /* the supervisor does not spin before this time */
    uint64_t held_ns;          /* since when replies are held back; 0: they are not */
    unsigned passed_over;      /* passes since the last poll for events */
    uint64_t since_ns;         /* since when the supervisor has been idle; 0: it is not */
};

/* Measures the cost of a wake for a few milliseconds. */
void spin_policy_init(struct spin_policy *s);
/* on: as configured; called again after a reload. */
void spin_policy_configure(struct spin_policy *s, bool on);
/* The worker has been given work. */
void spin_policy_given(struct spin_policy *s, struct worker *w);
/* The worker is gone, or must sleep from now on. */
void spin_policy_drop(struct spin_policy *s, struct worker *w);

/* After a pass that found nothing to do: waits about a microsecond, less if `done` returns true. → true: look again;
 * false: sleep. */
bool spin_policy_wait(struct workers *workers, bool (*done)(const struct workers *workers));
/* If results arrive one by one faster than replies can be sent one by one, should they be held back to batch several
 * into one write? Only for a few microseconds, and only while the next result is due immediately. collected: this pass
 * has collected some. */
bool spin_policy_hold(struct workers *workers, bool collected);
/* After a pass that did something: waits about a microsecond for the next result if replies are held back or a single
 * task is about to finish, since polling for events would take as long. → true: check only the lanes. */
bool spin_policy_pause(struct workers *workers, bool (*done)(const struct workers *workers));

/* A pass found something to do. */
static inline void spin_policy_worked(struct spin_policy *s)
{
    s->since_ns = 0;
}
