#include "daemon/conn/conn_in.h"

#include "daemon/conn/conn.h"
#include "daemon/conn/conn_out.h"
#include "daemon/conn/shares.h"

static void count(struct conn *c, uint64_t bytes)
{
    share_subtract(c->share, SHARE_ARGS, c->in_counted);
    share_add(c->share, SHARE_ARGS, bytes);
    c->share->unfinished += bytes - c->in_counted;
    c->in_counted = bytes;
    if (bytes == 0 && c->share->ahead == c)
        c->share->ahead = NULL;
}

void conn_count_in(struct conn *c)
{
    uint64_t length = wire_buf_length(&c->in);
    uint64_t bytes = length > CONN_KEEP_BUFFER ? length : 0; /* every connection may have this much */
    if (bytes != c->in_counted && !conn_is_closed(c))
        count(c, bytes);
}

void conn_forget_in(struct conn *c)
{
    if (c->in_counted > 0)
        count(c, 0);
}

/* Is there room, not counting what this user's other incomplete messages hold? */
static bool may_be_ahead(const struct conn *c)
{
    const struct share *u = c->share;
    uint64_t max = share_max(u->all, SHARE_ARGS, conn_is_admin(c)), whole = c->connections->config->max_message;
    return u->ahead == c || (!u->ahead && u->used[SHARE_ARGS] - u->unfinished + whole <= max);
}

bool conn_may_grow(const struct conn *c)
{
    return wire_buf_length(&c->in) < CONN_KEEP_BUFFER ||
           share_has_room(c->share, SHARE_ARGS, conn_is_admin(c), CONN_READ_CHUNK) || may_be_ahead(c);
}

bool conn_grow(struct conn *c)
{
    if (wire_buf_length(&c->in) < CONN_KEEP_BUFFER ||
        share_has_room(c->share, SHARE_ARGS, conn_is_admin(c), CONN_READ_CHUNK))
        return true;
    if (!may_be_ahead(c))
        return false;
    c->share->ahead = c;
    return true;
}
