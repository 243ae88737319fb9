/* What the files about a worker (worker.c, worker_voice.c, worker_life.c) have in common, and nobody else needs. */
#pragma once

#include <event2/util.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/supervisor/worker.h"

/* In the supervisor's list of workers that have something in their lane. */
void worker_set_busy(struct worker *w, bool busy);
/* SIGKILL, once. */
void worker_kill_process(struct worker *w);
/* It has done what no honest worker does: said once, and killed. */
void worker_break(struct worker *w, const char *what);

#define WORKER_HEAR_BUDGET 64 /* messages of one worker in one pass: a flood waits, others do not */

/* Takes in one message. → false: nothing more to read now. */
bool worker_hear(struct worker *w);
/* Collects, if it is that for which no message is taken in: no third large result before the first. → false: it is not.
 */
bool worker_makes_room(struct worker *w);
/* Handlers of its control socket and of its pipes (owner: the worker). */
void worker_on_control(evutil_socket_t fd, short what, void *arg);
void worker_print(void *owner, int stream, const void *bytes, size_t length);
/* Who speaks: "pool=… worker=… task=…". stream: 1, 2; 0: the log. */
void worker_who(const struct worker *w, int stream, char *text, size_t size);
