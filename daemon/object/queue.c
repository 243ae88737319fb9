/* The contents of queues and pipes: see queue.h. */
#include "daemon/object/objects.h"
#include "daemon/object/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/conn.h"
#include "daemon/object/queue_memfd.h"
#include "daemon/object/queue_wait.h"

enum { TIMER_WAIT }; /* the only kind in objects->queue_timers */

static unsigned channel_count(const struct queue *q)
{
    return q->options.kind == QUEUE_PIPE ? 2 : 1;
}

uint64_t queue_free_bytes(const struct queue_options *options)
{
    return options->kind == QUEUE_PIPE && !options->one_way ? 2 * QUEUE_BYTES_FREE : QUEUE_BYTES_FREE;
}

uint64_t queue_paid(const struct queue *q)
{
    uint64_t paid = 0;
    for (unsigned i = 0; i < channel_count(q); i++)
        paid += q->channels[i].paid;
    return paid;
}

static int make_channels(struct queue *q)
{
    struct channel_options options = {
        .max_items = (uint32_t)q->options.capacity,
        .max_tokens = QUEUE_MEMFDS_MAX,
        .max_bytes = q->options.bytes,
        .purse = q->purse,
        .paid_for = QUEUE_BYTES_FREE,
        .dispose = queue_memfd_dispose,
        .max_waits = QUEUE_WAITS_MAX,
        .at_least_once = q->options.at_least_once,
        .joinable = q->options.kind == QUEUE_JOINABLE,
    };
    int r = 0;
    for (unsigned i = 0; r == 0 && i < channel_count(q); i++)
        r = channel_init(&q->channels[i], &options, &q->objects->queue_timers, TIMER_WAIT, queue_wait_ended);
    return r;
}

int queue_new(struct objects *objects, const struct queue_options *options, uint32_t *owners_memfds,
    struct share *owner, struct purse *purse, struct queue **ret)
{
    struct queue_options o = *options;
    o.capacity = o.capacity ? o.capacity : QUEUE_ITEMS_DEFAULT;
    o.bytes = o.bytes ? o.bytes : QUEUE_BYTES_DEFAULT;
    if (o.capacity > CHANNEL_ITEMS_MAX || o.bytes > QUEUE_BYTES_MAX)
        return -ERANGE;
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->objects = objects;
    q->options = o;
    q->owners_memfds = owners_memfds;
    q->purse = purse;
    q->owner = owner;
    int r = make_channels(q);
    if (r < 0) {
        free(q);
        return r;
    }
    *ret = q;
    return 0;
}

static void deinit_channels(struct queue *q)
{
    for (unsigned i = 0; i < channel_count(q); i++)
        channel_deinit(&q->channels[i]);
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    deinit_channels(q);
    free(q);
}

/* ---- users ---- */

/* An end whose user left before anybody took the other one may be taken again, as nobody has noticed. */
static bool may_take(const struct queue *q, int end)
{
    return !q->ends[end] && (!q->taken[end] || !q->taken[1 - end]);
}

static int choose_end(const struct queue *q, int end)
{
    if (end == QUEUE_ANY_END)
        end = !q->taken[0] ? 0 : 1;
    if (may_take(q, end))
        return end;
    return q->ends[end] ? -EBUSY : -EPIPE;
}

/* What was sent from this end can still be taken, followed by the end of file; what is sent to it is refused. */
static void end_of_file(struct queue *q, int end)
{
    channel_finish(&q->channels[end]);
    channel_break(&q->channels[1 - end]);
}

int queue_attach(struct queue *q, struct queue_user *u, struct conn *c, int end)
{
    *u = (struct queue_user){0};
    if (q->options.kind == QUEUE_PIPE) {
        end = choose_end(q, end);
        if (end < 0)
            return end;
        q->ends[end] = u;
        q->taken[end] = true;
        u->end = end;
        if (q->taken[1 - end] && !q->ends[1 - end])
            end_of_file(q, 1 - end); /* what it sent stays, but nobody can send it an answer any more */
    }
    u->queue = q;
    u->conn = c;
    channel_client_init(&u->client);
    LIST_INIT(&u->waits);
    q->users++;
    return 0;
}

static void as_new(struct queue *q)
{
    deinit_channels(q);
    make_channels(q); /* cannot fail: the options were valid before */
    q->taken[0] = q->taken[1] = false;
}

static void close_end(struct queue *q, int end)
{
    q->ends[end] = NULL;
    if (!q->taken[1 - end]) {
        /* What it has sent waits for the other end's user; if that is nothing, forget that it was ever there. */
        if (channel_items(&q->channels[end]) == 0)
            as_new(q);
        return;
    }
    end_of_file(q, end);
    if (!q->ends[1 - end])
        as_new(q);
}

void queue_detach(struct queue_user *u)
{
    struct queue *q = u->queue;
    struct queue_wait *w;
    if (!q)
        return;
    while ((w = LIST_FIRST(&u->waits)))
        if (conn_is_closed(u->conn))
            queue_wait_free(w);
        else
            queue_wait_end_cancelled(w);
    struct channel *from = queue_takes_from(u), *to = queue_puts_to(u);
    if (from)
        channel_client_gone(from, &u->client);
    if (to)
        channel_settle(to); /* waiters behind its puts */
    u->queue = NULL;
    q->users--;
    if (q->options.kind == QUEUE_PIPE)
        close_end(q, u->end);
}

struct channel *queue_puts_to(const struct queue_user *u)
{
    struct queue *q = u->queue;
    if (q->options.kind != QUEUE_PIPE)
        return &q->channels[0];
    return q->options.one_way && u->end == 0 ? NULL : &q->channels[u->end];
}

struct channel *queue_takes_from(const struct queue_user *u)
{
    struct queue *q = u->queue;
    if (q->options.kind != QUEUE_PIPE)
        return &q->channels[0];
    return q->options.one_way && u->end == 1 ? NULL : &q->channels[1 - u->end];
}

/* ---- what is known about it ---- */

static uint32_t line_length(const struct channel_line *line)
{
    const struct channel_wait *w;
    uint32_t n = 0;
    TAILQ_FOREACH (w, line, link)
        n++;
    return n;
}

/* name, expression over `ch`, summed over the channels */
#define FACTS(X)                                                                                                       \
    X(items, channel_items(ch))                                                                                        \
    X(item_bytes, channel_bytes(ch))                                                                                   \
    X(memfds, ch->log.tokens + ch->out_tokens)                                                                         \
    X(held, ch->held_count)                                                                                            \
    X(unfinished, ch->unfinished)                                                                                      \
    X(putters, line_length(&ch->puts))                                                                                 \
    X(getters, line_length(&ch->gets))                                                                                 \
    X(joiners, line_length(&ch->joins))                                                                                \
    X(put, ch->stats.put)                                                                                              \
    X(taken, ch->stats.taken)                                                                                          \
    X(returned, ch->stats.returned)                                                                                    \
    X(lost, ch->stats.lost)

enum {
#define X(name, value) FACT_##name,
    FACTS(X)
#undef X
        FACT_COUNT
};

enum { OTHER_FACTS = 4 };

/* In every direction that it has. */
static bool is_finished(const struct queue *q)
{
    if (q->options.kind != QUEUE_PIPE)
        return q->channels[0].finished;
    return q->channels[1].finished && (q->options.one_way || q->channels[0].finished);
}

uint32_t queue_fact_count(const struct queue *q)
{
    return FACT_COUNT + OTHER_FACTS + (q->options.kind == QUEUE_PIPE ? 1 : 0);
}

void queue_pack_fields(const struct queue *q, msgpack_packer *pk)
{
#define X(name, value)                                                                                                 \
    {                                                                                                                  \
        uint64_t sum = 0;                                                                                              \
        for (unsigned i = 0; i < channel_count(q); i++) {                                                              \
            const struct channel *ch = &q->channels[i];                                                                \
            sum += (value);                                                                                            \
        }                                                                                                              \
        wire_pack_key_u64(pk, #name, sum);                                                                             \
    }
    FACTS(X)
#undef X
    wire_pack_key_u64(pk, "capacity", q->options.capacity);
    wire_pack_key_u64(pk, "max_item_bytes", q->options.bytes);
    wire_pack_key_bool(pk, "at_least_once", q->options.at_least_once);
    wire_pack_key_bool(pk, "finished", is_finished(q));
    if (q->options.kind == QUEUE_PIPE)
        wire_pack_key_bool(pk, "duplex", !q->options.one_way);
}

/* ---- time ---- */

void queues_run(struct objects *objects)
{
    struct core_timer *t;
    while ((t = core_timer_first(&objects->queue_timers)) && t->at_ns <= objects->loop->now_ns)
        channel_late(CONTAINER_OF(t, struct channel_wait, timer));
}

uint64_t queues_next_ns(const struct objects *objects)
{
    const struct core_timer *t = core_timer_first(&objects->queue_timers);
    return t ? t->at_ns : UINT64_MAX;
}
