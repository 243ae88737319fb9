/* Does a supervisor that sleeps always hear of a result?
 *
 * Two workers publish results and ring the doorbell if the sleep word says that the supervisor sleeps, each at most once
 * for one sleep (ring() in daemon/lane/worker_lane.c); the supervisor declares sleep, looks at its lanes once more and
 * blocks until a doorbell is readable (sleep_word.c). Store buffers and fences as in wake.pml. A doorbell holds one message:
 * one more finds it full (EAGAIN) and counts as rung, because what is readable wakes.
 *
 * Checked: all results are collected; a result that nobody hears of is an invalid end state.
 */
#ifndef RESULTS
#define RESULTS 2 /* of each worker */
#endif
#define WORKERS 2

#define EPOCH 2 /* memory[0], memory[1]: results published by each worker */

byte memory[3];
chan stores[3] = [4] of { byte, byte }; /* of the workers, and of the supervisor */
bool readable[WORKERS];

#define SUPERVISOR 2
#define FENCE(who) empty(stores[who])

active [3] proctype store_buffer()
{
    byte where, what;
end:
    do
    :: atomic { stores[_pid] ? where, what -> memory[where] = what }
    od
}

proctype worker(byte me)
{
    byte count = 0, epoch, rung = 0;

    do
    :: count == RESULTS -> break
    :: else ->
        count++;
#ifdef BROKEN_RING_BEFORE_PUBLISHING
        epoch = memory[EPOCH];
        if
        :: epoch % 2 == 1 && epoch != rung -> rung = epoch; readable[me] = true
        :: else
        fi;
        stores[me] ! me, count
#else
        stores[me] ! me, count;
#ifndef BROKEN_NO_FENCE_IN_FINISH
        FENCE(me);
#endif
        epoch = memory[EPOCH];
        if
        :: epoch % 2 == 1 && epoch != rung -> rung = epoch; readable[me] = true
        :: else
        fi
#endif
    od
}

#define NEWS (memory[0] != collected[0] || memory[1] != collected[1])

active proctype supervisor()
{
    byte collected[WORKERS], epoch = 0;

    run worker(0);
    run worker(1);
    do
    :: collected[0] == RESULTS && collected[1] == RESULTS -> break
    :: else ->
        /* One pass of the loop: read the doorbells, then collect. */
        readable[0] = false;
        readable[1] = false;
        collected[0] = memory[0];
        collected[1] = memory[1];
#ifdef BROKEN_SLEEPS_NOT_NUMBERED
        epoch = 1;
#else
        epoch++;
#endif
        stores[SUPERVISOR] ! EPOCH, epoch;
#ifndef BROKEN_NO_FENCE_IN_SLEEP
        FENCE(SUPERVISOR);
#endif
#ifdef BROKEN_BELLS_READ_AFTER_DECLARING
        readable[0] = false;
        readable[1] = false;
#endif
        if
#ifdef BROKEN_NO_SECOND_LOOK
        :: collected[0] != RESULTS || collected[1] != RESULTS -> readable[0] || readable[1]
#else
        :: NEWS
        :: !NEWS && (collected[0] != RESULTS || collected[1] != RESULTS) -> readable[0] || readable[1]
#endif
        :: collected[0] == RESULTS && collected[1] == RESULTS
        fi;
#ifdef BROKEN_SLEEPS_NOT_NUMBERED
        epoch = 0;
#else
        epoch++;
#endif
        stores[SUPERVISOR] ! EPOCH, epoch
    od
}
