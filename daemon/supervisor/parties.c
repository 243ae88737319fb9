#include "daemon/supervisor/parties.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/objects.h"
#include "daemon/supervisor/peer.h"
#include "proto/sync/sync.h"

struct parties {
    struct party *by_number;
    uint32_t last;
};

struct parties *parties_new(struct supervisor *s)
{
    (void)s;
    return calloc(1, sizeof(struct parties));
}

void parties_free(struct parties *all)
{
    free(all);
}

static struct party *find(const struct parties *all, uint32_t number)
{
    struct party *p;
    HASH_FIND(hh, all->by_number, &number, sizeof number, p);
    return p;
}

/* There are never as many parties as numbers, so one is free. */
static uint32_t new_number(struct parties *all)
{
    do
        all->last = all->last >= SYNC_PARTY_MAX ? 1 : all->last + 1;
    while (find(all, all->last));
    return all->last;
}

struct party *party_find(const struct supervisor *s, uint32_t number)
{
    return find(s->parties, number);
}

struct party *party_of(struct conn *c, struct object_refusal *why)
{
    struct supervisor *s = c->supervisor;
    if (c->party)
        return c->party;
    int r = peer_watch(c);
    if (r == -ESRCH) {
        object_refuse(why, MPOOL_E_DENIED,
            "the process that made this connection (pid %d) has died; another one has to connect for itself",
            (int)c->pid);
        return NULL;
    }
    struct party *p = r == 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        object_refuse(why, r == -EMFILE || r == -ENFILE ? MPOOL_E_BUSY : MPOOL_E_INTERNAL,
            "the process that connected cannot be watched: %s", strerror(r < 0 ? -r : ENOMEM));
        return NULL;
    }
    *p = (struct party){.supervisor = s, .conn = c, .number = new_number(s->parties)};
    LIST_INIT(&p->uses);
    HASH_ADD(hh, s->parties->by_number, number, sizeof p->number, p);
    c->party = p;
    return p;
}

void party_free(struct party *p)
{
    struct object_use *use;
    if (!p)
        return;
    while ((use = LIST_FIRST(&p->uses)))
        objects_close_use(use);
    HASH_DELETE(hh, p->supervisor->parties->by_number, p);
    p->conn->party = NULL;
    free(p);
}
