/* Caps, waiting lines and the end of a channel: see channel.h. channel_log stores the bytes, channel_held the items
 * that are out. */
#include "daemon/core/channel.h"

#include <assert.h>
#include <errno.h>

#include "daemon/core/channel_held.h"

int channel_init(struct channel *ch, const struct channel_options *options, struct core_timers *timers,
    uint8_t timer_kind, channel_ended_fn *ended)
{
    if (options->max_items == 0 || options->max_items > CHANNEL_ITEMS_MAX || options->max_bytes == 0)
        return -EINVAL;
    *ch = (struct channel){.options = *options, .timers = timers, .timer_kind = timer_kind, .ended = ended};
    TAILQ_INIT(&ch->puts);
    TAILQ_INIT(&ch->gets);
    TAILQ_INIT(&ch->joins);
    return 0;
}

uint32_t channel_items(const struct channel *ch)
{
    return ch->log.items + ch->returned_count;
}

uint64_t channel_bytes(const struct channel *ch)
{
    return ch->log.bytes + ch->returned_bytes;
}

/* Free room. 0, not negative, when the cap was lowered below what is held. */
static uint32_t room_items(const struct channel *ch)
{
    return ch->options.max_items - channel_items(ch) - ch->held_count;
}

static uint64_t room_bytes(const struct channel *ch)
{
    return ch->options.max_bytes - channel_bytes(ch) - ch->held_bytes;
}

static uint32_t room_tokens(const struct channel *ch)
{
    return ch->options.max_tokens - ch->log.tokens - ch->out_tokens;
}

/* ---- paying ---- */

/* What an item costs besides its bytes: its head in the log; a held item has a block of its own. */
#define LOG_COST  8u
#define HELD_COST 128u

static uint32_t cost_of_each(const struct channel *ch)
{
    return ch->options.at_least_once ? HELD_COST : LOG_COST;
}

/* Cost of one more item of this weight. */
static uint64_t cost_of(const struct channel *ch, uint64_t weight)
{
    return weight + cost_of_each(ch);
}

static uint64_t cost(const struct channel *ch)
{
    return channel_bytes(ch) + ch->held_bytes + (uint64_t)(channel_items(ch) + ch->held_count) * cost_of_each(ch);
}

/* The largest cost that may be added with all that is left in the purse. */
static uint64_t room_cost(const struct channel *ch)
{
    const struct purse *purse = ch->options.purse;
    if (!purse)
        return UINT64_MAX;
    return ch->options.paid_for + ch->paid + purse_left(purse) / PURSE_STEP * PURSE_STEP - cost(ch);
}

/* Pays for what is in the channel and for `more`. → false: the purse has too little left. */
static bool pay(struct channel *ch, uint64_t more)
{
    if (!ch->options.purse)
        return true;
    uint64_t needed = cost(ch) + more, had = ch->options.paid_for + ch->paid;
    if (needed <= had)
        return true;
    uint64_t steps = (needed - had + PURSE_STEP - 1) / PURSE_STEP * PURSE_STEP;
    if (!purse_take(ch->options.purse, steps))
        return false;
    ch->paid += steps;
    return true;
}

/* Returns whole steps that are no longer needed. */
static void give_change(struct channel *ch)
{
    if (ch->paid == 0)
        return;
    uint64_t spare = (ch->options.paid_for + ch->paid - cost(ch)) / PURSE_STEP * PURSE_STEP;
    uint64_t back = spare < ch->paid ? spare : ch->paid;
    ch->paid -= back;
    purse_give_back(ch->options.purse, back);
}

/* ---- putting ---- */

/* What the purse could pay if its owner held nothing else; the first bytes are paid for, too. */
static uint64_t most_cost(const struct channel *ch)
{
    const struct purse *purse = ch->options.purse;
    uint64_t paid_for = ch->options.paid_for;
    if (!purse)
        return UINT64_MAX;
    return purse->max < paid_for ? paid_for : paid_for + (purse->max - paid_for) / PURSE_STEP * PURSE_STEP;
}

bool channel_may_hold(const struct channel *ch, uint64_t weight)
{
    return weight <= ch->options.max_bytes && cost_of(ch, weight) <= most_cost(ch);
}

static void counted_in(struct channel *ch, uint32_t n)
{
    ch->stats.put += n;
    if (ch->options.joinable)
        ch->unfinished += n;
}

static bool has_room(const struct channel *ch, const struct channel_item *item)
{
    return room_items(ch) > 0 && room_bytes(ch) >= item->weight && (!item->token || room_tokens(ch) > 0);
}

int channel_put(struct channel *ch, const struct channel_item *item)
{
    if (ch->finished)
        return -EPIPE;
    if (item->length > CHANNEL_ITEM_MAX || !channel_may_hold(ch, item->weight))
        return -EMSGSIZE;
    if (ch->is_short)
        return -EDQUOT;
    if (!TAILQ_EMPTY(&ch->puts) || !has_room(ch, item))
        return -EAGAIN;
    if (!pay(ch, cost_of(ch, item->weight)))
        return -EDQUOT;
    int r = channel_log_add(&ch->log, item);
    if (r == 0)
        counted_in(ch, 1);
    else
        give_change(ch);
    return r;
}

/* ---- waiting ---- */

/* Is the purse the only thing that the first putter waits for? Called whenever the answer may have changed. */
static void look_for_shortage(struct channel *ch)
{
    const struct channel_wait *w = TAILQ_FIRST(&ch->puts);
    struct channel_item item;
    if (!ch->options.purse)
        return;
    bool is_short =
        w && channel_log_first(&w->rest, &item) && has_room(ch, &item) && room_cost(ch) < cost_of(ch, item.weight);
    if (is_short == ch->is_short)
        return;
    ch->is_short = is_short;
    if (is_short)
        purse_join_line(ch->options.purse, ch);
    else
        purse_leave_line(ch->options.purse, ch);
}

void channel_deinit(struct channel *ch)
{
    assert(ch->waits == 0 && ch->held_count == 0);
    channel_log_deinit(&ch->log, ch->options.dispose);
    channel_held_deinit(ch);
    look_for_shortage(ch);
    give_change(ch);
}

static struct channel_line *line_of(struct channel *ch, enum channel_want want)
{
    return want == CHANNEL_PUT ? &ch->puts : want == CHANNEL_GET ? &ch->gets : &ch->joins;
}

int channel_wait(
    struct channel *ch, struct channel_wait *w, enum channel_want want, struct channel_client *client, uint64_t at_ns)
{
    if (ch->waits >= ch->options.max_waits)
        return -EBUSY;
    w->channel = ch;
    w->client = client;
    w->want = want;
    w->in = 0;
    w->timer = (struct core_timer){0};
    TAILQ_INSERT_TAIL(line_of(ch, want), w, link);
    ch->waits++;
    if (at_ns != UINT64_MAX)
        core_timer_arm(ch->timers, &w->timer, ch->timer_kind, at_ns);
    if (want == CHANNEL_PUT)
        look_for_shortage(ch);
    return 0;
}

void channel_leave(struct channel_wait *w)
{
    struct channel *ch = w->channel;
    if (!ch)
        return;
    core_timer_disarm(ch->timers, &w->timer);
    TAILQ_REMOVE(line_of(ch, w->want), w, link);
    ch->waits--;
    w->channel = NULL;
    if (w->want == CHANNEL_PUT)
        channel_log_deinit(&w->rest, ch->options.dispose);
}

static void end(struct channel *ch, struct channel_wait *w, enum channel_end why)
{
    channel_leave(w);
    ch->ended(w, why);
}

static void end_all(struct channel *ch, enum channel_want want, enum channel_end why)
{
    struct channel_wait *w;
    while ((w = TAILQ_FIRST(line_of(ch, want))))
        end(ch, w, why);
}

void channel_late(struct channel_wait *w)
{
    struct channel *ch = w->channel;
    end(ch, w, CHANNEL_LATE);
    channel_settle(ch); /* the next in line may have less to put */
}

/* Lets the first putter put as much as there is room for. → true: all of it is in. */
static bool admit(struct channel *ch, struct channel_wait *w)
{
    uint32_t moved;
    if (w->rest.tokens > room_tokens(ch)) /* a token is alone in its request */
        return false;
    struct channel_room room = {
        .items = room_items(ch), .each = cost_of_each(ch), .bytes = room_bytes(ch), .cost = room_cost(ch)};
    /* Out of memory: it keeps waiting, and the next item that leaves frees some. */
    (void)channel_log_move(&ch->log, &w->rest, &room, &moved);
    counted_in(ch, moved);
    bool paid = pay(ch, 0);
    assert(paid);
    (void)paid;
    w->in += moved;
    return w->rest.items == 0;
}

/* Getters that wait for an end may do so for different reasons: an item that another client holds can return to one
 * getter and not to another. */
static void end_getters(struct channel *ch)
{
    for (struct channel_wait *w = TAILQ_FIRST(&ch->gets), *next; w; w = next) {
        next = TAILQ_NEXT(w, link);
        if (channel_at_end(ch, w->client))
            end(ch, w, CHANNEL_FINISHED);
    }
}

void channel_settle(struct channel *ch)
{
    struct channel_wait *w;
    if (ch->settling)
        return;
    ch->settling = true;
    for (bool again = true; again;) {
        again = false;
        while (channel_items(ch) > 0 && (w = TAILQ_FIRST(&ch->gets)))
            end(ch, w, CHANNEL_READY);
        while ((w = TAILQ_FIRST(&ch->puts))) {
            bool whole = admit(ch, w);
            if (whole)
                end(ch, w, CHANNEL_READY);
            again = channel_items(ch) > 0 && !TAILQ_EMPTY(&ch->gets);
            if (!whole || again)
                break;
        }
    }
    if (ch->finished && channel_items(ch) == 0)
        end_getters(ch);
    if (ch->unfinished == 0)
        end_all(ch, CHANNEL_JOIN, CHANNEL_READY);
    look_for_shortage(ch);
    ch->settling = false;
}

void channel_finish(struct channel *ch)
{
    if (ch->finished)
        return;
    ch->finished = true;
    end_all(ch, CHANNEL_PUT, CHANNEL_FINISHED);
    channel_settle(ch);
}

void channel_break(struct channel *ch)
{
    ch->stats.lost += channel_items(ch);
    if (ch->options.joinable)
        ch->unfinished -= channel_items(ch);
    channel_log_deinit(&ch->log, ch->options.dispose);
    channel_held_clear(ch);
    give_change(ch);
    channel_finish(ch);
    channel_settle(ch);
}

/* ---- taking ---- */

bool channel_first(const struct channel *ch, struct channel_item *ret_item)
{
    if (ch->returned_count == 0)
        return channel_log_first(&ch->log, ret_item);
    *ret_item = channel_held_item(ch->returned[0]);
    return true;
}

int channel_take(struct channel *ch, struct channel_client *client, bool lease, uint64_t *ret_ticket)
{
    *ret_ticket = 0;
    if (lease || ch->options.at_least_once) {
        int r = channel_held_take(ch, client, ret_ticket);
        if (r < 0)
            return r;
    } else {
        if (ch->returned_count > 0) /* by a client that had a lease */
            channel_held_hand_over(ch);
        else
            channel_log_drop(&ch->log);
        give_change(ch);
    }
    if (ch->options.joinable && !ch->options.at_least_once)
        client->undone++;
    ch->stats.taken++;
    return 0;
}

bool channel_at_end(const struct channel *ch, const struct channel_client *client)
{
    /* A lease ends soon, and the item may come back. */
    uint32_t own = ch->options.at_least_once ? client->held_count : 0;
    return ch->finished && channel_items(ch) == 0 && ch->held_count == own;
}

static void finished_one(struct channel *ch)
{
    give_change(ch);
    ch->stats.confirmed++;
    if (ch->options.joinable)
        ch->unfinished--;
}

int channel_confirm(struct channel *ch, struct channel_client *client, uint64_t ticket)
{
    struct channel_held *h = channel_held_find(ch, client, ticket);
    if (!h)
        return -ENOENT;
    channel_held_drop(ch, h);
    if (ch->options.at_least_once) {
        finished_one(ch);
    } else { /* a lease: its taker holds it and finishes it later */
        ch->stats.confirmed++;
        give_change(ch);
    }
    return 0;
}

int channel_give_back(struct channel *ch, struct channel_client *client, uint64_t ticket)
{
    struct channel_held *h = channel_held_find(ch, client, ticket);
    if (!h)
        return -ENOENT;
    channel_held_return(ch, h);
    if (ch->options.joinable && !ch->options.at_least_once)
        client->undone--;
    ch->stats.returned++;
    return 0;
}

uint32_t channel_owed(const struct channel *ch, const struct channel_client *client)
{
    return ch->options.at_least_once ? client->held_count
                                     : client->undone - (ch->options.joinable ? client->held_count : 0);
}

int channel_done(struct channel *ch, struct channel_client *client, uint32_t n)
{
    if (n > channel_owed(ch, client))
        return -ERANGE;
    for (uint32_t i = 0; i < n; i++) {
        if (ch->options.at_least_once)
            channel_held_drop(ch, TAILQ_FIRST(&client->held));
        else
            client->undone--;
        finished_one(ch);
    }
    return 0;
}

/* ---- clients ---- */

void channel_client_init(struct channel_client *client)
{
    *client = (struct channel_client){0};
    TAILQ_INIT(&client->held);
}

void channel_client_gone(struct channel *ch, struct channel_client *client)
{
    struct channel_held *h;
    while ((h = TAILQ_FIRST(&client->held))) {
        if (ch->options.at_least_once) {
            channel_held_return(ch, h);
            ch->stats.returned++;
        } else {
            channel_held_drop(ch, h);
            ch->stats.lost += !ch->options.joinable; /* otherwise it is counted as undone */
        }
    }
    give_change(ch);
    /* The rest was delivered at most once: lost with its taker. Stop counting it, so that nobody waits for it. */
    ch->stats.lost += client->undone;
    if (ch->options.joinable)
        ch->unfinished -= client->undone;
    client->undone = 0;
    channel_settle(ch);
}
