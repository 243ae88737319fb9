/* Who may wait awake, and for how long?
 *
 * A wake of a CPU that has halted takes longer than a small task. So the workers that were given work last look for
 * more for a while before they sleep, and the supervisor does so while a result is due. There are always fewer such
 * workers than CPUs; the others sleep at once. Knows nothing of what is waited for. Never fails.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct workers;
struct worker;

struct spinners {
    TAILQ_HEAD(, worker) workers; /* the one that was given work last at the end */
    unsigned count, most;
    uint32_t wake_ns;          /* what a wake costs here, as measured; 0: nobody could wait awake */
    uint32_t budget_ns;        /* 0: nobody */
    uint64_t crowded_until_ns; /* the supervisor does not wait awake before */
    uint64_t held_ns;          /* replies are held back since then; 0: they are not */
    unsigned passed_over;      /* passes since events were looked at last */
    uint64_t since_ns;         /* the supervisor has nothing to do since then; 0: it has */
};

/* Measures for some milliseconds what a wake costs. */
void spinners_init(struct spinners *s);
/* on: as configured; again after a reload. */
void spinners_configure(struct spinners *s, bool on);
/* The worker has been given something. */
void spinners_given(struct spinners *s, struct worker *w);
/* It is gone, or is to sleep from now on. */
void spinners_drop(struct spinners *s, struct worker *w);

/* After a pass that found nothing to do: waits about a microsecond, shorter when `done` says so, and tells whether to
 * look again; false: sleep. */
bool spinners_wait(struct workers *workers, bool (*done)(const struct workers *workers));
/* Results come in one after the other, faster than replies can be sent one by one: are they to be held back, so that
 * some go with one write? Only for some microseconds, and only while the next result is due at once. collected: this
 * pass has brought some. */
bool spinners_hold(struct workers *workers, bool collected);
/* After a pass that did something: waits for the next result about a microsecond, if replies are held back, or a single
 * task is about to end: looking for events would take as long. → look at the lanes, and nowhere else. */
bool spinners_pause(struct workers *workers, bool (*done)(const struct workers *workers));

/* A pass found something to do. */
static inline void spinners_worked(struct spinners *s)
{
    s->since_ns = 0;
}
