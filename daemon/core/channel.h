/* Who puts, who gets, and who waits: one bounded first-in-first-out queue of opaque items.
 *
 * Items go in at the end and out at the front. A full channel lets putters wait, an empty one getters, each in the
 * order of their coming: nobody overtakes. With `at_least_once` an item that was taken is held by its taker until that
 * one confirms it; when the taker goes first, the item returns to the front, in its old place. Without, it is gone with
 * its taker; but a taker may ask for a ticket even then, with which the item is confirmed or comes back while the taker
 * lives (a lease). With `joinable` items are counted until they are done, and joiners wait for that count to be
 * nothing; what a party that goes has taken and not done is either returned or counted as done, so that nobody waits
 * for the dead.
 *
 * Held items count against the caps, so what returns always has room. What the items cost beyond the channel's first
 * bytes may be paid from a purse that it shares with others (purse.h): then an empty one there keeps putters waiting as
 * a full channel does. Pure: no clock, no system call, no event loop.
 * Time-outs are timers in a heap that the owner gives; those who wait are told through one callback. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/channel_log.h"
#include "daemon/core/purse.h"
#include "daemon/core/timer.h"

#define CHANNEL_ITEMS_MAX (1u << 20) /* of one channel; tickets have room for as many */

struct channel;
struct channel_held;

/* One user of a channel; embedded in whatever stands for it. Zeroed by channel_party_init(). */
struct channel_party {
    TAILQ_HEAD(, channel_held) held; /* taken with a ticket and not confirmed, oldest first */
    uint32_t held_count;
    uint32_t undone; /* joinable, without at_least_once: items it has taken and not done, leased ones included */
};

enum channel_want { CHANNEL_PUT, CHANNEL_GET, CHANNEL_JOIN };

enum channel_end {
    CHANNEL_READY,    /* put: all is in; get: there are items, take them now; join: all are done */
    CHANNEL_LATE,     /* its time is over */
    CHANNEL_FINISHED, /* put: the channel takes no more; get: it is finished and nothing can come any more */
};

/* One who waits; embedded. */
struct channel_wait {
    TAILQ_ENTRY(channel_wait) link;
    struct channel *channel; /* NULL: does not wait */
    struct channel_party *party;
    struct core_timer timer;
    struct channel_log rest; /* put: what is not in yet */
    uint32_t in;             /* put: how many are */
    enum channel_want want;
};
TAILQ_HEAD(channel_line, channel_wait);

/* The wait is over; it stands in no line any more and may be freed. After READY for a get, channel_first() and
 * channel_take() may be called; nothing else of the channel may. A put's `rest` has been freed. */
typedef void channel_ended_fn(struct channel_wait *w, enum channel_end end);

struct channel_options {
    uint32_t max_items;  /* 1 … CHANNEL_ITEMS_MAX, held ones included */
    uint32_t max_tokens; /* among them */
    uint64_t max_bytes;
    struct purse *purse;         /* borrowed; NULL: nobody counts */
    uint64_t paid_for;           /* bytes that cost nothing more: whoever made the channel has paid for them */
    channel_dispose_fn *dispose; /* may be NULL when there are no tokens */
    uint32_t max_waits;          /* of all three kinds together */
    bool at_least_once, joinable;
};

/* Counters since its birth. */
struct channel_stats {
    uint64_t put, taken, confirmed, returned, lost; /* lost: undone when their taker went, or thrown away */
};

struct channel {
    struct channel_options options;
    struct channel_log log;
    struct channel_held **returned; /* a heap, the oldest first */
    uint32_t returned_count, returned_size;
    uint64_t returned_bytes;
    struct channel_slot *slots; /* of tickets */
    uint32_t slot_count, slot_free;
    uint32_t held_count; /* with their takers */
    uint32_t out_tokens; /* held or returned */
    uint64_t held_bytes;
    uint64_t paid; /* from the purse, in steps: never less than what it holds costs */
    TAILQ_ENTRY(channel) in_purse;
    uint64_t next_place; /* of what leaves the log: the order that returned items go back to */
    uint64_t unfinished; /* joinable: put and not done */
    struct channel_line puts, gets, joins;
    uint32_t waits;
    struct core_timers *timers;
    uint8_t timer_kind;
    channel_ended_fn *ended;
    struct channel_stats stats;
    bool finished, settling;
    bool is_short; /* stands in the purse's line: its first putter has room in the channel, and not in the purse */
};

/* timers, borrowed: where time-outs are armed, as timer_kind. → 0; -EINVAL: an option out of bounds. */
int channel_init(struct channel *ch, const struct channel_options *options, struct core_timers *timers,
    uint8_t timer_kind, channel_ended_fn *ended);
/* Nobody may wait, and all parties must have gone. */
void channel_deinit(struct channel *ch);

/* Items that can be taken, and their bytes. */
uint32_t channel_items(const struct channel *ch);
uint64_t channel_bytes(const struct channel *ch);

/* ---- putting */

/* One item, copied; a token becomes the channel's. → 0; -EAGAIN: no room, or others wait for it; -EDQUOT: the same
 * for the purse; -EMSGSIZE: larger than the channel or the purse; -EPIPE: finished; -ENOMEM. After the last one of a
 * request: channel_settle(). */
int channel_put(struct channel *ch, const struct channel_item *item);
/* Would an item of this weight ever go in? */
bool channel_may_hold(const struct channel *ch, uint64_t weight);
/* No more puts. Putters that wait end as FINISHED; what is in can be taken. */
void channel_finish(struct channel *ch);
/* Nobody will take any more: finish, and throw away what is in. */
void channel_break(struct channel *ch);

/* ---- taking */

/* The next item, borrowed until the channel is changed. → false: none, or others wait for it. */
bool channel_first(const struct channel *ch, struct channel_item *ret_item);
/* Takes it. lease: with a ticket, even without at_least_once. *ret_ticket: what confirms it, 1 … 2^53, and a token
 * stays the channel's until then; else 0, and a token is the caller's. → 0; -ENOMEM: it is still there. */
int channel_take(struct channel *ch, struct channel_party *party, bool lease, uint64_t *ret_ticket);
/* Can nothing come for this party any more? What others hold may still return. */
bool channel_at_end(const struct channel *ch, const struct channel_party *party);
/* → 0; -ENOENT: this party holds no such item (any more). Then channel_settle(). */
int channel_confirm(struct channel *ch, struct channel_party *party, uint64_t ticket);
/* The item goes back to its old place at the front. → as above. Then channel_settle(). */
int channel_give_back(struct channel *ch, struct channel_party *party, uint64_t ticket);
/* The oldest n of what the party has taken are done, and confirmed. → 0; -ERANGE: it has not taken so many. Then
 * channel_settle(). */
int channel_done(struct channel *ch, struct channel_party *party, uint32_t n);
/* How many that could be. */
uint32_t channel_owed(const struct channel *ch, const struct channel_party *party);

/* ---- waiting */

/* Stands at the end of its line. at_ns: when it has waited enough; UINT64_MAX: never. w->rest is set for a put (freed
 * at the end), all else is set here. → 0; -EBUSY: too many wait. */
int channel_wait(
    struct channel *ch, struct channel_wait *w, enum channel_want want, struct channel_party *party, uint64_t at_ns);
/* Its time is over: as its timer says. */
void channel_late(struct channel_wait *w);
/* Leaves its line unasked, without a callback; not waiting: nothing. */
void channel_leave(struct channel_wait *w);
/* Those who can go on do: after puts, takes, confirmations and leaving. Calls back. */
void channel_settle(struct channel *ch);

/* ---- parties */

void channel_party_init(struct channel_party *party);
/* It is no more: what it held returns, or, without at_least_once, is lost. None of its waits may be left. Settles. */
void channel_party_gone(struct channel *ch, struct channel_party *party);
