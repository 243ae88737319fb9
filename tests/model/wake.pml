/* Does a worker that sleeps on its lane always wake up?
 *
 * The supervisor posts jobs (tail) and frees the room of collected results (released); the worker sleeps for either on
 * the word `sleep`, as wake_if() in daemon/lane/lane.c and sleep_for_… in worker_lane.c do. Each side has a store
 * buffer, as CPUs do: a store becomes visible at any later time, in order, and a fence (the seq_cst store in the code)
 * waits until it has. A system call is a fence, too. Once in a run the worker wakes up for nothing.
 *
 * Checked: the worker runs all jobs and both sides reach their ends; a lost wake-up is an invalid end state.
 */
#ifndef JOBS
#define JOBS 3
#endif

#define AWAKE 0
#define FOR_JOB 1
#define FOR_ROOM 2

#define TAIL 0
#define RELEASED 1
#define SLEEP 2

byte memory[3];
chan supervisor_stores = [4] of { byte, byte };
chan worker_stores = [4] of { byte, byte };
bool waiting; /* in FUTEX_WAIT */
byte done;    /* results published; how the supervisor hears of them is bell.pml's question */

#define FENCE(stores) empty(stores)

/* A store buffer empties itself whenever it likes. */
active proctype supervisor_memory()
{
    byte where, what;
end:
    do
    :: atomic { supervisor_stores ? where, what -> memory[where] = what }
    od
}

active proctype worker_memory()
{
    byte where, what;
end:
    do
    :: atomic { worker_stores ? where, what -> memory[where] = what }
    od
}

/* One spurious wake-up, at any time or never. */
active proctype signal()
{
end:
    atomic { waiting -> waiting = false }
}

inline wake_if(what)
{
    if
    :: memory[SLEEP] == what ->
#ifdef BROKEN_CLEAR_AFTER_WAKE
        FENCE(supervisor_stores);
        waiting = false;
        supervisor_stores ! SLEEP, AWAKE
#else
        supervisor_stores ! SLEEP, AWAKE;
        FENCE(supervisor_stores); /* FUTEX_WAKE */
        waiting = false
#endif
    :: memory[SLEEP] != what
    fi
}

inline post(where, value, what)
{
#ifdef BROKEN_WAKE_BEFORE_STORE
    wake_if(what);
    supervisor_stores ! where, value;
    FENCE(supervisor_stores)
#else
    supervisor_stores ! where, value;
#ifndef BROKEN_NO_FENCE_IN_POST
    FENCE(supervisor_stores);
#endif
    wake_if(what)
#endif
}

active proctype supervisor()
{
    byte tail = 0, released = 0;

    do
    :: tail < JOBS -> tail++; post(TAIL, tail, FOR_JOB)
    :: released < done -> released++; post(RELEASED, released, FOR_ROOM)
    :: tail == JOBS && released == JOBS -> break
    od
}

/* Declares, looks again at what it waits for, waits on the declaration. */
inline sleep_unless(moved, where, seen, what)
{
    worker_stores ! SLEEP, what;
#ifndef BROKEN_NO_FENCE_IN_SLEEP
    FENCE(worker_stores);
#endif
    if
#ifdef BROKEN_NO_SECOND_LOOK
    :: true ->
#else
    :: moved
    :: !(moved) ->
#endif
        FENCE(worker_stores); /* FUTEX_WAIT: compares and sleeps in one step */
        atomic {
            if
#ifdef BROKEN_WAIT_ON_TAIL
            :: memory[where] == seen -> waiting = true
#else
            :: memory[SLEEP] == what -> waiting = true
#endif
            :: else
            fi
        };
        !waiting
    fi;
    worker_stores ! SLEEP, AWAKE
}

active proctype worker()
{
    byte next = 0;

    do
    :: next == JOBS -> break
    :: else ->
        do
        :: memory[TAIL] != next -> break
        :: memory[TAIL] == next -> sleep_unless(memory[TAIL] != next, TAIL, next, FOR_JOB)
        od;
        /* The ring has room for one result beside the one that is being built. */
        do
        :: next <= memory[RELEASED] + 1 -> break
        :: next > memory[RELEASED] + 1 ->
            sleep_unless(next <= memory[RELEASED] + 1, RELEASED, next - 2, FOR_ROOM)
        od;
        next++;
        done = next
    od
}
