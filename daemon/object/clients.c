#include "daemon/object/clients.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/peer.h"
#include "daemon/object/objects.h"
#include "proto/sync/sync.h"

static struct client *find(const struct objects *all, uint32_t number)
{
    struct client *p;
    HASH_FIND(hh, all->clients, &number, sizeof number, p);
    return p;
}

/* There are always fewer clients than numbers, so one is free. */
static uint32_t new_number(struct objects *all)
{
    do
        all->last_client = all->last_client >= SYNC_CLIENT_MAX ? 1 : all->last_client + 1;
    while (find(all, all->last_client));
    return all->last_client;
}

struct client *client_find(const struct objects *objects, uint32_t number)
{
    return find(objects, number);
}

/* Its connection has been closed, or its process has died, whichever is first. All its uses end only now: a client that
 * learns from a page that a client has ended can tell by its own connection whether it was the one. */
static void on_end(struct conn_closer *closer)
{
    struct client *p = CONTAINER_OF(closer, struct client, closer);
    struct object_use *use;
    while ((use = LIST_FIRST(&p->uses)))
        objects_close_use(use);
    HASH_DELETE(hh, p->objects->clients, p);
    conn_forget_closer(&p->closer);
    p->conn->client = NULL;
    free(p);
}

static const struct conn_closer_ops closer_ops = {.close = on_end, .peer_died = on_end};

struct client *client_of(struct objects *all, struct conn *c, struct object_refusal *why)
{
    if (c->client)
        return c->client;
    int r = peer_watch(c);
    if (r == -ESRCH) {
        object_refuse(why, MPOOL_E_DENIED,
            "the process that made this connection (pid %d) has died; another one has to connect for itself",
            (int)c->pid);
        return NULL;
    }
    struct client *p = r == 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        object_refuse(why, r == -EMFILE || r == -ENFILE ? MPOOL_E_BUSY : MPOOL_E_INTERNAL,
            "the process that connected cannot be watched: %s", strerror(r < 0 ? -r : ENOMEM));
        return NULL;
    }
    *p = (struct client){.objects = all, .conn = c, .number = new_number(all)};
    LIST_INIT(&p->uses);
    HASH_ADD(hh, all->clients, number, sizeof p->number, p);
    if (!p->hh.tbl) {
        free(p);
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        return NULL;
    }
    c->client = p;
    conn_on_close(c, &p->closer, &closer_ops);
    return p;
}
