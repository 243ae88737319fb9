/* Which job does the worker run next, and how does its result reach the supervisor? See worker_lane.h, layout.h.
 *
 * Runs beside foreign code in the same process, so it keeps its own view (positions, ring) in the heap and reads only
 * S, which that code cannot write. Nothing counts until the claim word says so: death between any two instructions
 * leaves a job READY, STARTED or DONE, and each of these is true.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/lane/claim.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/lane/futex.h"
#include "daemon/lane/lane_private.h"
#include "daemon/lane/layout.h"
#include "daemon/lane/shm.h"
#include "daemon/lane/spin.h"

struct worker_lane {
    struct shm_map s, w;
    const struct layout_s_head *s_head;
    struct layout_w_head *w_head;
    const struct layout_sleep_word *sleep_word;
    bool attached; /* the mappings belong to another */
    int doorbell;
    uint32_t rung_epoch;       /* of the sleep_word; sleeps are odd, so 0 is none */
    uint32_t next;             /* position to look at next */
    uint32_t vain_spins;       /* spins in a row that found no job */
    uint64_t crowded_until_ns; /* no spinning before */
    bool running;
    uint32_t position; /* the running one */
    uint64_t task_id;
    bool passed_over;              /* jobs that were taken back, since that was last told */
    bool space;                    /* result space was given out for it, at ring_end */
    uint32_t released;             /* the last value of S's `released` that was acted on */
    uint32_t ring_begin, ring_end; /* running byte counts of the result ring */
    uint32_t ends[LANE_SLOTS];     /* ring_end after each finished or skipped position */
};

static struct worker_lane *worker_lane_alloc(int doorbell)
{
    struct worker_lane *lane = calloc(1, sizeof(*lane));

    if (lane) {
        lane->doorbell = doorbell;
        lane->next = lane->released = LAYOUT_FIRST_POSITION;
    }
    return lane;
}

void worker_lane_close(struct worker_lane *lane)
{
    if (!lane)
        return;
    if (!lane->attached) {
        shm_unmap(&lane->s);
        shm_unmap(&lane->w);
        if (lane->sleep_word)
            munmap((void *)(uintptr_t)lane->sleep_word, sizeof(*lane->sleep_word));
    }
    free(lane);
}

static void worker_lane_cleanup(struct worker_lane **lane)
{
    worker_lane_close(*lane);
}

int worker_lane_open(struct worker_lane **ret, int fd_s, int fd_w, int fd_sleep_word, int doorbell)
{
    _cleanup_(worker_lane_cleanup) struct worker_lane *lane = worker_lane_alloc(doorbell);
    void *sleep_word;

    if (!lane)
        return -ENOMEM;
    int r = shm_map_lane(&lane->s, fd_s, sizeof(*lane->s_head), false);
    if (r < 0)
        return r;
    r = shm_map_lane(&lane->w, fd_w, sizeof(*lane->w_head), true);
    if (r < 0)
        return r;
    r = shm_map_plain(&sleep_word, fd_sleep_word, sizeof(*lane->sleep_word), false);
    if (r < 0)
        return r;
    lane->s_head = lane->s.head;
    lane->w_head = lane->w.head;
    lane->sleep_word = sleep_word;
    *ret = TAKE(lane);
    return 0;
}

int worker_lane_attach(struct worker_lane **ret, const struct shm_map *s, const struct shm_map *w,
    const struct layout_sleep_word *sleep_word, int doorbell)
{
    struct worker_lane *lane = worker_lane_alloc(doorbell);

    if (!lane)
        return -ENOMEM;
    lane->attached = true;
    lane->s = *s;
    lane->w = *w;
    lane->s_head = s->head;
    lane->w_head = w->head;
    lane->sleep_word = sleep_word;
    *ret = lane;
    return 0;
}

/* ---- taking a job ----------------------------------------------------------------------------------------------- */

/* The oldest published job that is still READY becomes STARTED. Earlier positions were taken back, or even collected
 * and overwritten with a later position: the compare-and-swap, which names the position, fails for both. */
static bool claim_next(struct worker_lane *lane, struct worker_job *ret)
{
    /* Acquire: pairs with lane_post(). */
    uint32_t tail = atomic_load_explicit(&lane->s_head->tail, memory_order_acquire);

    while (lane->next != tail) {
        uint32_t position = lane->next++;
        const struct layout_job *job = &lane->s_head->slots[layout_slot(position)];
        struct layout_result *result = &lane->w_head->slots[layout_slot(position)];

        atomic_store_explicit(&result->partial, 0, memory_order_relaxed);
        if (!claim_move(&result->claim, position, LANE_READY, LANE_STARTED)) {
            lane->ends[layout_slot(position)] = lane->ring_end;
            lane->passed_over = true;
            continue;
        }
        lane->running = true;
        lane->position = position;
        lane->task_id = job->job.task_id;
        lane->space = false;
        worker_lane_progress(lane, 0, 0);
        *ret = (struct worker_job){
            .position = position,
            .job = job->job,
            .generation = lane->s_head->generation,
            .args_length = job->args_length,
        };
        if (!(job->job.flags & LANE_JOB_MEMFD))
            ret->args = job->args_length > LANE_INLINE_MAX ? lane->s.ring + job->args_offset : job->data;
        return true;
    }
    return false;
}

static bool has_job(const struct worker_lane *lane)
{
    return atomic_load_explicit(&lane->s_head->tail, memory_order_relaxed) != lane->next;
}

/* Spins for as long as the supervisor allows. Several vain spins in a row show that jobs come too rarely for it: then
 * it is tried only now and then, until one pays off again. → there may be a job. */
static bool spin_for_job(struct worker_lane *lane)
{
    uint32_t budget_ns = atomic_load_explicit(&lane->s_head->spin_ns, memory_order_relaxed);

    if (budget_ns == 0 || (lane->vain_spins >= SPIN_VAIN_MAX && ++lane->vain_spins % SPIN_VAIN_MAX != 0))
        return false;
    uint64_t now_ns = clock_now_ns(), end_ns = now_ns + budget_ns;
    if (now_ns < lane->crowded_until_ns)
        return false;
    while (now_ns < end_ns) {
        for (int i = 0; i < (int)SPIN_PAUSES; i++) {
            if (has_job(lane)) {
                lane->vain_spins = 0;
                return true;
            }
            spin_pause();
        }
        uint64_t before_ns = clock_now_ns();
        spin_yield();
        now_ns = clock_now_ns();
        if (now_ns - before_ns > SPIN_CROWDED_NS) {
            lane->crowded_until_ns = now_ns + SPIN_CROWDED_REST_NS;
            return has_job(lane);
        }
    }
    lane->vain_spins++;
    return false;
}

/* To sleep: declare it, look again, wait on the declaration. seq_cst on the store and on the look: with the
 * supervisor's store of what is looked at, and its load of `sleep` (wake_if in lane.c), one side must see the other. */
static void declare_sleep(struct worker_lane *lane, enum layout_sleep what)
{
    atomic_store_explicit(&lane->w_head->sleep, (uint32_t)what, memory_order_seq_cst);
}

/* Relaxed: seen late it costs one needless wake-up. */
static void declare_awake(struct worker_lane *lane)
{
    atomic_store_explicit(&lane->w_head->sleep, LAYOUT_AWAKE, memory_order_relaxed);
}

/* → as futex_wait(). */
static int sleep_for_job(struct worker_lane *lane, const struct futex_time *deadline)
{
    int r = 0;

    declare_sleep(lane, LAYOUT_SLEEP_JOB);
    if (atomic_load_explicit(&lane->s_head->tail, memory_order_seq_cst) == lane->next)
        r = futex_wait(&lane->w_head->sleep, LAYOUT_SLEEP_JOB, deadline);
    declare_awake(lane);
    return r;
}

/* Until `released` is no longer what it was, or spuriously. Needs no time-out: what fills the ring is DONE, precedes
 * the running position and was rung for. */
static void sleep_for_room(struct worker_lane *lane, uint32_t released)
{
    declare_sleep(lane, LAYOUT_SLEEP_ROOM);
    if (atomic_load_explicit(&lane->s_head->released, memory_order_seq_cst) == released)
        (void)futex_wait(&lane->w_head->sleep, LAYOUT_SLEEP_ROOM, NULL);
    declare_awake(lane);
}

int worker_lane_next(struct worker_lane *lane, struct worker_job *ret, int timeout_ms)
{
    struct futex_time deadline;
    bool timed = false;

    assert(!lane->running);
    for (;;) {
        if (claim_next(lane, ret))
            return 1;
        if (timeout_ms == 0 || lane->passed_over) {
            lane->passed_over = false;
            return 0;
        }
        if (timeout_ms > 0 && !timed) {
            deadline = futex_deadline(timeout_ms);
            timed = true;
        }
        if (spin_for_job(lane))
            continue;
        int r = sleep_for_job(lane, timed ? &deadline : NULL);
        if (r < 0 && r != -EAGAIN)
            return claim_next(lane, ret) ? 1 : 0;
    }
}

/* ---- giving the result ------------------------------------------------------------------------------------------ */

uint32_t worker_lane_ahead(const struct worker_lane *lane)
{
    return lane->next;
}

uint8_t *worker_lane_result_space(struct worker_lane *lane, size_t *ret_room)
{
    assert(lane->running);
    while (!lane->space) {
        /* Acquire: the supervisor has read the results before it for the last time. It is at most LANE_SLOTS - 1 behind
         * the running position, whose own entry in `ends` is therefore not written before it is finished. */
        uint32_t released = atomic_load_explicit(&lane->s_head->released, memory_order_acquire);

        if (released == lane->position)
            lane->ring_begin = lane->ring_end = 0; /* all is free: stay on the same few warm pages */
        else if (released != lane->released)
            lane->ring_begin = lane->ends[layout_slot(released - 1)];
        lane->released = released;
        lane->space = LANE_AREA_BYTES - (lane->ring_end - lane->ring_begin) >= LANE_BLOCK_MAX;
        if (!lane->space)
            sleep_for_room(lane, released);
    }
    uint32_t offset = lane->ring_end & (LANE_AREA_BYTES - 1);
    atomic_store_explicit(&lane->w_head->slots[layout_slot(lane->position)].offset, offset, memory_order_relaxed);
    *ret_room = LANE_BLOCK_MAX;
    return lane->w.ring + offset;
}

void worker_lane_partial(struct worker_lane *lane, uint32_t items, size_t size)
{
    assert(lane->running && lane->space && size <= LANE_BLOCK_MAX);
    /* Release: the items' bytes, and the offset, before the word that vouches for them. */
    atomic_store_explicit(&lane->w_head->slots[layout_slot(lane->position)].partial,
        (uint64_t)items << 32 | (uint32_t)size, memory_order_release);
}

/* Notifies a sleeping supervisor, once for each of its sleeps. Called after a seq_cst move of a claim word. */
static void ring(struct worker_lane *lane)
{
    uint32_t epoch = atomic_load_explicit(&lane->sleep_word->epoch, memory_order_seq_cst);

    if (!(epoch & 1) || epoch == lane->rung_epoch)
        return;
    struct control_head bell = {.type = CONTROL_DOORBELL};
    ssize_t n;
    do
        n = send(lane->doorbell, &bell, sizeof(bell), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    /* EAGAIN means that the socket is full of messages that the supervisor has not read: its end is readable, which
     * wakes it as well as one more would. Any other failure (its end is gone, no memory for a message) is left to
     * the next ring to try again: a worker without its supervisor is about to end anyway. */
    if (n >= 0 || errno == EAGAIN)
        lane->rung_epoch = epoch;
}

bool worker_lane_finish(struct worker_lane *lane, const struct worker_outcome *outcome)
{
    struct layout_result *slot = &lane->w_head->slots[layout_slot(lane->position)];
    uint32_t place = LAYOUT_MEMFD;

    assert(lane->running);
    if (!outcome->memfd) {
        assert(outcome->size <= LANE_BLOCK_MAX && (lane->space || outcome->size == 0));
        place = outcome->size <= LANE_INLINE_MAX ? LAYOUT_INLINE : LAYOUT_RING;
        /* Small results take no room in the ring, so a pipeline of them never waits for it. */
        if (place == LAYOUT_RING)
            lane->ring_end += layout_room((uint32_t)outcome->size);
        else if (outcome->size)
            memcpy(slot->data, lane->w.ring + (lane->ring_end & (LANE_AREA_BYTES - 1)), outcome->size);
    }
    lane->ends[layout_slot(lane->position)] = lane->ring_end;
    atomic_store_explicit(&slot->task_id, lane->task_id, memory_order_relaxed);
    atomic_store_explicit(&slot->generation, lane->s_head->generation, memory_order_relaxed);
    atomic_store_explicit(&slot->run_ns, outcome->run_ns, memory_order_relaxed);
    atomic_store_explicit(&slot->size, outcome->size, memory_order_relaxed);
    atomic_store_explicit(&slot->items_done, outcome->items_done, memory_order_relaxed);
    atomic_store_explicit(&slot->outcome, (uint32_t)outcome->outcome, memory_order_relaxed);
    atomic_store_explicit(&slot->place, place, memory_order_relaxed);
    if (!claim_move(&slot->claim, lane->position, LANE_STARTED, LANE_DONE))
        return false;
    lane->running = false;
    ring(lane);
    return true;
}

uint32_t worker_lane_cancelled(const struct worker_lane *lane)
{
    return atomic_load_explicit(&lane->s_head->slots[layout_slot(lane->position)].cancelled, memory_order_relaxed);
}

void worker_lane_progress(struct worker_lane *lane, uint64_t done, uint64_t total)
{
    atomic_store_explicit(&lane->w_head->progress_done, done, memory_order_relaxed);
    atomic_store_explicit(&lane->w_head->progress_total, total, memory_order_relaxed);
}
