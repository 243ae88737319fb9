/* Does the claim word give every task exactly one fate, whoever dies when?
 *
 * One supervisor, one worker per generation, SLOTS slots whose claim word is (position, state). The supervisor places,
 * takes back, kills for a task that ran too long, collects, and judges after a death; workers claim, run, publish. A
 * worker can die between any two steps (process `fate`), and a SIGKILL that was sent arrives at any later time. What
 * the code does in one instruction (daemon/lane/claim.h) is one atomic block here; what it does in two is two.
 *
 * Checked: no task is answered twice (assert in answer) or never (the supervisor would not reach its end); no attempt
 * runs twice; a kill arrives only while its own task is the one that the worker holds; no published result is thrown
 * away, or read before it is whole; nobody waits for ever (invalid end states).
 *
 * Each BROKEN_… leaves out one thing that the protocol needs; every one of them must be caught.
 */
#ifndef TASKS
#define TASKS 3
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef CRASHES
#define CRASHES 1 /* deaths nobody asked for */
#endif
/* Attempts, whether they succeed or not: a supervisor that could try for ever would never be seen to be stuck. */
#ifndef KILLS
#define KILLS 2
#endif
#ifndef RECLAIMS
#define RECLAIMS 2
#endif
#define ATTEMPTS 2
#define GENERATIONS (CRASHES + KILLS + 1)

#define EMPTY 0
#define READY 1
#define STARTED 2
#define DONE 3
#define RECLAIMED 4
#define KILLING 5

#define NONE 255

typedef slot_t {
    byte position; /* these two are the claim word */
    byte state;
    byte job_position, job_task, job_attempt; /* S: what the supervisor wrote */
    byte result;                              /* W: task * ATTEMPTS + attempt + 1 when whole */
}

typedef lane_t {
    slot_t slots[SLOTS];
    byte tail;
    bool dead, kill_sent, bury; /* bury: everything is answered, the worker may go */
    byte kill_position;
    byte holds; /* the position that the worker runs, NONE between tasks */
}

lane_t lanes[GENERATIONS];
byte crashes;

/* History, for the assertions alone. */
byte runs[TASKS * ATTEMPTS];
bool published[TASKS];
bool answered[TASKS];

#define SLOT(g, p) lanes[g].slots[(p) % SLOTS]

#ifdef BROKEN_NO_POSITION
#define IS(g, p, s) (SLOT(g, p).state == (s))
#else
#define IS(g, p, s) (SLOT(g, p).position == (p) && SLOT(g, p).state == (s))
#endif

/* Compare-and-swap of the whole word. */
inline cas(g, p, from, to, ret_ok)
{
    atomic {
        if
        :: IS(g, p, from) -> SLOT(g, p).state = to; ret_ok = true
        :: else -> ret_ok = false
        fi
    }
}

/* Look and store as two steps: what the broken variants do instead. */
inline look_and_store(g, p, from, to, ret_ok)
{
    if
    :: IS(g, p, from) -> SLOT(g, p).state = to; ret_ok = true
    :: else -> ret_ok = false
    fi
}

proctype worker(byte g)
{
    byte next = 0, task, attempt;
    bool ok;

    {
end_idle:
        do
        :: next < lanes[g].tail ->
            /* Between the look at the tail and the claim anything may have happened to the slot. */
#ifdef BROKEN_CLAIM_BY_STORE
            look_and_store(g, next, READY, STARTED, ok);
            lanes[g].holds = (ok -> next : NONE);
#else
            atomic {
                cas(g, next, READY, STARTED, ok);
                lanes[g].holds = (ok -> next : NONE)
            }
#endif
            if
            :: !ok
            :: ok ->
                ok = false;
                atomic {
                    assert(SLOT(g, next).job_position == next);
                    task = SLOT(g, next).job_task;
                    attempt = SLOT(g, next).job_attempt;
                    runs[task * ATTEMPTS + attempt]++;
                    assert(runs[task * ATTEMPTS + attempt] == 1)
                }
#ifndef BROKEN_PUBLISH_BEFORE_RESULT
                SLOT(g, next).result = task * ATTEMPTS + attempt + 1;
#endif
#ifdef BROKEN_FINISH_BY_STORE
                look_and_store(g, next, STARTED, DONE, ok);
                if
                :: ok -> atomic { lanes[g].holds = NONE; published[task] = true }
                :: else -> ok
                fi;
#else
                atomic {
                    cas(g, next, STARTED, DONE, ok);
                    if
                    :: ok -> lanes[g].holds = NONE; published[task] = true
                    :: else
                    fi
                };
                ok; /* lost against the kill: wait for the end, which must come */
#endif
#ifdef BROKEN_PUBLISH_BEFORE_RESULT
                SLOT(g, next).result = task * ATTEMPTS + attempt + 1;
#endif
            fi;
            next++
        od
    } unless { lanes[g].dead || lanes[g].bury }
}

/* Crashes at any time, and signals that arrive at any time after they were sent. */
proctype fate(byte g)
{
end_alive:
    if
    :: lanes[g].kill_sent ->
        atomic {
            assert(lanes[g].holds == lanes[g].kill_position);
            lanes[g].dead = true
        }
    :: atomic { crashes < CRASHES -> crashes++; lanes[g].dead = true }
    :: lanes[g].bury
    fi
}

/* ---- the supervisor: everything below is its own, in its heap */

#define TASK_PENDING 0
#define TASK_PLACED 1
#define TASK_ANSWERED 2

inline answer(t)
{
    assert(!answered[t]);
    answered[t] = true;
    state[t] = TASK_ANSWERED;
    left--
}

inline requeue(t)
{
    state[t] = TASK_PENDING;
    pending++
}

/* The head, which is resolved. */
inline collect_head()
{
    atomic {
        t = task_at[head % SLOTS];
        if
        :: IS(g, head, DONE) ->
            assert(SLOT(g, head).result == t * ATTEMPTS + attempts[t] + 1);
            answer(t)
        :: else
        fi;
        SLOT(g, head).position = head + SLOTS;
        SLOT(g, head).state = EMPTY;
        SLOT(g, head).result = 0;
        head++
    }
}

/* A new worker has a new lane. */
inline new_worker()
{
    atomic {
        head = 0;
        next = 0;
        i = 0;
        do
        :: i < SLOTS -> lanes[g].slots[i].position = i; i++
        :: else -> break
        od;
        lanes[g].holds = NONE;
        i = 0;
        run worker(g);
        run fate(g)
    }
}

/* What nobody looks at again must not tell states apart. */
inline forget(g)
{
    i = 0;
    do
    :: i < SLOTS ->
        lanes[g].slots[i].position = 0;
        lanes[g].slots[i].state = 0;
        lanes[g].slots[i].job_position = 0;
        lanes[g].slots[i].job_task = 0;
        lanes[g].slots[i].job_attempt = 0;
        lanes[g].slots[i].result = 0;
        task_at[i] = 0;
        i++
    :: else -> break
    od;
    lanes[g].tail = 0;
    lanes[g].kill_sent = false;
    lanes[g].kill_position = 0;
    lanes[g].holds = 0;
    i = 0;
    t = 0;
    p = 0;
    ok = false
}

/* Any outstanding position, also one that is not started yet or long finished: clients cancel when they like. */
inline pick(ret_p)
{
    atomic {
        ret_p = head;
        do
        :: ret_p + 1 < next -> ret_p++
        :: break
        od
    }
}

active proctype supervisor()
{
    byte g = 0, head, next, left = TASKS, pending = TASKS, kills = 0, reclaims = 0;
    byte state[TASKS], attempts[TASKS], task_at[SLOTS];
    byte t, p, i;
    bool ok;

    new_worker();
again:
    do
    :: pending > 0 && next - head < SLOTS && !lanes[g].kill_sent ->
        atomic {
            t = 0;
            do
            :: state[t] != TASK_PENDING -> t++
            :: else -> break
            od;
            SLOT(g, next).job_position = next;
            SLOT(g, next).job_task = t;
            SLOT(g, next).job_attempt = attempts[t];
            task_at[next % SLOTS] = t;
            state[t] = TASK_PLACED;
            pending--
        };
        atomic {
            assert(SLOT(g, next).position == next && SLOT(g, next).state == EMPTY);
            SLOT(g, next).state = READY
        };
        next++;
        if
        :: lanes[g].tail = next
        :: true /* posted together with the next one */
        fi
    :: lanes[g].tail != next -> lanes[g].tail = next
    :: next != head && reclaims < RECLAIMS ->
        reclaims++;
        pick(p);
#ifdef BROKEN_RECLAIM_BY_STORE
        look_and_store(g, p, READY, RECLAIMED, ok);
#else
        cas(g, p, READY, RECLAIMED, ok);
#endif
        if
        :: ok ->
            atomic {
                t = task_at[p % SLOTS];
                if
                :: requeue(t) /* for another worker; here the same one, later, or its successor */
                :: answer(t)  /* cancelled */
                fi
            }
        :: else
        fi
    :: next != head && kills < KILLS && !lanes[g].kill_sent ->
        kills++;
        pick(p);
#ifdef BROKEN_KILL_WITHOUT_CAS
        ok = IS(g, p, STARTED);
#else
        cas(g, p, STARTED, KILLING, ok);
#endif
        if
        :: ok ->
            atomic {
                lanes[g].kill_position = p;
                lanes[g].kill_sent = true
            }
        :: else
        fi
    :: next != head && (IS(g, head, DONE) || IS(g, head, RECLAIMED)) -> collect_head()
#ifdef BROKEN_JUDGE_BEFORE_DEATH
    :: crashes < CRASHES -> crashes++; break /* the socket's end is seen; the worker still runs */
#endif
    :: lanes[g].dead -> break
    :: left == 0 -> break
    od;

    /* Nothing can be stored in the lane any more: drain it, then judge what is left. */
#ifndef BROKEN_NO_DRAIN
    do
    :: next != head && (IS(g, head, DONE) || IS(g, head, RECLAIMED)) -> collect_head()
    :: else -> break
    od;
#endif
    do
    :: left == 0 || head == next -> break
    :: else ->
        atomic {
            t = task_at[head % SLOTS];
            if
            :: IS(g, head, RECLAIMED)
            :: IS(g, head, READY) -> requeue(t)
            :: IS(g, head, KILLING) -> answer(t) /* timed out */
            :: else ->
                /* started, and lost */
                assert(!published[t]);
#ifdef BROKEN_ATTEMPT_NOT_COUNTED
                requeue(t)
#else
                if
                :: attempts[t] + 1 < ATTEMPTS -> attempts[t]++; requeue(t)
                :: answer(t) /* not idempotent, or out of attempts */
                fi
#endif
            fi;
            head++
        }
    od;
    if
    :: left > 0 ->
#ifndef BROKEN_JUDGE_BEFORE_DEATH
        /* The dead have left: fewer interleavings that differ in nothing. */
        atomic { _nr_pr == 1 -> forget(g) };
#endif
        g++;
        new_worker();
        goto again
    :: else
    fi;
    lanes[g].bury = true;
    t = 0;
    do
    :: t < TASKS -> assert(answered[t]); t++
    :: else -> break
    od
}
