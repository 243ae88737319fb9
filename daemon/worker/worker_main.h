/* The life of a worker: from the fork from its forkserver to its end.
 *
 * Reads nothing but its lane and its control socket, and trusts both: they are the supervisor's. It reports failures by
 * its exit status and a line on its stderr, which the supervisor logs.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "daemon/worker/modules.h"

struct worker_setup {
    const struct modules *modules; /* inherited, loaded and initialised */
    const char *pool;
    uint32_t number;
    uint32_t max_depth;
    pid_t supervisor;
    /* taken */
    int control, lane_s, lane_w, sleep_word, out, err;
};

/* Exit statuses of a worker that ends by itself, beside 0. */
enum { WORKER_EXIT_ORPHAN = 100, WORKER_EXIT_SETUP = 101, WORKER_EXIT_INIT = 102, WORKER_EXIT_CONTROL = 103 };

/* Runs tasks until it is asked to retire or its supervisor has exited. Never returns. */
_Noreturn void worker_main(struct worker_setup *setup);
