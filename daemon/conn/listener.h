/* The listening socket: created, or passed by systemd; accepts, and pauses when descriptors run out. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct connections;
struct listener;

/* Creates the socket (or adopts it from LISTEN_FDS). Refuses when another daemon answers on it; takes over a stale one.
 * → 0 or -errno, logged. */
int listener_new(struct listener **ret, struct connections *conns);
/* Starts or resumes accepting. */
void listener_start(struct listener *l);
/* Stops accepting for good, and removes the socket file if it is ours. */
void listener_close(struct listener *l);
void listener_free(struct listener *l);
/* A descriptor has become free: if accepting was paused for want of them, try again. */
void listener_resume(struct listener *l);
/* Can only our own user (and root) connect to the socket? */
bool listener_is_private(const struct listener *l);
/* The path of the socket. Borrowed. */
const char *listener_path(const struct listener *l);
