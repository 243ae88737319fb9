/* Do all parties of a barrier pass it together, and is nobody left in it when one of them dies, gives up or resets it?
 *
 * Users meet as proto/sync/barrier.c does, step by step, all steps sequentially consistent. A killer kills any of them at
 * any step, and the daemon cleans up after it as sync_party_gone() does. Waits time out, and one user may reset the barrier
 * between its rounds. The gate is modelled as in lock.pml. Who is told that the barrier is broken leaves for good, and then
 * it is broken for all; so it is, by a time-out that is not modelled, when one dies that had not come, for whom the others
 * wait in vain.
 *
 * Checked: nobody passes a round before all parties of it have arrived; nobody who lives is told that a barrier broke
 * unless somebody died, gave up or reset; nobody sleeps for ever, which is an invalid end state.
 */
#ifndef PARTIES
#define PARTIES 3 /* and users */
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef RESETS
#define RESETS 0
#endif

#define NOBODY 0

/* One word in the code: written in single steps here. */
byte generation;
byte ended; /* bit i: the last round but i was ended by a reset */
byte count;
bool broken;

byte slot_party[PARTIES];
byte slot_round[PARTIES];
bool fresh[PARTIES + 1];
bool asleep[PARTIES + 1];
bool dead[PARTIES + 1];
bool finished[PARTIES + 1];
bool left; /* somebody has left for good */
byte deaths, timeouts, resets;
/* Ghosts. */
byte arrived[ROUNDS + RESETS + 2]; /* in each round */
byte inside[PARTIES + 1];          /* 1 + the round in which the user was counted last */

inline open_gate()
{
    d_step {
        fresh[1] = false;
        fresh[2] = false;
#if PARTIES > 2
        fresh[3] = false;
#endif
    };
    d_step {
        asleep[1] = false;
        asleep[2] = false;
#if PARTIES > 2
        asleep[3] = false;
#endif
    }
}

#ifdef BROKEN_TOLD_OF_A_LATER_RESET
#define WAS_RESET(g) (ended != 0)
#else
#define WAS_RESET(g) ((ended >> (generation - g - 1)) & 1)
#endif

proctype user(byte me)
{
    byte rounds = 0, at = 0, mine = 0;
    bool claimed = false, last = false;

    {
        do
        :: rounds == ROUNDS -> break
        :: else ->
            rounds++;
            claimed = false;
arriving:
            if
            :: broken -> goto told
            :: else
            fi;
#ifndef BROKEN_NO_SLOT
            if
            :: !claimed || mine != generation ->
                mine = generation;
                at = 0;
                do
                :: atomic {
                    (slot_party[at] == NOBODY || slot_round[at] != mine) ->
                        slot_party[at] = me;
                        slot_round[at] = mine;
                        claimed = true;
                        at = 0
                    };
                    break
                :: else -> at = (at + 1) % PARTIES
                od
            :: else
            fi;
#else
            mine = generation;
#endif
            /* The whole word is compared: another round, and this goes back for a slot in it. */
            atomic {
                if
                :: broken || generation != mine -> goto arriving
                :: else ->
                    count++;
                    arrived[mine]++;
                    inside[me] = mine + 1;
                    last = (count == PARTIES);
                    if
                    :: last ->
                        generation++;
                        ended = ended << 1;
                        count = 0
                    :: else
                    fi
                fi
            };
            if
            :: last ->
                last = false;
#ifndef BROKEN_LAST_OPENS_NO_GATE
                open_gate();
#endif
                goto passed
            :: else
            fi;
waiting:
#ifdef BROKEN_STATE_BEFORE_GATE
            if
            :: generation != mine || broken -> goto decided
            :: else
            fi;
            fresh[me] = true;
#else
            fresh[me] = true;
            if
            :: generation != mine || broken -> goto decided
            :: else
            fi;
#endif
            if
            :: atomic { timeouts < TIMEOUTS -> timeouts++ } ->
                /* A break by compare-and-swap, of this round alone. */
                atomic {
                    if
                    :: generation == mine && !broken -> broken = true
                    :: else -> goto waiting
                    fi
                };
                open_gate();
                goto told
            :: atomic { fresh[me] -> asleep[me] = true }; !asleep[me]
            :: !fresh[me]
            fi;
            goto waiting;
decided:
            atomic {
                if
                :: generation != mine && !WAS_RESET(mine) -> goto passed
                :: generation != mine && WAS_RESET(mine) -> assert(arrived[mine] < PARTIES); goto told
                :: else -> goto told
                fi
            };
passed:
            assert(arrived[mine] == PARTIES);
            if
            :: me == 1 ->
                atomic {
                    if
                    :: resets < RESETS && !left && deaths == 0 -> resets++; goto reset
                    :: true
                    fi
                }
            :: else
            fi;
            goto next;
reset:
            atomic {
                if
                :: !left && deaths == 0 && (broken || count > 0) ->
                    generation++;
#ifdef BROKEN_RESET_LIKE_A_ROUND
                    ended = ended << 1;
#else
                    ended = (ended << 1) | 1;
#endif
                    count = 0;
                    broken = false
                :: else -> goto next
                fi
            };
            open_gate();
next:
            skip
        od;
        goto done;
told:
        assert(deaths > 0 || timeouts > 0 || resets > 0);
        atomic {
            left = true;
            if
            :: broken -> goto done
            :: else -> broken = true
            fi
        };
        open_gate();
done:
        finished[me] = true
    } unless { dead[me] }
}

active proctype daemon()
{
    byte who = 0, at = 0, round = 0;
    bool found = false;

    atomic {
        run user(1);
        run user(2);
#if PARTIES > 2
        run user(3);
#endif
    };
end:
    do
    :: deaths < DEATHS ->
        atomic {
            deaths++;
            if
            :: !dead[1] && !finished[1] -> who = 1
            :: !dead[2] && !finished[2] -> who = 2
#if PARTIES > 2
            :: !dead[3] && !finished[3] -> who = 3
#endif
            :: else -> goto end
            fi;
            dead[who] = true;
            asleep[who] = false;
            fresh[who] = false
        };
again:
        at = 0;
        found = false;
        round = generation;
        do
        :: at < PARTIES ->
            atomic {
                if
                :: slot_party[at] == who && slot_round[at] == round -> found = true
                :: else
                fi;
                at++
            }
        :: else -> break
        od;
#ifndef BROKEN_DEATH_IS_IGNORED
        if
        :: found ->
            atomic {
                if
                :: generation == round -> broken = true
                :: else -> goto again
                fi
            }
        :: else
        fi;
#endif
#ifndef BROKEN_DEATH_OPENS_NO_GATE
        open_gate();
#endif
        /* Who was counted in this round must have been found; who was not is missed. */
        atomic {
            if
            :: inside[who] == generation + 1 || broken -> goto buried
            :: else -> left = true; broken = true
            fi
        };
        open_gate();
buried:
        who = 0;
        at = 0;
        found = false;
        round = 0
    od
}
