#include "daemon/conn/shares.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/config/config.h"

#define RESERVE_PART 16u /* one in this many is reserved for administrators */

static uint64_t quarter_of_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages / 4 * (uint64_t)size : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void shares_configure(struct shares *all, const struct config *config)
{
    /* A user's share always has room for the largest message or reply, whatever is configured; otherwise the user could
     * not work. */
    uint64_t one = (config->max_message + config->max_output_bytes) * 100 / config->max_user_share;
    all->percent = config->max_user_share;
    all->max[SHARE_CONNECTIONS] = config->max_connections;
    all->max[SHARE_KEPT] = config->max_kept;
    all->max[SHARE_KEPT_BYTES] = config->max_kept_bytes;
    all->max[SHARE_ARGS] = larger(config->max_args_bytes ? config->max_args_bytes : quarter_of_memory(), one);
    all->max[SHARE_UNREAD] = larger(config->max_unread_bytes ? config->max_unread_bytes : quarter_of_memory(), one);
}

struct shares *shares_new(const struct config *config)
{
    struct shares *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    shares_configure(all, config);
    shares_set_descriptors(all, UINT64_MAX);
    return all;
}

void shares_set_descriptors(struct shares *all, uint64_t max)
{
    all->max[SHARE_DESCRIPTORS] = max;
}

void shares_free(struct shares *all)
{
    free(all);
}

struct share *shares_join(struct shares *all, uid_t uid)
{
    struct share *u;
    HASH_FIND(hh, all->users, &uid, sizeof uid, u);
    if (!u) {
        u = calloc(1, sizeof *u);
        if (!u)
            return NULL;
        u->uid = uid;
        u->all = all;
        HASH_ADD(hh, all->users, uid, sizeof u->uid, u);
        if (!u->hh.tbl) {
            free(u);
            return NULL;
        }
    }
    u->members++;
    return u;
}

void share_leave(struct share *u)
{
    if (!u || --u->members > 0)
        return;
    HASH_DELETE(hh, u->all->users, u);
    free(u);
}

uint64_t share_max(const struct shares *all, enum share_kind kind, bool admin)
{
    uint64_t max = all->max[kind];
    return admin ? max : larger(max / 100 * all->percent + max % 100 * all->percent / 100, 1);
}

bool share_has_room(const struct share *u, enum share_kind kind, bool admin, uint64_t more)
{
    const struct shares *all = u->all;
    uint64_t max = all->max[kind], reserve = larger(max / RESERVE_PART, max > 1);
    uint64_t of_users = admin ? max : max - reserve, of_user = share_max(all, kind, admin);
    return more <= of_users && all->used[kind] <= of_users - more && more <= of_user && u->used[kind] <= of_user - more;
}

bool share_take_descriptor(struct share *u, bool admin)
{
    if (!u || !share_has_room(u, SHARE_DESCRIPTORS, admin, 1))
        return false;
    share_add(u, SHARE_DESCRIPTORS, 1);
    return true;
}

struct share *share_overdrawn(struct share *u, enum share_kind kind, bool admin)
{
    const struct shares *all = u->all;
    if (u->used[kind] > share_max(all, kind, admin))
        return u;
    if (all->used[kind] <= all->max[kind])
        return NULL;
    struct share *worst = u, *other, *next;
    HASH_ITER (hh, all->users, other, next)
        if (other->used[kind] > worst->used[kind])
            worst = other;
    return worst;
}
