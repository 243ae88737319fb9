/* How many bytes may the channels of one owner hold together, and which of them wait for a share of that?
 *
 * A channel pays for what it holds, in steps of PURSE_STEP, and returns steps as it empties; whatever else its owner
 * holds may be paid from the same purse. A channel whose first putter finds room in the channel but not in the purse
 * joins the purse's line. When something comes back all of them are tried once, in their order: a large item does not
 * block smaller ones of other channels, for those may be the ones that make room. So channels that do not wait are
 * never looked at, and no wake-up is lost: a channel enters the line in the step that finds the purse empty, and every
 * step that comes back arms a round.
 *
 * Counters only; what a round does is channel_settle(). One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define PURSE_STEP (64u << 10)

struct channel;
struct purse;

/* Something has come back, and channels wait: the owner must call purse_next(), soon and not from here. */
typedef void purse_freed_fn(struct purse *purse);

struct purse {
    uint64_t used, max; /* used may be the larger one, after max was lowered */
    TAILQ_HEAD(, channel) line;
    uint32_t line_length;
    uint32_t tries; /* channels to be tried in this round */
    bool in_round;  /* from freed() until purse_next() has returned NULL */
    purse_freed_fn *freed;
};

void purse_init(struct purse *p, uint64_t max, purse_freed_fn *freed);
/* → false: less than that is left. */
bool purse_take(struct purse *p, uint64_t bytes);
void purse_give_back(struct purse *p, uint64_t bytes);
/* A new limit. */
void purse_set_max(struct purse *p, uint64_t max);
/* The next channel of the round, which moves to the end of the line: settle it. → NULL: the round is over. */
struct channel *purse_next(struct purse *p);

static inline uint64_t purse_left(const struct purse *p)
{
    return p->used < p->max ? p->max - p->used : 0;
}

/* The channel's place in the line. */
void purse_join_line(struct purse *p, struct channel *ch);
void purse_leave_line(struct purse *p, struct channel *ch);
