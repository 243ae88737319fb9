/* The supervisor: the loop, its pass, and the wiring of connections, workers, tasks and objects.
 *
 * Everything runs on one thread. A pass: events are handled (they only collect input: requests, messages of workers,
 * exits), lanes are collected, the core runs once, then everything dirty is written: one store and at most one wake per
 * worker, one write per client. See supervisor.c for the order and why nothing can be missed while it sleeps. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/deadline.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/loop.h"
#include "daemon/config/config.h"
#include "daemon/rpc/service.h"

struct supervisor {
    struct loop loop;
    struct config *config;
    struct config_arguments arguments; /* to read the configuration again */
    struct connections connections;
    struct workers workers;
    struct tasks tasks;
    struct service service; /* the same for requests, with core and objects */
    struct descriptors descriptors;
    struct deadline core_deadline; /* next timer of the core or of a queue wait */
    int signal_fd;
    struct event *on_signals;
    struct event *watchdog; /* only under a service manager that requests it */
    uint32_t stop_signals_direct, stop_signals_forwarded, stop_signals_handled; /* SIGTERMs, by route */
    uint64_t flush_until_ns; /* after the last task: until when replies may still be written */
};

/* config: taken. → 0 or -errno; errors have been logged. */
int supervisor_new(struct supervisor **ret, struct config *config, const struct config_arguments *arguments);
void supervisor_free(struct supervisor *s);

/* Runs until it has been asked to stop and has stopped. → the exit status. */
int supervisor_run(struct supervisor *s);

/* Passes the new s->config on to all modules. */
void supervisor_configure(struct supervisor *s);
