/* A bounded first-in-first-out queue of opaque items, with the clients that put, get and wait.
 *
 * Items go in at the end and out at the front. Putters wait while the channel is full, getters while it is empty, each
 * in order of arrival: nobody overtakes. With `at_least_once` a taker holds an item until it confirms it; if the taker
 * leaves first, the item returns to the front, in its old place. Without, the item is lost with its taker; but a taker
 * may ask for a ticket even then, with which the item is confirmed or given back while the taker lives (a lease). With
 * `joinable` items are counted until they are done, and joiners wait until the count is zero; what a client has taken
 * and not done when it leaves is either returned or counted as done, so that nobody waits for the dead.
 *
 * Held items count against the caps, so there is always room for a returning item. What the items cost beyond the
 * channel's first bytes may be paid from a purse that it shares with others (purse.h): then an empty purse blocks
 * putters just as a full channel does. Pure: no clock, no system call, no event loop. Time-outs are timers in a heap
 * that the owner provides; waiters are notified through one callback. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/channel_log.h"
#include "daemon/core/purse.h"
#include "daemon/core/timer.h"

#define CHANNEL_ITEMS_MAX (1u << 20) /* of one channel; there are as many tickets */

struct channel;
struct channel_held;

/* One user of a channel; embedded in whatever represents it. Zeroed by channel_client_init(). */
struct channel_client {
    TAILQ_HEAD(, channel_held) held; /* taken with a ticket and not confirmed, oldest first */
    uint32_t held_count;
    uint32_t undone; /* joinable, without at_least_once: items it has taken and not done, leased ones included */
};

enum channel_want { CHANNEL_PUT, CHANNEL_GET, CHANNEL_JOIN };

enum channel_end {
    CHANNEL_READY,    /* put: all is in; get: there are items, take them now; join: all are done */
    CHANNEL_LATE,     /* timed out */
    CHANNEL_FINISHED, /* put: the channel accepts no more; get: it is finished and nothing can come any more */
};

/* One waiter; embedded. */
struct channel_wait {
    TAILQ_ENTRY(channel_wait) link;
    struct channel *channel; /* NULL: not waiting */
    struct channel_client *client;
    struct core_timer timer;
    struct channel_log rest; /* put: what is still to be put */
    uint32_t in;             /* put: how many items have been put */
    enum channel_want want;
};
TAILQ_HEAD(channel_line, channel_wait);

/* The wait is over; w is in no line any more and may be freed. After READY for a get, channel_first() and
 * channel_take() may be called; nothing else of the channel may. A put's `rest` has been freed. */
typedef void channel_ended_fn(struct channel_wait *w, enum channel_end end);

struct channel_options {
    uint32_t max_items;  /* 1 … CHANNEL_ITEMS_MAX, held ones included */
    uint32_t max_tokens; /* among them */
    uint64_t max_bytes;
    struct purse *purse;         /* borrowed; NULL: bytes are not charged */
    uint64_t paid_for;           /* bytes that cost nothing more: the channel's creator has paid for them */
    channel_dispose_fn *dispose; /* may be NULL when there are no tokens */
    uint32_t max_waits;          /* of all three kinds together */
    bool at_least_once, joinable;
};

/* Counters since the channel was made. */
struct channel_stats {
    uint64_t put, taken, confirmed, returned, lost; /* lost: undone when their taker left, or thrown away */
};

struct channel {
    struct channel_options options;
    struct channel_log log;
    struct channel_held **returned; /* a heap, the oldest first */
    uint32_t returned_count, returned_size;
    uint64_t returned_bytes;
    struct channel_slot *slots; /* of tickets */
    uint32_t slot_count, slot_free;
    uint32_t held_count; /* items held by takers */
    uint32_t out_tokens; /* held or returned */
    uint64_t held_bytes;
    uint64_t paid; /* to the purse, in steps: never less than what the channel holds costs */
    TAILQ_ENTRY(channel) in_purse;
    uint64_t next_place; /* of the next item to leave the log: returned items are ordered by it */
    uint64_t unfinished; /* joinable: put and not done */
    struct channel_line puts, gets, joins;
    uint32_t waits;
    struct core_timers *timers;
    uint8_t timer_kind;
    channel_ended_fn *ended;
    struct channel_stats stats;
    bool finished, settling;
    bool is_short; /* in the purse's line: its first putter has room in the channel, but not in the purse */
};

/* timers, borrowed: where time-outs are armed, as timer_kind. → 0; -EINVAL: an option out of bounds. */
int channel_init(struct channel *ch, const struct channel_options *options, struct core_timers *timers,
    uint8_t timer_kind, channel_ended_fn *ended);
/* There must be no waiters, and all clients must have left. */
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
/* No more puts. Waiting putters end as FINISHED; items that are in can still be taken. */
void channel_finish(struct channel *ch);
/* Nobody will take any more: finishes the channel, and throws away what is in it. */
void channel_break(struct channel *ch);

/* ---- taking */

/* The next item, borrowed until the channel is changed. → false: none, or others wait for it. */
bool channel_first(const struct channel *ch, struct channel_item *ret_item);
/* Takes it. lease: with a ticket, even without at_least_once. *ret_ticket: confirms the item, 1 … 2^53, and until then
 * a token remains the channel's; 0: no ticket, and a token is the caller's. → 0; -ENOMEM: the item is still there. */
int channel_take(struct channel *ch, struct channel_client *client, bool lease, uint64_t *ret_ticket);
/* Is it certain that nothing more can come for this client? What others hold may still return. */
bool channel_at_end(const struct channel *ch, const struct channel_client *client);
/* → 0; -ENOENT: this client holds no such item (any more). Then channel_settle(). */
int channel_confirm(struct channel *ch, struct channel_client *client, uint64_t ticket);
/* The item goes back to its old place at the front. → as above. Then channel_settle(). */
int channel_give_back(struct channel *ch, struct channel_client *client, uint64_t ticket);
/* The oldest n items that the client has taken are done, and confirmed. → 0; -ERANGE: it has not taken so many. Then
 * channel_settle(). */
int channel_done(struct channel *ch, struct channel_client *client, uint32_t n);
/* The maximum for that n. */
uint32_t channel_owed(const struct channel *ch, const struct channel_client *client);

/* ---- waiting */

/* Joins the end of its line. at_ns: when it times out; UINT64_MAX: never. w->rest is set for a put (freed at the end),
 * all else is set here. → 0; -EBUSY: too many wait. */
int channel_wait(
    struct channel *ch, struct channel_wait *w, enum channel_want want, struct channel_client *client, uint64_t at_ns);
/* The waiter's timer has fired: ends the wait as LATE. */
void channel_late(struct channel_wait *w);
/* Leaves its line without a callback; does nothing if it does not wait. */
void channel_leave(struct channel_wait *w);
/* Lets every waiter go on that can: after puts, takes, confirmations and leaving. Calls back. */
void channel_settle(struct channel *ch);

/* ---- clients */

void channel_client_init(struct channel_client *client);
/* The client has gone: what it held returns, or, without at_least_once, is lost. None of its waits may be left.
 * Settles.
 */
void channel_client_gone(struct channel *ch, struct channel_client *client);
