/* How far may an incomplete message grow?
 *
 * The bytes of a long incomplete message count as arguments of its user (shares.h). When there is no room for more of
 * them, its connection is not read until there is. Messages that all need more room could deadlock, so one message of
 * each user may go on as long as there would be room for it without the user's others. It completes or times out, or
 * its connection closes; then the next one may go on.
 *
 * The bytes of a message are no longer counted here once it has been taken: a call's arguments count from then on. */
#pragma once

#include <stdbool.h>

struct conn;

/* Call after `in` has changed. */
void conn_count_in(struct conn *c);
/* May its message grow? */
bool conn_may_grow(const struct conn *c);
/* The same; if only one may, it is this one from now on. */
bool conn_grow(struct conn *c);
/* Call when it is closed. */
void conn_forget_in(struct conn *c);
