/* Who are the users of shared objects, and when is one gone?
 *
 * A party is a connection as a user of objects. It has a number, which stands in the lock words of what it holds. It is
 * gone when its connection closes or the process that connected has died, whichever is first: a child that inherited
 * the socket keeps nothing alive (peer.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uthash.h>

struct conn;
struct object_member;
struct object_refusal;
struct object_use;
struct supervisor;

struct party {
    UT_hash_handle hh; /* by number */
    struct supervisor *supervisor;
    struct conn *conn;
    uint32_t number; /* 1 … SYNC_PARTY_MAX */
    LIST_HEAD(, object_use) uses;
    uint32_t use_count;
    struct object_member *members; /* hash by object */
};

struct parties;

struct parties *parties_new(struct supervisor *s);
void parties_free(struct parties *all);

/* The connection's party, made if it has none. → NULL with *why: the process that connected has died; no memory or
 * descriptor. */
struct party *party_of(struct conn *c, struct object_refusal *why);
/* → NULL: there is none of this number. */
struct party *party_find(const struct supervisor *s, uint32_t number);
/* All its uses end: after its connection has been shut down or its process has died, so that whoever finds in a page
 * that somebody has left can see at its connection whether that was itself. NULL is allowed. */
void party_free(struct party *p);
