/* What the files about a worker (worker.c, worker_voice.c, worker_life.c) have in common, and nobody else needs. */
#pragma once

#include <event2/util.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/pool/worker.h"

/* In the supervisor's list of workers that have something in their lane. */
void worker_set_busy(struct worker *w, bool busy);
/* It will not get ready: the pool is told why, once. */
void worker_not_born(struct worker *w, const char *why);
/* It has done what no honest worker does: said once, and killed. */
void worker_break(struct worker *w, const char *what);

/* Takes in what has come so far, and no more of it: what else comes meanwhile may be a flood. */
void worker_hear_all(struct worker *w);
/* The same of one that has died; what must be collected before the next message is taken in is collected. */
void worker_hear_last(struct worker *w);
/* Handlers of its control socket and of its pipes (owner: the worker). */
void worker_on_control(evutil_socket_t fd, short what, void *arg);
void worker_before_print(void *owner, int stream);
void worker_print(void *owner, int stream, const void *bytes, size_t length);
/* Logs what was printed since the last end of a line, as the words of who speaks now. */
void worker_end_lines(struct worker *w);
