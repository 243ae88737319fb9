/* How does what is to be said get out of a connection?
 *
 * Replies are appended to the output and written once a pass; a descriptor rides on the byte that it was appended with.
 * Who appends is in conn.h; this is for the connection itself.
 *
 * What is not read stays, for as long as it takes, until the memory is needed: all that is unread counts, for its user
 * and for all (shares.h). When a user has more than its part, or all together have more than there may be, that user's
 * connection, or the one of the user that has the most, which holds the most is closed. So a reader that pauses loses
 * nothing as long as nobody needs what it holds; and mostly that is little, as whatever makes its replies waits with
 * it.
 */
#pragma once

struct conn;

#define CONN_KEEP_BUFFER (64u << 10) /* what an idle connection may keep allocated per direction */

/* Writes what can be written, and waits for the rest to become so. */
void conn_write_out(struct conn *c);
/* It is closed: what it has not read counts no more. */
void conn_forget_unread(struct conn *c);
