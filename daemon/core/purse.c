/* The counters and the line behind purse.h. */
#include "daemon/core/purse.h"

#include <assert.h>

#include "daemon/core/channel.h"

void purse_init(struct purse *p, uint64_t max, purse_freed_fn *freed)
{
    *p = (struct purse){.max = max, .freed = freed};
    TAILQ_INIT(&p->line);
}

bool purse_take(struct purse *p, uint64_t bytes)
{
    if (bytes > purse_left(p))
        return false;
    p->used += bytes;
    return true;
}

static void begin_round(struct purse *p)
{
    p->tries = p->line_length;
    if (p->in_round || p->tries == 0)
        return;
    p->in_round = true;
    p->freed(p);
}

void purse_give_back(struct purse *p, uint64_t bytes)
{
    assert(bytes <= p->used);
    p->used -= bytes;
    if (bytes > 0)
        begin_round(p);
}

void purse_set_max(struct purse *p, uint64_t max)
{
    bool more = max > p->max;
    p->max = max;
    if (more)
        begin_round(p);
}

struct channel *purse_next(struct purse *p)
{
    struct channel *ch = TAILQ_FIRST(&p->line);
    if (p->tries == 0 || !ch) {
        p->tries = 0;
        p->in_round = false;
        return NULL;
    }
    p->tries--;
    TAILQ_REMOVE(&p->line, ch, in_purse);
    TAILQ_INSERT_TAIL(&p->line, ch, in_purse);
    return ch;
}

void purse_join_line(struct purse *p, struct channel *ch)
{
    TAILQ_INSERT_TAIL(&p->line, ch, in_purse);
    p->line_length++;
}

void purse_leave_line(struct purse *p, struct channel *ch)
{
    TAILQ_REMOVE(&p->line, ch, in_purse);
    p->line_length--;
}
