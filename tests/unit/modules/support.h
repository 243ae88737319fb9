/* A worker's world without a worker: result space, cancel word and ears in plain memory. One world per test. */
#pragma once

/* Before cmocka.h, whose fail() is a macro. */
#include "daemon/base/cleanup.h"
#include "daemon/worker/host.h"
#include "daemon/worker/modules.h"
#include "proto/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SPACE LANE_BLOCK_MAX

struct world {
    struct host *host;
    struct modules *modules;
    struct module_function own[16]; /* functions of the test itself, when there are no modules */
    size_t own_count;

    uint8_t space[SPACE];
    size_t room; /* of the space; SPACE unless a test says otherwise */
    struct worker_job job;
    struct worker_outcome outcome;
    int run_error; /* what host_run() returned */

    volatile int cancelled;
    uint32_t cancel_after; /* turns cancelled when so many items are published; 0: never */
    uint32_t partial_items, partial_calls;
    size_t partial_size;
    int result_error; /* what result_memfd answers */
    uint8_t *memfd;   /* the mapped result */
    size_t memfd_size;
    int memfd_seals;
    uint64_t progress_done, progress_total;
    struct wire_buf out[3]; /* by stream */
    char log[HOST_TEXT_MAX + 1];
    int log_level;
    char shown[1 << 16];
};

/* A world whose functions are the test's own. */
int world_setup(void **state);
/* A world with the shipped modules. */
int world_setup_shipped(void **state);
int world_teardown(void **state);

/* Registers a function of the test; → its index. */
uint32_t world_add(struct world *w, const char *name, mpool_function *run);

/* Runs a job. args: JSON, packed to MessagePack. w->job.job keeps what a test has set (flags, items, max_result …). */
void world_run(struct world *w, uint32_t function, const char *args);
void world_run_bytes(struct world *w, uint32_t function, const void *args, size_t length);
/* A shipped function by its name. */
void world_call(struct world *w, const char *name, const char *args);

const uint8_t *world_result(const struct world *w, size_t *ret_length);
/* It is exactly one whole value. */
void assert_whole(const struct world *w);
/* The result as text, such as [1, "two", nil], if it is not too long for `shown`. */
const char *world_show(struct world *w);

void assert_result(struct world *w, const char *shown);
/* The outcome is a failure with exactly this text ("E_FAILED: …"). */
void assert_failed(struct world *w, const char *text);
void assert_failed_like(struct world *w, const char *part);

/* Where the tests' own modules and the shipped ones lie; from the environment that meson sets. */
const char *fixtures(void);
const char *shipped(void);
