/* What do all tests of the lane need? Both ends, and the supervisor's way to sleep. Fails through cmocka. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/lane/lane_private.h"
#include "daemon/lane/lane.h"
#include "daemon/lane/layout.h"
#include "daemon/lane/worker_lane.h"

#define TEST_GENERATION 0x1122334455667788u

struct ends {
    struct sleep_word *sleep_word;
    struct lane *lane;
    struct worker_lane *worker;
    int bells[2]; /* 0: the supervisor's end, 1: the worker's */
};

/* Both ends, with mappings of their own as in two processes, or (shared) with the supervisor's alone. */
void ends_open(struct ends *ends, bool shared);
/* The supervisor's alone: the worker's is opened elsewhere, by ends_open_worker() in a child. */
void ends_open_supervisor(struct ends *ends);
int ends_open_worker(struct ends *ends);
void ends_close(struct ends *ends);

/* W as a hostile worker has it: writable, at the test's disposal. */
struct layout_w_head *ends_w(const struct ends *ends);
struct layout_result *ends_slot(const struct ends *ends, uint32_t position);

/* Places one job with `length` bytes of arguments. → the position; fails the test where lane_place does. */
uint32_t ends_place(struct ends *ends, uint64_t task_id, const void *args, size_t length);
struct lane_job test_job(uint64_t task_id);

/* Claims the next job, which must be there, and finishes it with `length` bytes. */
uint32_t ends_work(struct ends *ends, const void *result, size_t length);
uint32_t ends_claim(struct ends *ends);
bool ends_finish(struct ends *ends, const void *result, size_t length);

/* Collects the next result, which must be there. */
struct lane_result ends_collect(struct ends *ends);

/* Sleeps as the supervisor does: declares it, looks, and blocks until the doorbell (or `other`, -1 for none) is
 * readable. → false when nothing came for 20 seconds. Reads all bells. */
bool ends_sleep(struct ends *ends, int other);

/* How many bells there are to read; reads them. */
unsigned ends_bells(struct ends *ends);

/* Bytes that tell task and length apart: what each payload in the stress tests is filled with and checked against. */
void pattern_fill(uint8_t *to, size_t length, uint64_t task_id);
bool pattern_check(const uint8_t *data, size_t length, uint64_t task_id);

/* A small generator with its state in the caller's hand: the same seed, the same run. */
uint32_t random_next(uint64_t *state);
