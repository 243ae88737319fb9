/* Shared by the files about a worker (worker.c, worker_messages.c, worker_life.c), and not used elsewhere. */
#pragma once

#include <event2/util.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/pool/worker.h"

/* Adds it to or removes it from the list of workers with a non-empty lane. */
void worker_set_busy(struct worker *w, bool busy);
/* It will not get ready: reports the reason to the pool, once. */
void worker_not_born(struct worker *w, const char *why);
/* It has violated the protocol: logs that once, and kills it. */
void worker_break(struct worker *w, const char *what);

/* Handles the messages received so far, and no more: later ones may be a flood. */
void worker_hear_all(struct worker *w);
/* The same for a dead worker; results that must be collected before the next message is handled are collected. */
void worker_hear_last(struct worker *w);
/* Handlers for its control socket and its pipes (owner: the worker). */
void worker_on_control(evutil_socket_t fd, short what, void *arg);
void worker_before_print(void *owner, int stream);
void worker_print(void *owner, int stream, const void *bytes, size_t length);
/* Logs the unfinished line as the output of the current speaker. */
void worker_end_lines(struct worker *w);
