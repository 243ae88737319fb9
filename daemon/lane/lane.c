/* The supervisor's side of a lane: jobs handed out, and validation of results. See lane.h, layout.h, claim.h.
 *
 * Ring positions, job facts and which claims the supervisor itself has moved are in the heap (struct shadow). W is read
 * and checked against them, and never the other way round: any bit pattern there causes at most a refusal. What an
 * honest worker cannot have written makes the lane permanently broken.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/lane/claim.h"
#include "daemon/lane/futex.h"
#include "daemon/lane/lane_private.h"
#include "daemon/lane/layout.h"
#include "daemon/lane/shm.h"

/* What the supervisor knows of a position. `own` is the state that it gave the claim word last by its own move, after
 * which an honest worker cannot move it any more: LANE_RECLAIMED, LANE_KILLING; else LANE_READY. */
struct shadow {
    uint64_t task_id;
    uint64_t max_result;
    uint32_t items;
    bool chunk;
    enum lane_claim own;
    uint32_t args_end; /* of the argument ring, after this position's block */
};

struct lane {
    struct shm_map s, w;
    struct layout_s_head *s_head;
    struct layout_w_head *w_head;
    int fd_s, fd_w;
    uint64_t generation;
    uint32_t head; /* oldest uncollected position */
    uint32_t next; /* position of the next placement; head … next are in the shadow */
    uint32_t posted;
    uint32_t args_begin, args_end; /* running byte counts of the argument ring: used is their distance */
    bool collected;                /* lane_collect() returned head, lane_release() must follow */
    bool frees_room;               /* and its result is in W's ring */
    bool broken;                   /* the worker wrote what an honest one never writes */
    struct shadow shadows[LANE_SLOTS];
};

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    shm_unmap(&lane->s);
    shm_unmap(&lane->w);
    lane_close_fds(lane);
    free(lane);
}

static void lane_cleanup(struct lane **lane)
{
    lane_free(*lane);
}

static int half_new(int *ret_fd, struct shm_map *ret_map, const char *name, size_t head_size, bool future_write)
{
    int r = shm_create(ret_fd, name, LANE_AREA_BYTES + head_size);

    if (r < 0)
        return r;
    r = shm_map_lane(ret_map, *ret_fd, head_size, true);
    return r < 0 ? r : shm_seal(*ret_fd, future_write);
}

int lane_new(struct lane **ret, uint64_t generation)
{
    _cleanup_(lane_cleanup) struct lane *lane = calloc(1, sizeof(*lane));

    if (!lane)
        return -ENOMEM;
    lane->fd_s = lane->fd_w = -1;
    int r = half_new(&lane->fd_s, &lane->s, "mpool-lane-s", sizeof(*lane->s_head), true);
    if (r < 0)
        return r;
    r = half_new(&lane->fd_w, &lane->w, "mpool-lane-w", sizeof(*lane->w_head), false);
    if (r < 0)
        return r;
    lane->s_head = lane->s.head;
    lane->w_head = lane->w.head;
    lane->generation = generation;
    lane->head = lane->next = lane->posted = LAYOUT_FIRST_POSITION;

    /* No other process has the memory yet: the descriptors are passed by a system call, which orders all of this before
     * it. */
    lane->s_head->generation = generation;
    atomic_init(&lane->s_head->tail, LAYOUT_FIRST_POSITION);
    atomic_init(&lane->s_head->released, LAYOUT_FIRST_POSITION);
    for (uint32_t i = 0; i < LANE_SLOTS; i++)
        atomic_init(&lane->w_head->slots[i].claim, claim_word(LAYOUT_FIRST_POSITION + i, LANE_EMPTY));
    *ret = TAKE(lane);
    return 0;
}

void lane_stamp(struct lane *lane, uint64_t generation)
{
    assert(lane->next == LAYOUT_FIRST_POSITION);
    lane->generation = lane->s_head->generation = generation;
}

int lane_fd_s(const struct lane *lane)
{
    return lane->fd_s;
}

int lane_fd_w(const struct lane *lane)
{
    return lane->fd_w;
}

void lane_close_fds(struct lane *lane)
{
    fd_close(&lane->fd_s);
    fd_close(&lane->fd_w);
}

const struct shm_map *lane_map_s(const struct lane *lane)
{
    return &lane->s;
}

const struct shm_map *lane_map_w(const struct lane *lane)
{
    return &lane->w;
}

uint32_t lane_outstanding(const struct lane *lane)
{
    return lane->next - lane->head;
}

uint32_t lane_head(const struct lane *lane)
{
    return lane->head;
}

static bool is_outstanding(const struct lane *lane, uint32_t position)
{
    return position - lane->head < lane_outstanding(lane);
}

/* ---- towards the worker ----------------------------------------------------------------------------------------- */

/* Bytes of all pieces, or SIZE_MAX where they do not fit a size_t. */
static size_t iovec_total(const struct iovec *pieces, int count)
{
    size_t total = 0;

    for (int i = 0; i < count; i++)
        if (__builtin_add_overflow(total, pieces[i].iov_len, &total))
            return SIZE_MAX;
    return total;
}

int lane_place(
    struct lane *lane, const struct lane_job *job, const struct iovec *args, int count, uint32_t *ret_position)
{
    size_t total = iovec_total(args, count);

    assert(!(job->flags & LANE_JOB_MEMFD) || total == 0);
    if (total > LANE_BLOCK_MAX)
        return -EMSGSIZE;
    uint32_t length = (uint32_t)total;
    uint32_t room = length > LANE_INLINE_MAX ? layout_room(length) : 0;
    if (lane_outstanding(lane) == LANE_SLOTS || LANE_AREA_BYTES - (lane->args_end - lane->args_begin) < room)
        return -EAGAIN;

    uint32_t position = lane->next;
    struct layout_job *slot = &lane->s_head->slots[layout_slot(position)];
    uint32_t offset = lane->args_end & (LANE_AREA_BYTES - 1);
    uint8_t *to = room ? lane->s.ring + offset : slot->data;

    for (int i = 0; i < count; i++) {
        if (args[i].iov_len)
            memcpy(to, args[i].iov_base, args[i].iov_len);
        to += args[i].iov_len;
    }
    slot->job = *job;
    slot->args_offset = room ? offset : 0;
    slot->args_length = length;
    atomic_store_explicit(&slot->cancelled, 0, memory_order_relaxed);
    lane->args_end += room;
    lane->shadows[layout_slot(position)] = (struct shadow){
        .task_id = job->task_id,
        .max_result = job->max_result,
        .items = job->items,
        .chunk = job->flags & LANE_JOB_CHUNK,
        .own = LANE_READY,
        .args_end = lane->args_end,
    };

    /* Only the supervisor moves EMPTY → READY, so it cannot fail: exchange, and see whether the worker scribbled.
     * Release: the job is complete before it can be claimed. */
    uint64_t old = atomic_exchange_explicit(
        &lane->w_head->slots[layout_slot(position)].claim, claim_word(position, LANE_READY), memory_order_acq_rel);
    if (old != claim_word(position, LANE_EMPTY))
        lane->broken = true;
    lane->next++;
    *ret_position = position;
    return 0;
}

/* The second half of "store, full fence, look whether it sleeps". The store before it was seq_cst, and so is this load
 * and the worker's declaration and its last look: one of the two sides sees the other. Cleared before the wake, so that
 * more posts before the worker runs again are silent. A worker that lies in this word oversleeps, or costs a system
 * call. */
static void wake_if(struct lane *lane, enum layout_sleep what)
{
    _Atomic uint32_t *sleep = &lane->w_head->sleep;

    if (atomic_load_explicit(sleep, memory_order_seq_cst) != (uint32_t)what)
        return;
    atomic_store_explicit(sleep, LAYOUT_AWAKE, memory_order_relaxed);
    futex_wake(sleep);
}

void lane_post(struct lane *lane)
{
    if (lane->posted == lane->next)
        return;
    lane->posted = lane->next;
    atomic_store_explicit(&lane->s_head->tail, lane->posted, memory_order_seq_cst);
    wake_if(lane, LAYOUT_SLEEP_JOB);
}

void lane_set_spin(struct lane *lane, uint32_t ns)
{
    atomic_store_explicit(&lane->s_head->spin_ns, ns, memory_order_relaxed);
}

/* ---- claims ----------------------------------------------------------------------------------------------------- */

/* The claim of an outstanding position, or LANE_EMPTY if no honest worker can have written it: another position, an
 * unknown state, a move that is the supervisor's, or one after the supervisor had the last word. */
static enum lane_claim honest_claim(const struct lane *lane, uint32_t position)
{
    uint64_t word = claim_look(&lane->w_head->slots[layout_slot(position)].claim);
    enum lane_claim own = lane->shadows[layout_slot(position)].own;
    uint32_t state = claim_state(word);

    if (claim_position(word) != position)
        return LANE_EMPTY;
    if (own != LANE_READY)
        return state == (uint32_t)own ? own : LANE_EMPTY;
    switch (state) {
    case LANE_READY: return LANE_READY;
    case LANE_STARTED: return LANE_STARTED;
    case LANE_DONE: return LANE_DONE;
    default: return LANE_EMPTY;
    }
}

enum lane_claim lane_peek(const struct lane *lane, uint32_t position)
{
    return is_outstanding(lane, position) ? honest_claim(lane, position) : LANE_EMPTY;
}

static bool own_move(struct lane *lane, uint32_t position, enum lane_claim from, enum lane_claim to)
{
    struct shadow *shadow = &lane->shadows[layout_slot(position)];

    if (!is_outstanding(lane, position) || shadow->own != LANE_READY ||
        !claim_move(&lane->w_head->slots[layout_slot(position)].claim, position, from, to))
        return false;
    shadow->own = to;
    return true;
}

bool lane_reclaim(struct lane *lane, uint32_t position)
{
    return own_move(lane, position, LANE_READY, LANE_RECLAIMED);
}

bool lane_begin_kill(struct lane *lane, uint32_t position)
{
    return own_move(lane, position, LANE_STARTED, LANE_KILLING);
}

void lane_cancel(struct lane *lane, uint32_t position, uint32_t how)
{
    if (is_outstanding(lane, position))
        atomic_store_explicit(&lane->s_head->slots[layout_slot(position)].cancelled, how, memory_order_relaxed);
}

/* ---- from the worker -------------------------------------------------------------------------------------------- */

/* The result of a position that is DONE, every field loaded once and then checked. → false: invalid. */
static bool read_result(struct lane *lane, uint32_t position, struct lane_result *ret, bool *ret_frees_room)
{
    const struct layout_result *slot = &lane->w_head->slots[layout_slot(position)];
    const struct shadow *shadow = &lane->shadows[layout_slot(position)];
    uint64_t task_id = atomic_load_explicit(&slot->task_id, memory_order_relaxed);
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&slot->size, memory_order_relaxed);
    uint32_t offset = atomic_load_explicit(&slot->offset, memory_order_relaxed);
    uint32_t items_done = atomic_load_explicit(&slot->items_done, memory_order_relaxed);
    uint32_t outcome = atomic_load_explicit(&slot->outcome, memory_order_relaxed);
    uint32_t place = atomic_load_explicit(&slot->place, memory_order_relaxed);
    const uint8_t *data = NULL;
    uint64_t limit = shadow->max_result;

    if (task_id != shadow->task_id || generation != lane->generation)
        return false;
    if (outcome != LANE_OUTCOME_OK && outcome != LANE_OUTCOME_FAILED && outcome != LANE_OUTCOME_FAILED_RETRYABLE)
        return false;
    if (outcome != LANE_OUTCOME_OK && limit < LANE_FAILURE_MAX)
        limit = LANE_FAILURE_MAX;
    if ((shadow->chunk && items_done > shadow->items) || size > limit)
        return false;
    switch (place) {
    case LAYOUT_INLINE:
        if (size > LANE_INLINE_MAX)
            return false;
        data = slot->data;
        break;
    case LAYOUT_RING:
        if (size > LANE_BLOCK_MAX || offset >= LANE_AREA_BYTES)
            return false;
        data = lane->w.ring + offset;
        break;
    case LAYOUT_MEMFD: break;
    default: return false;
    }
    *ret = (struct lane_result){
        .position = position,
        .task_id = task_id,
        .outcome = (enum lane_outcome)outcome,
        .items_done = shadow->chunk ? items_done : 0,
        .run_ns = atomic_load_explicit(&slot->run_ns, memory_order_relaxed),
        .memfd = place == LAYOUT_MEMFD,
        .size = size,
        .data = data,
    };
    *ret_frees_room = place == LAYOUT_RING;
    return true;
}

int lane_collect(struct lane *lane, struct lane_result *ret)
{
    uint32_t position = lane->head;

    if (lane->broken)
        return -EBADMSG;
    if (lane_outstanding(lane) == 0)
        return 0;
    switch (honest_claim(lane, position)) {
    case LANE_READY:
    case LANE_STARTED:
    case LANE_KILLING: return 0;
    case LANE_RECLAIMED:
        *ret = (struct lane_result){.position = position, .reclaimed = true};
        lane->frees_room = false;
        lane->collected = true;
        return 1;
    case LANE_DONE:
        if (read_result(lane, position, ret, &lane->frees_room)) {
            lane->collected = true;
            return 1;
        }
        break;
    case LANE_EMPTY: break;
    }
    lane->broken = true;
    return -EBADMSG;
}

void lane_release(struct lane *lane)
{
    uint32_t position = lane->head;

    assert(lane->collected);
    lane->collected = false;
    lane->args_begin = lane->shadows[layout_slot(position)].args_end;
    lane->head++;
    /* An idle lane starts again at the beginning: the same few pages stay warm. */
    if (lane_outstanding(lane) == 0)
        lane->args_begin = lane->args_end = 0;

    /* Relaxed: until the next placement in this slot only the supervisor uses the word. */
    atomic_store_explicit(&lane->w_head->slots[layout_slot(position)].claim,
        claim_word(position + LANE_SLOTS, LANE_EMPTY), memory_order_relaxed);
    if (!lane->frees_room) {
        /* Frees no room that a worker could be sleeping for. */
        atomic_store_explicit(&lane->s_head->released, lane->head, memory_order_release);
        return;
    }
    atomic_store_explicit(&lane->s_head->released, lane->head, memory_order_seq_cst);
    wake_if(lane, LAYOUT_SLEEP_ROOM);
}

uint32_t lane_partial(const struct lane *lane, uint32_t position, const uint8_t **ret_data, uint64_t *ret_size)
{
    const struct layout_result *slot = &lane->w_head->slots[layout_slot(position)];
    const struct shadow *shadow = &lane->shadows[layout_slot(position)];
    enum lane_claim claim = lane_peek(lane, position);

    if ((claim != LANE_STARTED && claim != LANE_KILLING) || !shadow->chunk)
        return 0;
    uint64_t partial = atomic_load_explicit(&slot->partial, memory_order_acquire);
    uint32_t items = (uint32_t)(partial >> 32), size = (uint32_t)partial;
    uint32_t offset = atomic_load_explicit(&slot->offset, memory_order_relaxed);

    if (items == 0 || items > shadow->items || size > LANE_BLOCK_MAX || size > shadow->max_result ||
        offset >= LANE_AREA_BYTES)
        return 0;
    *ret_data = lane->w.ring + offset;
    *ret_size = size;
    return items;
}

void lane_progress(const struct lane *lane, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = atomic_load_explicit(&lane->w_head->progress_done, memory_order_relaxed);
    *ret_total = atomic_load_explicit(&lane->w_head->progress_total, memory_order_relaxed);
}
