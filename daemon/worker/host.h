/* What happens between a job that a worker has claimed and its result?
 *
 * The host runs module functions: it checks and splits the arguments, lends the function the calls of <mpool/module.h>,
 * and ensures that the result is exactly one whole MessagePack value within the limits, whatever the function does. It
 * knows nothing of processes, sockets and lanes: all that is passed in as struct host_ops. A function that fails, or
 * misuses a call, fails its task with an error message; only what the worker itself cannot survive is returned as an
 * error. One thread: the worker's main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/lane/worker_lane.h"
#include "daemon/worker/modules.h"
#include "proto/message.h"

#define HOST_OUTPUT_MAX (128u << 10)        /* maximum of bytes passed to host_ops.output in one call */
#define HOST_TEXT_MAX   WIRE_ERROR_TEXT_MAX /* bytes of a failure or log line; longer ones are cut between characters */

struct host;

/* The environment of a running job. All calls come from inside host_run(), on its thread. */
struct host_ops {
    /* As worker_lane_result_space(): where the result is built, *ret_room bytes; called once per job. */
    uint8_t *(*result_space)(void *user, size_t *ret_room);
    /* As worker_lane_partial(): chunks only. (0, 0) takes back what was published before: the space is overwritten. */
    void (*partial)(void *user, uint32_t items, size_t size);
    /* Sends a sealed memfd that holds the whole result to the supervisor. fd is borrowed. → 0 or -errno; see
     * host_run(). */
    int (*result_memfd)(void *user, uint32_t position, int fd, uint64_t size);
    /* As worker_lane_cancelled(). Must be set before the worker is sent CONTROL_CANCEL_SIGNAL for it. */
    int (*cancelled)(void *user);
    void (*progress)(void *user, uint64_t done, uint64_t total);
    /* A piece of output of a job with LANE_JOB_OUTPUT; stream 1 or 2. → 0, or -errno: reported to the function. */
    int (*output)(void *user, uint32_t position, int stream, const void *bytes, size_t length);
    /* One line of log, valid UTF-8, terminated; level: MPOOL_LOG_…. */
    void (*log)(void *user, uint32_t position, int level, const char *text, size_t length);
};

struct host_config {
    const struct module_function *functions; /* borrowed; indexed by lane_job.function */
    size_t function_count;
    uint32_t max_depth; /* of one argument list and of one reply; 0: WIRE_MAX_DEPTH_DEFAULT */
};

/* ops is copied. → 0, -ENOMEM. */
int host_new(struct host **ret, const struct host_config *config, const struct host_ops *ops, void *user);
void host_free(struct host *host);

/* Runs one claimed job to its outcome, which the caller then publishes with worker_lane_finish().
 *
 * args: the argument bytes (in the lane, or the caller's mapping of the memfd), unchanged until this returns.
 *
 * The result is in the result space (ret->memfd false) or has been taken away by ops.result_memfd:
 *   OK                        the function's one value; nil when it built none
 *   FAILED, FAILED_RETRYABLE  the error value [0, "E_NAME: text"]
 * Chunks (LANE_JOB_CHUNK): args is an array of job->items items, and the function runs once for each with [item] as
 * its arguments (LANE_JOB_STAR: with item as its arguments). OK: an array of ret->items_done results, or with
 * LANE_JOB_PAIRS of [nil, result] and [error, nil]. It always begins with 5 bytes of array32 header, then come the
 * elements. In a dead worker's partial result the count is missing: the reader must write it there. Without
 * LANE_JOB_PAIRS the first item that fails is the chunk's failure, and ret->items_done its index. The chunk ends early,
 * with items_done < items, once budget_us is spent, the job is cancelled, or the result has outgrown the result space;
 * at least one item always runs.
 *
 * A result beyond max_result is E_RESULT_TOO_BIG (in chunks: of the item that crosses it). An error value may be larger
 * than a very small max_result.
 *
 * → 0; -EPIPE or -ECONNRESET from ops.result_memfd: there is no supervisor any more, and the worker should end. After
 * any other error of it the task fails with that reason. */
int host_run(struct host *host, const struct worker_job *job, const uint8_t *args, size_t args_length,
    struct worker_outcome *ret);
/* The same for a job that cannot be started in this worker: it fails, and may be tried in another one. */
int host_refuse(struct host *host, const struct worker_job *job, const char *why, struct worker_outcome *ret);
