/* The claim word: which side may do what with a position, and how is it decided in one instruction?
 *
 * One 64-bit word per slot: the position in the upper half, the state in the lower. Every contested move is one
 * compare-and-swap of the whole word, so whoever acts on an old view of the slot (another position lies there by now,
 * or the other side was faster) fails and changes nothing. Knows no lane, no payload; fails by returning false.
 *
 *   EMPTY   → READY      supervisor   placed
 *   READY   → STARTED    worker       claimed; only now has it run
 *   READY   → RECLAIMED  supervisor   taken back
 *   STARTED → DONE       worker       result published
 *   STARTED → KILLING    supervisor   the worker may be killed for this position, and for no other
 *   DONE, RECLAIMED → EMPTY of the next round   supervisor, alone with the slot by then
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/lane/lane.h"

typedef _Atomic uint64_t claim_atomic;

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a claim word must never hide a lock: its owner may be dead");
static_assert(sizeof(claim_atomic) == 8, "the claim word is shared between processes");

static inline uint64_t claim_word(uint32_t position, enum lane_claim state)
{
    return (uint64_t)position << 32 | (uint32_t)state;
}

static inline uint32_t claim_position(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* The state half, as found: from a hostile worker it may be any value, not only a member of the enum. */
static inline uint32_t claim_state(uint64_t word)
{
    return (uint32_t)word;
}

/* One contested move. Sequentially consistent: release publishes what was written before the move, acquire shows what
 * the other side wrote before its own, and the total order is the first half of the "full fence" between publishing a
 * result and looking whether the supervisor sleeps (sleep_word.c). On x86 and arm64 that costs nothing over acq_rel. */
static inline bool claim_move(claim_atomic *word, uint32_t position, enum lane_claim from, enum lane_claim to)
{
    uint64_t expected = claim_word(position, from);

    return atomic_compare_exchange_strong_explicit(
        word, &expected, claim_word(position, to), memory_order_seq_cst, memory_order_seq_cst);
}

/* Sequentially consistent for the supervisor's last look after sleep_word_declare(): an acquire load alone could be
 * satisfied before the declaration of sleep is visible, and the doorbell would stay silent. */
static inline uint64_t claim_look(const claim_atomic *word)
{
    return atomic_load_explicit(word, memory_order_seq_cst);
}
