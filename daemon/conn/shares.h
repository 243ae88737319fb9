/* How much of what the daemon holds is whose, and may there be more?
 *
 * What peers can make grow is counted twice: over all users, and for each of them. One user may have a part of each cap
 * (max_user_share), and all users together leave its last sixteenth to administrators, so that nobody locks out the
 * others, and nobody locks out who could end that. Administrators are held by the cap alone. At least one is always
 * within a user's part, as is what one connection must be able to hold.
 *
 * Counters alone: who asks decides whether to refuse, to wait or to close.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

struct config;
struct conn;

enum share_kind {
    SHARE_CONNECTIONS,
    SHARE_KEPT,        /* records of detached tasks */
    SHARE_KEPT_BYTES,  /* their arguments and results */
    SHARE_ARGS,        /* bytes of arguments under way, and of messages that are not whole yet */
    SHARE_UNREAD,      /* bytes of replies that have not been read */
    SHARE_DESCRIPTORS, /* of connections, kept results, pages of objects and items of queues */
    SHARE_KINDS,
};

struct share { /* one user's */
    UT_hash_handle hh;
    uid_t uid;
    uint32_t members; /* connections and records that count here */
    uint64_t used[SHARE_KINDS];
    uint64_t unfinished;      /* of its arguments: bytes of messages that are not whole yet, … */
    const struct conn *ahead; /* … of which this one may go on, whatever the others hold: see conn_in.h; or NULL */
    struct shares *all;
};

struct shares {
    struct share *users; /* hash */
    uint64_t used[SHARE_KINDS], most[SHARE_KINDS];
    unsigned percent; /* of it, for one user */
};

/* → NULL: no memory. */
struct shares *shares_new(const struct config *config);
/* When all have left. NULL: nothing. */
void shares_free(struct shares *all);
/* How many descriptors all may hold. Before it is called: as many as they like. */
void shares_set_descriptors(struct shares *all, uint64_t most);
/* The configuration has changed. */
void shares_configure(struct shares *all, const struct config *config);

/* The user's account, made for its first member. → NULL: no memory. */
struct share *shares_join(struct shares *all, uid_t uid);
/* The last member takes the account with it. NULL: nothing. */
void share_leave(struct share *u);

static inline void share_add(struct share *u, enum share_kind kind, uint64_t amount)
{
    u->used[kind] += amount;
    u->all->used[kind] += amount;
}

static inline void share_subtract(struct share *u, enum share_kind kind, uint64_t amount)
{
    u->used[kind] -= amount;
    u->all->used[kind] -= amount;
}

/* What one user may have. */
uint64_t share_most(const struct shares *all, enum share_kind kind, bool admin);
/* May it have so many more? */
bool share_has_room(const struct share *u, enum share_kind kind, bool admin, uint64_t more);
/* One descriptor more, if it may have that: what lasts is counted as its own until it is given back. u: NULL: no. */
bool share_take_descriptor(struct share *u, bool admin);
static inline void share_give_descriptor(struct share *u)
{
    share_subtract(u, SHARE_DESCRIPTORS, 1);
}
/* Who has too much: u, if it is beyond its part; or the user that has the most, if all together are. NULL: nobody. */
struct share *share_overdrawn(struct share *u, enum share_kind kind, bool admin);
