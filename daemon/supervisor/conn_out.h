/* How does what is to be said get out of a connection?
 *
 * Replies are appended to the output and written once a pass; a descriptor rides on the byte that it was appended with.
 * Who appends is in conn.h; this is for the connection itself.
 */
#pragma once

struct conn;

#define CONN_KEEP_BUFFER (64u << 10) /* what an idle connection may keep allocated per direction */

/* Writes what can be written, and waits for the rest to become so. One that does not read is closed. */
void conn_write_out(struct conn *c);
