/* Accounts for what the daemon holds on behalf of each user.
 *
 * What peers can make grow is counted twice: over all users, and per user. One user may use a part of each cap
 * (max_user_share), and all users together must leave the last sixteenth to administrators, so that no user can lock
 * out the others or the administrators who could stop it. Administrators are limited by the cap alone. A user may
 * always have at least one of each, and as much as one connection needs.
 *
 * These are only counters: the caller decides whether to refuse, wait or close. */
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
    SHARE_ARGS,        /* bytes of arguments in flight, and of incomplete messages */
    SHARE_UNREAD,      /* bytes of unread replies */
    SHARE_DESCRIPTORS, /* of connections, kept results, pages of objects and items of queues */
    SHARE_KINDS,
};

struct share { /* one user's */
    UT_hash_handle hh;
    uid_t uid;
    uint32_t members; /* connections and records that count here */
    uint64_t used[SHARE_KINDS];
    uint64_t unfinished; /* of its arguments: bytes of incomplete messages, … */
    const struct conn
        *ahead; /* … of which this connection may go on regardless of the others: see conn_in.h; or NULL */
    struct shares *all;
};

struct shares {
    struct share *users; /* hash table */
    uint64_t used[SHARE_KINDS], max[SHARE_KINDS];
    unsigned percent; /* of each cap, for one user */
};

/* → NULL: no memory. */
struct shares *shares_new(const struct config *config);
/* Call when all have left. NULL: nothing. */
void shares_free(struct shares *all);
/* How many descriptors all may hold. Unlimited until this is called. */
void shares_set_descriptors(struct shares *all, uint64_t max);
/* Call when the configuration has changed. */
void shares_configure(struct shares *all, const struct config *config);

/* The user's account, created for its first member. → NULL: no memory. */
struct share *shares_join(struct shares *all, uid_t uid);
/* The last member frees the account. NULL: nothing. */
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

/* The maximum for one user. */
uint64_t share_max(const struct shares *all, enum share_kind kind, bool admin);
/* May it have this many more? */
bool share_has_room(const struct share *u, enum share_kind kind, bool admin, uint64_t more);
/* Takes one more descriptor if allowed: a long-lived one counts as the user's until it is given back. u: NULL: not
 * allowed. */
bool share_take_descriptor(struct share *u, bool admin);
static inline void share_give_descriptor(struct share *u)
{
    share_subtract(u, SHARE_DESCRIPTORS, 1);
}
/* The user over its limit: u, if it exceeds its share; or the user that has the most, if all together exceed the cap.
 * NULL: none. */
struct share *share_overdrawn(struct share *u, enum share_kind kind, bool admin);
