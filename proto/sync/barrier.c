/* How do the parties of a barrier wait for one another, and what breaks it?
 *
 * `state` is one word: the round, how many have arrived in it, whether it is broken, and which of the rounds before
 * were ended by a reset (struct sync_barrier). An arriving client first writes the round and its number into a slot,
 * then counts itself: if it dies in between, the daemon finds its number and breaks the round, as after a later death.
 * A slot of another round is free, so nobody needs to clean up. The last one to arrive moves `state` to the next round
 * with a count of 0, in one step, and opens the gate.
 *
 * A waiter of round g reads gate, then state, and sleeps while the gate is unchanged. `state` decides: another round
 * than g means that g has ended, and `state` records how each of the last SYNC_BARRIER_ROUNDS rounds ended: because
 * all had arrived, or by a reset. So a waiter that is slow to leave gets the result of its own round, not of a later
 * reset. One that is slower still gets the worse of the two results if any of the earlier rounds was reset. The round's
 * number wraps around after 2^32.
 *
 * The client that changes `state` for waiters opens the gate. If it dies in between, sync_client_gone() opens it.
 */
#include "proto/sync/sync_private.h"

/* All slots of this round are in use: more parties want to enter than there are slots. Not worth a wake-up of its own.
 */
#define BARRIER_CROWDED_NS INT64_C(10000000)

static struct sync_barrier load(const struct sync_area *area)
{
    return sync_barrier_unpack(atomic_load(&area->state));
}

static bool move(struct sync_area *area, struct sync_barrier *from, struct sync_barrier to)
{
    uint64_t expected = sync_barrier_pack(*from);

    if (atomic_compare_exchange_strong(&area->state, &expected, sync_barrier_pack(to)))
        return true;
    *from = sync_barrier_unpack(expected);
    return false;
}

static struct sync_barrier next_round(struct sync_barrier now, bool by_reset)
{
    uint32_t before = now.resets & 1u << SYNC_BARRIER_ROUNDS;

    return (struct sync_barrier){
        .generation = now.generation + 1,
        .resets = before | (now.resets << 1 & ((2u << SYNC_BARRIER_ROUNDS) - 1)) | by_reset,
    };
}

/* Was `generation`, which is over, ended by a reset? */
static bool was_reset(struct sync_barrier now, uint32_t generation)
{
    uint32_t back = now.generation - generation - 1;

    return now.resets >> (back < SYNC_BARRIER_ROUNDS ? back : SYNC_BARRIER_ROUNDS) & 1;
}

/* → false: no slot is free. */
static bool claim_slot(const struct sync_user *user, uint32_t generation)
{
    for (uint32_t i = 0; i < SYNC_SLOTS; i++) {
        uint64_t slot = atomic_load(&user->area->slots[i]);
        /* A slot without a client has never been used. */
        if (((uint32_t)slot == 0 || slot >> 32 != generation) &&
            atomic_compare_exchange_strong(&user->area->slots[i], &slot, (uint64_t)generation << 32 | user->client))
            return true;
    }
    return false;
}

/* → 0 … capacity - 1: the order of arrival; *ret_round: in which round. -EPIPE: broken; or why no slot became free. */
static int arrive(struct sync_user *user, struct sync_nap *nap, uint32_t *ret_round)
{
    struct sync_area *area = user->area;
    struct sync_barrier now = load(area);
    bool claimed = false;
    uint32_t claimed_in = 0;

    for (;;) {
        if (now.broken)
            return -EPIPE;
        if (!claimed || claimed_in != now.generation) {
            uint32_t gate = atomic_load(&area->gate);
            claimed = claim_slot(user, now.generation);
            claimed_in = now.generation;
            if (!claimed) {
                struct sync_nap pause = *nap;
                int64_t soon_ns = sync_now_ns() + BARRIER_CROWDED_NS;
                if (pause.end_ns > soon_ns)
                    pause.end_ns = soon_ns;
                int r = sync_sleep(user, &pause, &area->gate, gate, SYNC_ANYBODY);
                nap->ask_ns = pause.ask_ns;
                if (r < 0)
                    return r;
                now = load(area);
                continue;
            }
        }
        struct sync_barrier next = now;
        next.count++;
        if (next.count >= user->capacity)
            next = next_round(now, false);
        if (move(area, &now, next)) {
            *ret_round = claimed_in;
            return now.count < user->capacity ? (int)now.count : (int)user->capacity - 1;
        }
    }
}

/* Breaks the round if it is still in progress. */
static bool break_round(struct sync_area *area, uint32_t generation)
{
    struct sync_barrier now = load(area);

    while (now.generation == generation && !now.broken) {
        struct sync_barrier broken = now;
        broken.broken = true;
        if (move(area, &now, broken)) {
            sync_open_gate(area);
            return true;
        }
    }
    return false;
}

struct stay {
    struct sync_area *area; /* NULL: over; else the thread was cancelled */
    uint32_t round;
};

static void end_stay(const struct stay *stay)
{
    if (stay->area)
        (void)break_round(stay->area, stay->round);
}

/* → the place, or an error. */
static int wait_for_others(struct sync_user *user, struct sync_nap *nap, uint32_t round, int place)
{
    struct sync_area *area = user->area;

    for (;;) {
        uint32_t seen = atomic_load(&area->gate);
        struct sync_barrier now = load(area);
        if (now.generation != round)
            return was_reset(now, round) ? -EPIPE : place;
        if (now.broken)
            return -EPIPE;
        int r = sync_sleep(user, nap, &area->gate, seen, SYNC_ANYBODY);
        /* Gives up, unless the round was decided in the same moment. */
        if (r < 0 && break_round(area, round))
            return r;
    }
}

int sync_barrier_wait(struct sync_user *user, int64_t timeout_ms)
{
    struct sync_area *area = user->area;
    struct sync_nap nap = sync_nap(timeout_ms);
    uint32_t round = 0;

    if (sync_closed(area))
        return -ECONNRESET;
    int place = arrive(user, &nap, &round);
    if (place < 0)
        return place;
    /* If the daemon removed this client before it wrote its slot, the slot was not found and must be checked here. */
    int alive = sync_still_client(user);
    if (place == (int)user->capacity - 1) {
        sync_open_gate(area);
        return alive < 0 ? alive : place;
    }
    if (alive < 0) {
        (void)break_round(area, round);
        return alive;
    }
    __attribute__((cleanup(end_stay))) struct stay stay = {area, round};
    place = wait_for_others(user, &nap, round, place);
    stay.area = NULL;
    return place;
}

void sync_barrier_abort(struct sync_user *user)
{
    struct sync_barrier now = load(user->area);

    while (!now.broken) {
        struct sync_barrier broken = now;
        broken.broken = true;
        if (move(user->area, &now, broken))
            break;
    }
    sync_open_gate(user->area);
}

void sync_barrier_reset(struct sync_user *user)
{
    struct sync_barrier now = load(user->area);

    /* If nobody waits and nothing is broken, it is in the initial state already. */
    while (now.broken || now.count > 0)
        if (move(user->area, &now, next_round(now, true))) {
            sync_open_gate(user->area);
            return;
        }
}

uint32_t sync_barrier_waiting(const struct sync_user *user)
{
    struct sync_barrier now = load(user->area);

    return now.broken ? 0 : now.count;
}

bool sync_barrier_broken(const struct sync_user *user)
{
    return load(user->area).broken;
}
