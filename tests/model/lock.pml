/* Does a lock, or a semaphore, ever have two owners, and does anybody sleep for ever while it is free?
 *
 * Users take and release as proto/sync/lock.c does, step by step; all its steps are sequentially consistent, so no store
 * buffers are needed here. A killer kills any of them at any step, and the daemon cleans up after it as sync_party_gone()
 * does, step by step too. Waits time out, sleepers wake up for nothing, each a few times or never. Time decides in the code
 * when a waiter claims the privilege, or takes over an unused one: here it may whenever it is overtaken or shut out.
 *
 * The gate is a counter in the code. Here it is kept as whether each user's view of it is still fresh: the same, without
 * wrapping around, and with fewer states.
 *
 * A loss is the burial of the living: the daemon closes a user's connection, counts `departures`, and takes out of the
 * words what is the user's, who goes on, and finds out when it looks at its connection. A stop is a user with the
 * privilege that is stopped while it sleeps, and never runs again.
 *
 * The number of a take is in the word, so that both come in one step; here it is beside it, and BROKEN_NUMBER_APART draws
 * it afterwards.
 *
 * With HANDOVER the first two users have the two tokens and give them back, the others take one each and keep it, as the
 * consumers of what a semaphore counts do: there nobody's release makes up for a wake-up that was not passed on.
 *
 * Checked: a word that is taken was free; whoever takes after a death is told; a user that asks for its number is given
 * that of its own take; one that was lost leaves no word behind; all users reach their ends. A lost wake-up is an invalid
 * end state.
 */
#ifndef USERS
#define USERS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* takes of each user */
#endif
#ifndef FIRST
#define FIRST ROUNDS /* … but for the first, who may so overtake others more often */
#endif
#ifndef TOKENS
#define TOKENS 1 /* words: 1 is a lock */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1
#endif
#ifndef SPURIOUS
#define SPURIOUS 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef BITS
#define BITS 2 /* of the futex bitset: fewer than users, so that some share one */
#endif

#define FREE 0
#define ABANDONED 100
#define IS_FREE(w) (w == FREE || w == ABANDONED)
#ifdef BROKEN_NOBODY_WATCHES
#define BARRED(b) skip
#else
#define BARRED(b) barred = b
#endif
#define BIT(u) ((u) % BITS)

byte word[TOKENS];
#ifdef NUMBERS
byte number; /* of the last take */
#endif
bit waiters;
byte fair;
bit barred; /* something was released under this privilege */
byte departures;
bool fresh[USERS + 1];  /* the user's `seen` is the gate's value */
bool asleep[USERS + 1];
bool dead[USERS + 1];
#if LOSSES > 0
bool lost[USERS + 1];   /* its connection is closed */
bool buried[USERS + 1]; /* ghost: nothing of it is in the words any more */
#define IS_LOST(u) lost[u]
#else
#define IS_LOST(u) false
#endif
bool finished[USERS + 1];
byte deaths, timeouts, spurious, losses, stops;
/* Ghost: owners as they really are. */
byte inside;
bool left_behind[TOKENS]; /* its owner died with it, and nobody was told so far */

inline open_gate()
{
    d_step {
        fresh[1] = false;
        fresh[2] = false;
#if USERS > 2
        fresh[3] = false;
#endif
#if USERS > 3
        fresh[4] = false;
#endif
    }
}

inline wake_all_where(condition1, condition2, condition3, condition4)
{
    d_step {
        asleep[1] = asleep[1] && !(condition1);
        asleep[2] = asleep[2] && !(condition2);
#if USERS > 2
        asleep[3] = asleep[3] && !(condition3);
#endif
#if USERS > 3
        asleep[4] = asleep[4] && !(condition4);
#endif
    }
}

/* Any one: more than the kernel's order allows. */
inline wake_one()
{
    atomic {
        if
        :: asleep[1] -> asleep[1] = false
        :: asleep[2] -> asleep[2] = false
#if USERS > 2
        :: asleep[3] -> asleep[3] = false
#endif
#if USERS > 3
        :: asleep[4] -> asleep[4] = false
#endif
        :: else
        fi
    }
}

/* One who has not this bit. */
inline wake_one_but(mark)
{
    atomic {
        if
        :: asleep[1] && BIT(1) != mark -> asleep[1] = false
        :: asleep[2] && BIT(2) != mark -> asleep[2] = false
#if USERS > 2
        :: asleep[3] && BIT(3) != mark -> asleep[3] = false
#endif
#if USERS > 3
        :: asleep[4] && BIT(4) != mark -> asleep[4] = false
#endif
        :: else
        fi
    }
}

/* What BROKEN_WAKE_ONE_OF_THE_BIT does instead of waking all who have it. */
inline wake_one_of(mark)
{
    atomic {
        if
        :: asleep[1] && BIT(1) == mark -> asleep[1] = false
        :: asleep[2] && BIT(2) == mark -> asleep[2] = false
#if USERS > 2
        :: asleep[3] && BIT(3) == mark -> asleep[3] = false
#endif
#if USERS > 3
        :: asleep[4] && BIT(4) == mark -> asleep[4] = false
#endif
        :: else
        fi
    }
}

inline wake_sleepers()
{
    if
    :: privileged == 0 -> wake_one()
    :: else ->
        atomic { first = !barred; BARRED(1) };
#ifdef BROKEN_WAKE_ONE_OF_THE_BIT
        wake_one_of(BIT(privileged));
#else
        wake_all_where(BIT(1) == BIT(privileged), BIT(2) == BIT(privileged), BIT(3) == BIT(privileged), BIT(4) == BIT(privileged));
#endif
#ifndef BROKEN_NOBODY_WATCHES
        if
        :: first -> wake_one_but(BIT(privileged))
        :: else
        fi;
#endif
        first = false
    fi
}

inline wake_next()
{
    if
    :: waiters == 0
    :: waiters == 1 ->
#ifdef BROKEN_FAIR_READ_FIRST
        privileged = fair;
        waiters = 0;
        open_gate();
#else
#ifdef BROKEN_CLEAR_AFTER_WAKE
        open_gate();
        privileged = fair;
        wake_sleepers();
        waiters = 0;
        privileged = 0
#else
        waiters = 0;
#ifndef BROKEN_NO_GATE
        open_gate();
#endif
        privileged = fair;
#endif
#endif
#ifndef BROKEN_CLEAR_AFTER_WAKE
        wake_sleepers();
        privileged = 0
#endif
    fi
}

#if defined(NUMBERS) && !defined(BROKEN_NUMBER_APART)
#define COUNT_TAKE number++; own = number
#else
#define COUNT_TAKE skip
#endif
#if LOSSES > 0
#define NOTE_LATE late = buried[me]
#else
#define NOTE_LATE skip
#endif

/* One look at each word; a free one is taken by compare-and-swap. */
inline try_all()
{
    at = 0;
    taken = false;
    do
    :: at < TOKENS && !taken ->
#ifdef BROKEN_TAKE_BY_STORE
        if
        :: IS_FREE(word[at]) ->
            atomic {
                assert(!left_behind[at] || word[at] == ABANDONED);
                left_behind[at] = false;
                told = word[at] == ABANDONED;
                word[at] = me;
                COUNT_TAKE;
                NOTE_LATE;
                taken = true;
                inside++;
                assert(inside <= TOKENS)
            }
        :: else -> at++
        fi
#else
        atomic {
            if
            :: IS_FREE(word[at]) ->
                assert(!left_behind[at] || word[at] == ABANDONED);
                left_behind[at] = false;
                told = word[at] == ABANDONED;
                word[at] = me;
                COUNT_TAKE;
                NOTE_LATE;
                taken = true;
                inside++;
                assert(inside <= TOKENS)
            :: else -> at++
            fi
        }
#endif
    :: else -> break
    od
}

#if TOKENS > 1
#define ANY_FREE (IS_FREE(word[0]) || IS_FREE(word[1]))
#else
#define ANY_FREE IS_FREE(word[0])
#endif

proctype user(byte me)
{
    byte rounds = 0, at = 0, seen_fair = 0, privileged = 0, own = 0, known = 0, asked = 0;
    bool taken = false, slept = false, first = false, told = false, watches = false, late = false;

    {
#ifdef HANDOVER
        if
        :: me <= 2 -> rounds = ROUNDS; at = me - 1; goto owner
        :: else
        fi;
#endif
next:
        do
        :: rounds == (me == 1 -> FIRST : ROUNDS) -> break
        :: else ->
            rounds++;
            slept = false;
            if
            :: fair == 0 ->
                try_all();
                if
                :: taken -> goto look
                :: else
                fi
            :: fair != 0 ->
                /* One that only tries takes over first and waits, so to speak, after that. */
                seen_fair = fair;
                if
                :: seen_fair != 0 && ANY_FREE ->
                    atomic {
                        if
                        :: fair == seen_fair -> fair = me
                        :: else
                        fi
                    }
                :: true
                fi;
                seen_fair = 0
            fi;
again:
#ifdef BROKEN_MARK_BEFORE_SEEN
            waiters = 1;
            fresh[me] = true;
#else
            fresh[me] = true;
#ifndef BROKEN_NO_MARK
            waiters = 1;
#endif
#endif
            seen_fair = fair;
            watches = false;
            if
            :: seen_fair == 0 || seen_fair == me ->
#ifndef BROKEN_NO_SECOND_TRY
                try_all();
                if
                :: taken -> goto settle
                :: else
                fi;
#endif
                if
                :: slept && seen_fair == 0 ->
                    atomic {
                        if
                        :: fair == 0 -> fair = me; BARRED(0); seen_fair = 0; at = 0; goto again
                        :: else
                        fi
                    }
                :: true
                fi
            :: else ->
                if
                :: ANY_FREE ->
                    atomic {
                        BARRED(1);
                        if
                        :: fair == seen_fair -> fair = me; BARRED(0); seen_fair = 0; at = 0; goto again
                        :: fair != seen_fair
#ifdef BROKEN_NOBODY_WATCHES
                        :: true
#else
                        :: watches = true /* not long enough: it looks again, woken or not */
#endif
                        fi
                    }
                :: else
                fi
            fi;
            seen_fair = 0;
            at = 0;
            /* FUTEX_WAIT: compares and sleeps in one step. */
            if
            :: atomic { timeouts < TIMEOUTS -> timeouts++ } -> goto give_up
            :: IS_LOST(me) -> goto give_up
            :: atomic { fresh[me] -> asleep[me] = true }; atomic { !asleep[me] || watches -> asleep[me] = false }
            :: !fresh[me]
            fi;
            slept = true;
            goto again;

give_up:
#ifndef BROKEN_KEEPS_THE_PRIVILEGE
            seen_fair = fair;
            if
            :: seen_fair == me ->
                atomic {
                    BARRED(0);
                    if
                    :: fair == me -> fair = 0
                    :: else
                    fi
                };
#ifndef BROKEN_GIVES_UP_SILENTLY
                waiters = 1;
                wake_next()
#endif
            :: seen_fair != 0 && seen_fair != me && ANY_FREE ->
                open_gate();
                wake_one_but(BIT(seen_fair))
            :: else
            fi;
            seen_fair = 0;
#endif
            if
            :: IS_LOST(me) -> goto gone
            :: else
            fi;
            goto next;

settle:
            if
            :: fair == me ->
                atomic {
                    BARRED(0);
                    if
                    :: fair == me -> fair = 0
                    :: else
                    fi
                }
            :: else
            fi;
#ifndef BROKEN_NO_MARK_AFTER_TAKE
            waiters = 1;
#endif
#if TOKENS > 1 && !defined(BROKEN_NOT_PASSED_ON)
            if
            :: ANY_FREE -> wake_next()
            :: else
            fi;
#endif

look:
            watches = false;
#ifdef BROKEN_NUMBER_APART
            number++;
            own = number;
#endif
#if LOSSES > 0
#ifndef BROKEN_NO_LOOK_AFTER_TAKE
            asked = departures;
            if
            :: asked == known
            :: else ->
                if
                :: lost[me] ->
                    atomic {
                        if
                        :: word[at] == me ->
                            word[at] = (told -> ABANDONED : FREE);
                            left_behind[at] = told;
                            inside--
                        :: else
                        fi;
                        asked = 0
                    };
#ifndef BROKEN_GIVES_BACK_SILENTLY
                    wake_next();
#endif
                    goto gone
                :: else -> known = asked
                fi
            fi;
            asked = 0;
#endif
            /* It is told that it has taken: then the daemon had not been here before the take, and frees it yet. */
            assert(!late);
#endif

owner:
            slept = false;
            told = false;
#ifdef NUMBERS
            /* What is my number? */
#ifdef BROKEN_NUMBER_APART
            if
            :: word[0] == me -> assert(number == own)
            :: else -> assert(IS_LOST(me))
            fi;
#else
            atomic {
                if
                :: word[0] == me -> assert(number == own)
                :: else -> assert(IS_LOST(me))
                fi
            };
#endif
            own = 0;
#endif
#ifdef HANDOVER
            if
            :: me > 2 -> goto next
            :: else
            fi;
#endif
            atomic {
                if
                :: word[at] == me -> word[at] = FREE; inside--
                :: else -> assert(IS_LOST(me)); at = 0; taken = false; goto gone
                fi;
                at = 0;
                taken = false
            };
#ifdef BROKEN_RELEASE_WITHOUT_LOOK
            skip
#else
            wake_next()
#endif
        od;
gone:
        finished[me] = true
    } unless { dead[me] }
}

/* Kills, and is the daemon that hears of it. */
active proctype daemon()
{
    byte who = 0, at = 0;

    atomic {
#ifdef HANDOVER
        word[0] = 1;
        word[1] = 2;
        inside = 2;
#endif
        run user(1);
        run user(2);
#if USERS > 2
        run user(3);
#endif
#if USERS > 3
        run user(4);
#endif
    };
end:
    do
#if STOPS > 0
    :: atomic { stops < STOPS && fair != 0 && fair <= USERS && asleep[fair] -> stops++; dead[fair] = true; finished[fair] = true }
#endif
#if LOSSES > 0
    :: losses < LOSSES ->
        atomic {
            losses++;
            if
            :: !lost[1] && !dead[1] -> who = 1
            :: !lost[2] && !dead[2] -> who = 2
            fi;
#ifdef BROKEN_CLOSED_LAST
            skip
#else
            lost[who] = true
#endif
        };
#ifndef BROKEN_FREED_BEFORE_COUNTED
        departures++;
#endif
        goto free
#endif
    :: deaths < DEATHS ->
        atomic {
            deaths++;
            if
            :: !dead[1] && !finished[1] -> who = 1
            :: !dead[2] && !finished[2] -> who = 2
#if USERS > 2
            :: !dead[3] && !finished[3] -> who = 3
#endif
#if USERS > 3
            :: !dead[4] && !finished[4] -> who = 4
#endif
            :: else -> goto end
            fi;
            dead[who] = true;
            asleep[who] = false;
            fresh[who] = false;
            at = 0;
            do
            :: at < TOKENS ->
                if
                :: word[at] == who -> left_behind[at] = true; inside--
                :: else
                fi;
                at++
            :: else -> break
            od;
            at = 0
        };
#if LOSSES > 0
        departures++;
#endif
free:
        do
        :: at < TOKENS ->
            atomic {
                if
                :: word[at] == who ->
                    if
                    :: !dead[who] -> left_behind[at] = true; inside--
                    :: else
                    fi;
#ifdef BROKEN_DEATH_IS_NOT_TOLD
                    word[at] = FREE
#else
                    word[at] = ABANDONED
#endif
                :: else
                fi;
                at++
            }
        :: else ->
#if LOSSES > 0
            buried[who] = true;
#endif
            break
        od;
#ifdef BROKEN_FREED_BEFORE_COUNTED
        departures++;
#endif
#ifdef BROKEN_CLOSED_LAST
        lost[who] = true;
#endif
#ifndef BROKEN_PRIVILEGE_OF_THE_DEAD
        atomic {
            if
            :: fair == who -> fair = 0
            :: else
            fi
        };
#endif
#ifndef BROKEN_DEATH_OPENS_NO_GATE
        open_gate();
#endif
#ifdef BROKEN_DEATH_WAKES_ONE
        wake_one();
#else
#ifndef BROKEN_DEATH_WAKES_NOBODY
        wake_all_where(true, true, true, true);
#endif
#endif
        at = 0;
        who = 0
    :: spurious < SPURIOUS ->
        spurious++;
        wake_one()
    od
}
