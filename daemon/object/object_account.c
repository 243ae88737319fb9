#include "daemon/object/object_account.h"

#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config.h"
#include "daemon/conn/shares.h"
#include "daemon/core/channel.h"
#include "daemon/object/objects.h"

static void on_freed(struct purse *purse)
{
    struct object_account *a = CONTAINER_OF(purse, struct object_account, purse);
    TAILQ_INSERT_TAIL(&a->all->freed, a, freed);
    a->all->loop->again = true;
}

struct object_account *object_account_of(struct objects *all, uid_t uid)
{
    struct object_account *a;
    HASH_FIND(hh, all->accounts, &uid, sizeof uid, a);
    if (a)
        return a;
    a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->all = all;
    a->uid = uid;
    purse_init(&a->purse, all->config->max_user_object_bytes, on_freed);
    a->share = shares_join(all->shares, uid);
    if (a->share)
        HASH_ADD(hh, all->accounts, uid, sizeof a->uid, a);
    if (!a->hh.tbl) {
        share_leave(a->share);
        free(a);
        return NULL;
    }
    return a;
}

void object_account_let_go(struct objects *all, struct object_account *a)
{
    if (a->objects > 0)
        return;
    if (a->purse.in_round)
        TAILQ_REMOVE(&all->freed, a, freed);
    HASH_DELETE(hh, all->accounts, a);
    share_leave(a->share);
    free(a);
}

struct share *objects_share_of_owner(const struct object *o)
{
    return o->account->share;
}

bool objects_take_descriptor(struct object *o)
{
    return share_take_descriptor(o->account->share, o->account->admin);
}

void objects_give_descriptor(struct object *o)
{
    share_give_descriptor(o->account->share);
}

uint32_t *objects_memfds_of_owner(struct object *o)
{
    return &o->account->memfds;
}

struct purse *objects_purse_of_owner(struct object *o)
{
    return &o->account->purse;
}

void objects_configure(struct objects *all)
{
    struct object_account *a, *next;
    HASH_ITER (hh, all->accounts, a, next)
        purse_set_max(&a->purse, all->config->max_user_object_bytes);
}

/* Each channel once, even if many users got something back; the first user served is the last in the next pass. */
void objects_run(struct objects *all)
{
    struct object_account *a;
    struct channel *ch;
    while ((a = TAILQ_FIRST(&all->freed))) {
        while ((ch = purse_next(&a->purse))) {
            channel_settle(ch);
            if (!loop_has_time(all->loop)) {
                loop_defer(all->loop);
                return;
            }
        }
        TAILQ_REMOVE(&all->freed, a, freed);
    }
}

int object_account_has_room(
    const struct objects *all, const struct object_account *a, uint64_t bytes, struct object_refusal *why)
{
    const struct config *config = all->config;
    if (all->count >= config->max_objects)
        return object_refuse(why, MPOOL_E_BUSY, "there are %u shared objects already (max_objects)", all->count);
    if (a->objects >= config->max_user_objects)
        return object_refuse(why, MPOOL_E_BUSY, "user %u has %u shared objects already (max_user_objects)",
            (unsigned)a->uid, a->objects);
    if (bytes > purse_left(&a->purse))
        return object_refuse(why, MPOOL_E_BUSY,
            "the shared objects of user %u have %llu bytes, and %llu more would be above %llu (max_user_object_bytes)",
            (unsigned)a->uid, (unsigned long long)a->purse.used, (unsigned long long)bytes,
            (unsigned long long)a->purse.max);
    return 0;
}
