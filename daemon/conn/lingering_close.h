/* How does a peer receive the final message while it is still writing?
 *
 * If a Unix socket is closed with bytes unread, the peer's next write fails, and a peer that writes first and reads
 * afterwards never sees the error we sent. So after an error that ends a connection its sending side is shut down,
 * further input is read and dropped, and the descriptor is closed at the peer's end of file or after a few seconds.
 *
 * At most LINGERING_MAX descriptors wait like this; one more closes the one that has waited longest. */
#pragma once

#include <stddef.h>

struct connections;
struct lingering_closes;

#define LINGERING_MAX 64u

/* → NULL: no memory. */
struct lingering_closes *lingering_closes_new(struct connections *conns);
/* Closes all. NULL: nothing. */
void lingering_closes_free(struct lingering_closes *l);
/* fd: taken; a non-blocking stream socket on which everything has been written. */
void lingering_close_begin(struct lingering_closes *l, int fd);
