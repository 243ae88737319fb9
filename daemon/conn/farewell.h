/* How does a peer get the last words, when it is still writing?
 *
 * A Unix socket that is closed with bytes unread fails its peer's next write, and who writes first and reads afterwards
 * never sees what it was told. So after an error that ends a connection its sending side is shut down, what still
 * comes is read and dropped, and the descriptor is closed at the peer's end of file, or some seconds later.
 *
 * At most FAREWELLS_MAX descriptors wait so; one more closes the one that has waited the longest.
 */
#pragma once

#include <stddef.h>

struct connections;
struct farewells;

#define FAREWELLS_MAX 64u

/* → NULL: no memory. */
struct farewells *farewells_new(struct connections *conns);
/* Closes all. NULL: nothing. */
void farewells_free(struct farewells *l);
/* fd: taken; a non-blocking stream socket on which all has been written. */
void farewell_begin(struct farewells *l, int fd);
