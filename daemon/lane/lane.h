/* The shared-memory queue between the supervisor and one worker: its supervisor's end.
 *
 * Two memfds: S, written by the supervisor and read-only for the worker; W, written by the worker (results, and the
 * claim words that both sides move by compare-and-swap). Layout and claim words: layout.h, claim.h. Worker's end:
 * worker_lane.h. The supervisor believes nothing in W: every position, offset and length is copied once and checked,
 * and what it wrote itself it never reads back.
 *
 * A position is a 32-bit running number that does not start at 0 and wraps early: compare with lane_position_before().
 * Positions resolve (DONE or RECLAIMED) and are collected strictly in order. One thread per end. Pure but for memory,
 * memfds and futex; never logs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define LANE_SLOTS       64u          /* maximum of tasks placed and not yet collected; a power of two */
#define LANE_INLINE_MAX  256u         /* argument bytes that are stored in the slot itself */
#define LANE_AREA_BYTES  (1u << 20)   /* the block ring of each direction */
#define LANE_BLOCK_MAX   (512u << 10) /* larger payloads travel as memfds */
#define LANE_FAILURE_MAX (64u << 10)  /* size allowed for a failed task's error, however small its max_result */

struct lane;
struct sleep_word;

/* ---- the sleep word: one page for all lanes of a supervisor, which tells workers whether it sleeps
 * ------------------- */

int sleep_word_new(struct sleep_word **ret);
void sleep_word_free(struct sleep_word *b);
int sleep_word_fd(const struct sleep_word *b); /* borrowed; for workers, which can map it read-only alone */
/* Declares sleep, sequentially consistent: a worker that publishes anything from here on rings its doorbell. So look at
 * every busy lane once more after it (lane_collect, lane_peek), then block. Twice in a row it is a new sleep. */
void sleep_word_declare(struct sleep_word *b);
void sleep_word_clear(struct sleep_word *b); /* does nothing if not asleep */

/* ---- lanes ------------------------------------------------------------------------------------------------------ */

/* generation: of the worker; stamped into every task. → 0 or -errno (ENOSPC, ENOMEM, EMFILE). */
int lane_new(struct lane **ret, uint64_t generation);
void lane_free(struct lane *lane);
/* Another generation for a lane that no worker has yet. */
void lane_stamp(struct lane *lane, uint64_t generation);
int lane_fd_s(const struct lane *lane); /* borrowed; -1 after lane_close_fds() */
int lane_fd_w(const struct lane *lane);
void lane_close_fds(struct lane *lane); /* once the worker has them; the mappings stay */

enum {
    LANE_JOB_CHUNK = 1u << 0,  /* args is an array of items; the function runs once per item */
    LANE_JOB_PAIRS = 1u << 1,  /* chunk: the result is a list of [error, result]; else of results, first error fails */
    LANE_JOB_STAR = 1u << 2,   /* chunk: each item is the whole argument array */
    LANE_JOB_MEMFD = 1u << 3,  /* the arguments come as a memfd over the control socket */
    LANE_JOB_OUTPUT = 1u << 4, /* the caller wants what the function prints */
    LANE_JOB_STDIN = 1u << 5,  /* its standard input comes over the control socket */
};

struct lane_job {
    uint64_t task_id;
    uint32_t function;   /* index in the pool's table of functions */
    uint32_t flags;      /* LANE_JOB_… */
    uint32_t attempt;    /* 1 … */
    uint32_t items;      /* chunks: how many */
    uint32_t budget_us;  /* chunks: hand the rest back after this long; 0: run all */
    uint64_t max_result; /* bytes; a larger result fails the task, and a worker that hands one in is broken */
    uint64_t args_size;  /* LANE_JOB_MEMFD: bytes in the memfd */
};

/* Copies the job into the next slot: EMPTY → READY, not yet visible to the worker (lane_post).
 * args: the pieces of the argument bytes, together at most LANE_BLOCK_MAX; none with LANE_JOB_MEMFD.
 * → 0 with *ret_position; -EAGAIN: no slot or no room now; -EMSGSIZE: too large, send a memfd. */
int lane_place(
    struct lane *lane, const struct lane_job *job, const struct iovec *args, int count, uint32_t *ret_position);

/* Publishes all placed jobs with one store, and wakes the worker if it has declared sleep. Does nothing if there is
 * nothing new. */
void lane_post(struct lane *lane);

/* How long the worker may spin for its next job before it sleeps, in nanoseconds; 0 (initially): not at all. See
 * spin.h. */
void lane_set_spin(struct lane *lane, uint32_t ns);

enum lane_claim { LANE_EMPTY, LANE_READY, LANE_STARTED, LANE_DONE, LANE_RECLAIMED, LANE_KILLING };

/* The claim of an uncollected position as it is now; a word that no honest worker writes reads as LANE_EMPTY (and
 * lane_collect reports it when its turn comes): after the worker's death, treat such a task as started. */
enum lane_claim lane_peek(const struct lane *lane, uint32_t position);
/* READY → RECLAIMED. */
bool lane_reclaim(struct lane *lane, uint32_t position);
/* STARTED → KILLING; only then may the worker be killed for it. */
bool lane_begin_kill(struct lane *lane, uint32_t position);
/* Makes worker_lane_cancelled() say `how`, which is not 0, for that position. */
void lane_cancel(struct lane *lane, uint32_t position, uint32_t how);

enum lane_outcome { LANE_OUTCOME_OK = 0, LANE_OUTCOME_FAILED = 1, LANE_OUTCOME_FAILED_RETRYABLE = 2 };

struct lane_result {
    uint32_t position;
    bool reclaimed; /* the slot was taken back: nothing else below is set */
    uint64_t task_id;
    enum lane_outcome outcome;
    uint32_t items_done; /* chunks: leading items that were run; ≤ the job's items */
    uint64_t run_ns;     /* reported by the worker, so used for averages only */
    bool memfd;          /* the result comes as a memfd over the control socket, `size` bytes */
    uint64_t size;
    const uint8_t *data; /* in W: may change under the reader; copy, then scan the copy. NULL with memfd */
};

/* The next position in order, if it is resolved. → 1 with *ret; 0 none; -EBADMSG the worker broke the protocol (kill
 * it). The payload stays until lane_release(). Works for the lane of a dead worker, too. */
int lane_collect(struct lane *lane, struct lane_result *ret);
/* Frees the collected slot and its payloads. */
void lane_release(struct lane *lane);

/* What a dead worker's started chunk had finished: leading items and their result bytes, published one by one. → the
 * items (checked against the job), with *ret_data, *ret_size (copy, then scan); 0 when nothing is usable. */
uint32_t lane_partial(const struct lane *lane, uint32_t position, const uint8_t **ret_data, uint64_t *ret_size);

/* The running task's progress as its worker claims it. */
void lane_progress(const struct lane *lane, uint64_t *ret_done, uint64_t *ret_total);

static inline bool lane_position_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}
uint32_t lane_outstanding(const struct lane *lane); /* placed and not collected */
uint32_t lane_head(const struct lane *lane);        /* the oldest uncollected position */
