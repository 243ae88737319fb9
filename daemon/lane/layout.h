/* What lies where in the two shared memories of a lane, and who writes it?
 *
 * S is written by the supervisor alone (the worker cannot: it is sealed), W by the worker alone, but for the claim
 * words and `sleep`. Both are files of one ring of payload bytes followed by a head. They are mapped as
 *
 *     [ring][the same ring again][head]
 *
 * so that a block that runs over the ring's end still lies in one piece: no skipping, and a worker always finds
 * LANE_BLOCK_MAX contiguous bytes while half the ring is free. No pointers, pids or locks here. Both ends are the same
 * binary; nothing here is an interface to anybody else.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "daemon/lane/claim.h"
#include "daemon/lane/lane.h"

#define LAYOUT_LINE  64u  /* a cache line: what one slot shares with nobody; 128 was measured to be no faster */
#define LAYOUT_PAIR  128u /* two cache lines (the adjacent-line prefetcher fetches pairs): keeps hot words apart */
#define LAYOUT_ALIGN 64u  /* payload blocks start on a line */

/* Positions wrap after 2^32 tasks, an hour of very small ones. Starting shortly before makes every lane wrap early, so
 * that code which cannot handle it fails long before production. A multiple of LANE_SLOTS. */
#define LAYOUT_FIRST_POSITION (UINT32_MAX - 255u)

static_assert((LANE_SLOTS & (LANE_SLOTS - 1)) == 0, "slots are found by mask");
static_assert((LANE_AREA_BYTES & (LANE_AREA_BYTES - 1)) == 0, "ring offsets are found by mask");
static_assert(LANE_BLOCK_MAX <= LANE_AREA_BYTES / 2, "one block being built beside as much uncollected");
static_assert(LANE_BLOCK_MAX % LAYOUT_ALIGN == 0, "a largest block needs no more room than its size");
static_assert(LAYOUT_FIRST_POSITION % LANE_SLOTS == 0, "slot i starts with position FIRST + i");

static inline uint32_t layout_slot(uint32_t position)
{
    return position & (LANE_SLOTS - 1);
}

/* Room that a block takes in a ring. size ≤ LANE_BLOCK_MAX. */
static inline uint32_t layout_room(uint32_t size)
{
    return (size + (LAYOUT_ALIGN - 1)) & ~(LAYOUT_ALIGN - 1);
}

/* ---- S: supervisor → worker ------------------------------------------------------------------------------------- */

/* Plain fields: written before the claim word becomes READY (release) and read after the worker's claim (acquire);
 * rewritten only after the position was collected, when the worker no longer uses them. */
struct layout_job {
    alignas(LAYOUT_LINE) struct lane_job job;
    uint32_t args_offset; /* in the ring, when args_length > LANE_INLINE_MAX */
    uint32_t args_length;

    /* Writer: supervisor, 0 when it places, and how it cancels (control_protocol.h). Relaxed: a hint that orders
     * nothing. */
    _Atomic uint32_t cancelled;
    uint32_t reserved;

    uint8_t data[LANE_INLINE_MAX];
};

struct layout_s_head {
    uint64_t generation; /* constant since before the worker was made */

    /* Writer: supervisor. The first position that is not yet published. Stored seq_cst: as release it publishes the
     * jobs before it; its order before the load of `sleep` ensures that no wake-up is lost. */
    alignas(LAYOUT_PAIR) _Atomic uint32_t tail;

    /* Writer: supervisor. All positions before it are released: their result bytes are the worker's again. Release,
     * after the supervisor's last read of them; seq_cst because a worker may sleep for it, as with the tail. */
    alignas(LAYOUT_PAIR) _Atomic uint32_t released;

    /* Writer: supervisor, relaxed: a hint that orders nothing. How long the worker may poll for its next job before it
     * sleeps; 0: not at all. */
    alignas(LAYOUT_PAIR) _Atomic uint32_t spin_ns;

    struct layout_job slots[LANE_SLOTS];
};

/* ---- W: worker → supervisor ------------------------------------------------------------------------------------- */

enum layout_sleep {
    LAYOUT_AWAKE = 0,
    LAYOUT_SLEEP_JOB = 1,  /* until the tail moves */
    LAYOUT_SLEEP_ROOM = 2, /* until `released` moves */
};

enum layout_place {
    LAYOUT_INLINE = 1, /* in the slot */
    LAYOUT_RING = 2,   /* in W's ring at offset */
    LAYOUT_MEMFD = 3,  /* went over the control socket */
};

/* The fields below the claim word: writer worker, relaxed stores before STARTED → DONE (release). The supervisor loads
 * each exactly once after it has seen DONE (acquire); they are atomic so that no compiler fetches one twice, once to
 * check and once to use. */
struct layout_result {
    alignas(LAYOUT_LINE) claim_atomic claim; /* writers: both, by compare-and-swap; see claim.h */

    /* Leading items done << 32 | their result bytes in the ring at offset. Release after the bytes. One word, so that
     * a death between two stores cannot leave a new count with an old size. Zeroed before the claim: a worker that
     * dies right after it must not leave what an earlier position had there. */
    _Atomic uint64_t partial;
    _Atomic uint64_t task_id;
    _Atomic uint64_t generation;
    _Atomic uint64_t run_ns;
    _Atomic uint64_t size;
    _Atomic uint32_t offset;
    _Atomic uint32_t items_done;
    _Atomic uint32_t outcome;
    _Atomic uint32_t place; /* enum layout_place */
    uint8_t data[LANE_INLINE_MAX];
};

struct layout_w_head {
    /* enum layout_sleep, and the futex that the worker sleeps on. Writers: the worker declares (seq_cst, before its
     * last look at what it waits for); the supervisor clears, and then wakes. The worker waits on this word and not on
     * the tail: a supervisor that clears late, for a tail the worker has already served, makes the wait return at once.
     * Waiting on the tail would sleep on with the declaration gone, and the next post would not wake (wake.pml). */
    alignas(LAYOUT_PAIR) _Atomic uint32_t sleep;

    /* Writer: worker, relaxed; the two words need not be consistent with each other. */
    alignas(LAYOUT_PAIR) _Atomic uint64_t progress_done;
    _Atomic uint64_t progress_total;

    alignas(LAYOUT_PAIR) struct layout_result slots[LANE_SLOTS];
};

/* ---- the sleep word -------------------------------------------------------------------------------------------------
 */

struct layout_sleep_word {
    /* Writer: supervisor. Odd while it sleeps; each sleep has its own number, so that a worker rings once for it. */
    _Atomic uint32_t epoch;
};
