/* The shared-memory queue, seen from the worker. See lane.h.
 *
 * The worker trusts S (the supervisor is trusted). It may die at any instruction: whatever it has not published with a
 * release store or compare-and-swap counts as never done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/lane/lane.h"

struct worker_lane;

/* Maps the three descriptors (borrowed; may be closed afterwards). doorbell: the control socket, borrowed; it
 * gets a CONTROL_DOORBELL when the supervisor sleeps. → 0 or -errno (-EINVAL: a file of another size). */
int worker_lane_open(struct worker_lane **ret, int fd_s, int fd_w, int fd_sleep_word, int doorbell);
void worker_lane_close(struct worker_lane *lane);

struct worker_job {
    uint32_t position;
    struct lane_job job;
    uint64_t generation;
    const uint8_t *args; /* in S; NULL with LANE_JOB_MEMFD */
    size_t args_length;
};

/* Claims the next job (READY → STARTED), passing over those taken back. Sleeps on the futex when there is none.
 * timeout_ms: -1 forever; 0 only look. → 1 with *ret; 0 some were taken back and there is no other now, timed out or
 * interrupted by a signal (whose handler must not have SA_RESTART). */
int worker_lane_next(struct worker_lane *lane, struct worker_job *ret, int timeout_ms);

/* The position that is claimed next: all before it have been claimed, or taken back. */
uint32_t worker_lane_ahead(const struct worker_lane *lane);

/* Where the running job's result is built: `*ret_room` contiguous bytes of W (LANE_BLOCK_MAX at most; waits until the
 * supervisor has collected enough). Valid until the job is finished. */
uint8_t *worker_lane_result_space(struct worker_lane *lane, size_t *ret_room);

/* Publishes that `items` leading items of a running chunk are done and are in the first `size` bytes of the space. */
void worker_lane_partial(struct worker_lane *lane, uint32_t items, size_t size);

struct worker_outcome {
    enum lane_outcome outcome;
    uint32_t items_done;
    uint64_t run_ns;
    bool memfd;    /* already sent over the control socket */
    uint64_t size; /* result bytes, in the space (LANE_BLOCK_MAX at most) or in the memfd; 0 needs no space */
};

/* STARTED → DONE, and rings if the supervisor sleeps. → true; false: the job is being killed. The caller must then do
 * nothing but wait to be killed. */
bool worker_lane_finish(struct worker_lane *lane, const struct worker_outcome *outcome);

uint32_t worker_lane_cancelled(const struct worker_lane *lane); /* the running job: how (control_protocol.h), or 0 */
void worker_lane_progress(struct worker_lane *lane, uint64_t done, uint64_t total);
