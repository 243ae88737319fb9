/* How are replies sent on a connection?
 *
 * Replies are appended to the output and written once a pass; a descriptor is sent with the byte it was appended with.
 * The functions that append are in conn.h; this is for the connection itself.
 *
 * Unread output is kept as long as its memory is not needed: all unread bytes count, per user and in total (shares.h).
 * When a user exceeds its share, or all users together exceed the cap, one connection is closed: the one that holds the
 * most, of that user or, in the second case, of the user that has the most. So a reader that pauses loses nothing as
 * long as nobody needs the memory, and usually that is little, because whatever produces its replies is paused, too. */
#pragma once

struct conn;

#define CONN_KEEP_BUFFER (64u << 10) /* what an idle connection may keep allocated per direction */

/* Writes as much as possible, and watches for room to write the rest. */
void conn_write_out(struct conn *c);
/* Call when it is closed: its unread output no longer counts. */
void conn_forget_unread(struct conn *c);
