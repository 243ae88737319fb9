/* The socket that clients find: made, or taken over from systemd; accepting, and pausing when descriptors run out. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct connections;
struct listener;

/* Makes (or adopts from LISTEN_FDS) the socket. Refuses when another daemon answers on it; takes over a stale one.
 * → 0 or -errno, logged. */
int listener_new(struct listener **ret, struct connections *conns);
/* Starts or goes on accepting. */
void listener_start(struct listener *l);
/* Stops accepting for good, and removes the socket file if it is ours. */
void listener_close(struct listener *l);
void listener_free(struct listener *l);
/* A descriptor has become free: if accepting was paused for want of them, try again. */
void listener_resume(struct listener *l);
/* Is the socket that user's alone that we run as? */
bool listener_is_private(const struct listener *l);
/* Where clients find it. Borrowed. */
const char *listener_path(const struct listener *l);
