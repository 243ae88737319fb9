/* How long may a message become, whose end has not come?
 *
 * The bytes of a message that is long and not whole yet count as arguments of its user (shares.h). When there is no
 * room for more of them, its connection is not read until there is. Messages that all wait for the rest of their room
 * would wait for each other: so one of each user's may go on, as long as there would be room for it if the others were
 * not. It ends in time, or its connection does; then it is the next one's turn.
 *
 * What came of a message counts no more once it has been taken: a call's arguments count from then on.
 */
#pragma once

#include <stdbool.h>

struct conn;

/* After `in` has changed. */
void conn_count_in(struct conn *c);
/* May its message become longer? */
bool conn_may_grow(const struct conn *c);
/* The same, and if only one may, it is this one from now on. */
bool conn_grow(struct conn *c);
/* It is closed. */
void conn_forget_in(struct conn *c);
