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

inline wake_all_of(mark)
{
    wake_all_where(BIT(1) == mark, BIT(2) == mark, BIT(3) == mark, BIT(4) == mark)
}

/* privileged: what `fair` was. */
inline wake_sleepers()
{
    if
    :: atomic { privileged == 0 -> wake_one() }
    :: atomic {
        privileged != 0 ->
#ifdef BROKEN_FIRST_ALONE_WAKES
        first = !barred;
#endif
        BARRED(1)
        };
#ifdef BROKEN_WAKE_ONE_OF_THE_BIT
        atomic { wake_one_of(BIT(privileged)); privileged = 0 }
#elif defined(BROKEN_NOBODY_WATCHES)
        atomic { wake_all_of(BIT(privileged)); privileged = 0 }
#elif defined(BROKEN_FIRST_ALONE_WAKES)
        wake_all_of(BIT(privileged));
        if
        :: atomic { first -> wake_one_but(BIT(privileged)); privileged = 0; first = false }
        :: atomic { !first -> privileged = 0 }
        fi
#else
        wake_all_of(BIT(privileged));
        atomic { wake_one_but(BIT(privileged)); privileged = 0 }
#endif
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
        wake_sleepers()
#elif defined(BROKEN_CLEAR_AFTER_WAKE)
        open_gate();
        privileged = fair;
        wake_sleepers();
        waiters = 0
#else
        waiters = 0;
#ifndef BROKEN_NO_GATE
        open_gate();
#endif
        privileged = fair;
        wake_sleepers()
#endif
    fi
}

/* Inside of the step in which it happens. */
inline note_take(i)
{
    assert(!left_behind[i] || word[i] == ABANDONED);
    left_behind[i] = false;
#if LOSSES > 0
    told = word[i] == ABANDONED;
    late = buried[me];
#endif
    word[i] = me;
    at = i;
#if defined(NUMBERS) && !defined(BROKEN_NUMBER_APART)
    number++;
    own = number;
#endif
    inside++;
    assert(inside <= TOKENS);
    fresh[me] = false;
    slept = false;
    seen_fair = 0
}

/* One look at a word; a free one is taken by compare-and-swap. */
#ifdef BROKEN_TAKE_BY_STORE
#define LOOK_AT(i, found, otherwise)                                  \
    if                                                                \
    :: IS_FREE(word[i]) -> atomic { note_take(i); goto found }        \
    :: atomic { else -> otherwise }                                   \
    fi
#else
#define LOOK_AT(i, found, otherwise)                                  \
    atomic {                                                          \
        if                                                            \
        :: IS_FREE(word[i]) -> note_take(i); goto found               \
        :: else -> otherwise                                          \
        fi                                                            \
    }
#endif

#if TOKENS > 1
#define TRY_ALL(found, otherwise) LOOK_AT(0, found, skip); LOOK_AT(1, found, otherwise)
#define ANY_FREE (IS_FREE(word[0]) || IS_FREE(word[1]))
#else
#define TRY_ALL(found, otherwise) LOOK_AT(0, found, otherwise)
#define ANY_FREE IS_FREE(word[0])
#endif

#ifdef BROKEN_NO_MARK_AFTER_TAKE
#define MARK skip
#else
#define MARK waiters = 1
#endif

/* Not a store: the privilege may be another's by now. */
inline give_privilege_back()
{
    atomic {
        BARRED(0);
        if
        :: fair == me -> fair = 0
        :: else
        fi
    }
}

proctype user(byte me)
{
    byte rounds = 0, at = 0, seen_fair = 0, privileged = 0;
    bool slept = false, watches = false;
#ifdef BROKEN_FIRST_ALONE_WAKES
    bool first = false;
#endif
#ifdef NUMBERS
    byte own = 0;
#endif
#if LOSSES > 0
    byte known = 0, asked = 0;
    bool told = false, late = false;
#endif

    {
#ifdef HANDOVER
        if
        :: atomic { me <= 2 -> rounds = ROUNDS; at = me - 1; goto owner }
        :: me > 2
        fi;
#endif
        goto next;
next:
        if
        :: atomic { rounds == (me == 1 -> FIRST : ROUNDS) -> goto gone }
        :: atomic {
            else ->
            rounds++;
            seen_fair = fair;
            if
            :: seen_fair == 0
            :: seen_fair != 0 -> seen_fair = 0; goto again
            :: seen_fair != 0 -> goto only_tries
            fi }
        fi;
        TRY_ALL(look, goto again);
only_tries:
        /* One that only tries takes over first and waits, so to speak, after that. */
        if
        :: ANY_FREE ->
            atomic {
                if
                :: fair == seen_fair -> fair = me
                :: else
                fi;
                seen_fair = 0
            }
        :: atomic { else -> seen_fair = 0 }
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
        atomic {
            seen_fair = fair;
            if
            :: seen_fair == 0 || seen_fair == me
            :: else -> slept = false; goto shut_out
            fi
        };
        /* Overtaken after a sleep: it may claim the privilege. */
#ifdef BROKEN_NO_SECOND_TRY
        atomic { slept = slept && seen_fair == 0; seen_fair = 0; goto rest };
#else
        TRY_ALL(settle, slept = slept && seen_fair == 0; seen_fair = 0; goto rest);
#endif
shut_out:
        if
        :: ANY_FREE ->
            atomic {
                BARRED(1);
                if
                :: fair == seen_fair -> fair = me; BARRED(0); seen_fair = 0; fresh[me] = false; goto again
                :: fair != seen_fair
#ifdef BROKEN_NOBODY_WATCHES
                :: true
#else
                :: watches = true /* not long enough: it looks again, woken or not */
#endif
                fi;
                seen_fair = 0
            }
        :: atomic { else -> seen_fair = 0 }
        fi;

rest:
        /* FUTEX_WAIT: compares and sleeps in one step. */
        if
        :: atomic { slept && fair == 0 -> fair = me; BARRED(0); slept = false; fresh[me] = false; goto again }
        :: atomic { timeouts < TIMEOUTS -> timeouts++; slept = false; watches = false; fresh[me] = false; goto give_up }
        :: atomic { IS_LOST(me) -> slept = false; watches = false; fresh[me] = false; goto give_up }
        :: atomic { fresh[me] -> asleep[me] = true; fresh[me] = false; slept = false }
        :: atomic { !fresh[me] -> slept = true; watches = false; goto again }
        fi;
        atomic { !asleep[me] || watches -> asleep[me] = false; slept = true; watches = false; goto again };

give_up:
#ifndef BROKEN_KEEPS_THE_PRIVILEGE
        atomic {
            seen_fair = fair;
            if
            :: seen_fair == me -> seen_fair = 0
            :: seen_fair == 0 -> goto without
            :: else -> goto watched
            fi
        };
        give_privilege_back();
#ifndef BROKEN_GIVES_UP_SILENTLY
        waiters = 1;
        wake_next();
#endif
        goto without;
watched:
        if
        :: ANY_FREE ->
            open_gate();
            atomic { wake_one_but(BIT(seen_fair)); seen_fair = 0 }
        :: atomic { else -> seen_fair = 0 }
        fi;
without:
#endif
        if
        :: atomic { IS_LOST(me) -> goto gone }
        :: else -> goto next
        fi;

settle:
        /* Another's privilege does not become its own meanwhile: so the look and the mark may be one step then. */
        if
        :: fair == me -> give_privilege_back(); MARK
        :: atomic { fair != me -> MARK }
        fi;
#if TOKENS > 1 && !defined(BROKEN_NOT_PASSED_ON)
        if
        :: ANY_FREE -> wake_next()
        :: else
        fi;
#endif

look:
#ifdef BROKEN_NUMBER_APART
        atomic { number++; own = number };
#endif
#if LOSSES > 0
#ifdef BROKEN_NO_LOOK_AFTER_TAKE
        atomic { assert(!late); told = false };
#else
        /* If it is told that it has taken, the daemon had not been here before the take, and frees it yet. */
        if
        :: atomic { departures == known -> told = false; assert(!late); goto owner }
        :: atomic { else -> asked = departures }
        fi;
        atomic {
            if
            :: lost[me] -> asked = 0
            :: else -> known = asked; asked = 0; told = false; assert(!late); goto owner
            fi
        };
        atomic {
            if
            :: word[at] == me ->
                word[at] = (told -> ABANDONED : FREE);
                left_behind[at] = told;
                inside--
            :: else
            fi;
            told = false;
            late = false;
            at = 0
        };
#ifndef BROKEN_GIVES_BACK_SILENTLY
        wake_next();
#endif
        goto gone;
#endif
#endif

owner:
#ifdef NUMBERS
        /* What is my number? */
#ifdef BROKEN_NUMBER_APART
        if
        :: word[0] == me -> atomic { assert(number == own); own = 0 }
        :: atomic { else -> assert(IS_LOST(me)); own = 0 }
        fi;
#else
        atomic {
            assert((word[0] == me -> number == own : IS_LOST(me)));
            own = 0
        };
#endif
#endif
        if
#ifdef HANDOVER
        :: atomic { me > 2 -> at = 0; goto next }
        :: atomic { me <= 2 && word[at] == me -> word[at] = FREE; inside--; at = 0 }
#else
        :: atomic { word[at] == me -> word[at] = FREE; inside--; at = 0 }
#endif
        :: atomic { else -> assert(IS_LOST(me)); at = 0; goto gone }
        fi;
#ifndef BROKEN_RELEASE_WITHOUT_LOOK
        wake_next();
#endif
        goto next;
gone:
        atomic { finished[me] = true }
    } unless { dead[me] }
}

inline leave_behind(i)
{
    if
    :: word[i] == who -> left_behind[i] = true; inside--
    :: else
    fi
}

/* The daemon's: a word of the gone. */
inline free_word(i)
{
    atomic {
        if
        :: word[i] == who ->
            if
            :: !dead[who] -> left_behind[i] = true; inside--
            :: else
            fi;
#ifdef BROKEN_DEATH_IS_NOT_TOLD
            word[i] = FREE
#else
            word[i] = ABANDONED
#endif
        :: else
        fi
#if LOSSES > 0
        ;
        if
        :: i == TOKENS - 1 -> buried[who] = true
        :: else
        fi
#endif
    }
}

/* Kills, and is the daemon that hears of it. */
active proctype daemon()
{
    byte who = 0;

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
            leave_behind(0);
#if TOKENS > 1
            leave_behind(1);
#endif
            skip
        };
#if LOSSES > 0
        departures++;
#endif
free:
        free_word(0);
#if TOKENS > 1
        free_word(1);
#endif
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
        who = 0
    :: spurious < SPURIOUS ->
        spurious++;
        wake_one()
    od
}
