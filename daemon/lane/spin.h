/* How long is it worth to wait awake?
 *
 * About as long as a park and a wake cost together: who spins that long and then sleeps has lost at most twice what the
 * best choice would have cost (the ski rental argument; Karlin et al., "Empirical Studies of Competitive Spinning for
 * a Shared-Memory Multiprocessor", 1991). The cost is measured, as it differs from 4 µs to 100 µs between machines
 * with and without a hypervisor, and half the right budget is worse than none.
 */
#pragma once

#include <sched.h>
#include <stdint.h>

#define SPIN_LEAST_NS  2000u
#define SPIN_USUAL_NS  20000u /* where it cannot be measured, as the machine is busy */
#define SPIN_MOST_NS   50000u
#define SPIN_VAIN_MOST 8u
#define SPIN_PAUSES    32u /* between two looks at the clock: about a microsecond */

/* A yield that takes so long has given the CPU to somebody with work of his own: who waits awake is in his way, and
 * gets the CPU back later than a sleeper would. Then it is not tried for a while. */
#define SPIN_CROWDED_NS      100000u
#define SPIN_CROWDED_REST_NS 50000000u

/* Measures, in a few milliseconds, on a thread that it makes and joins: wakes one that is asleep on a futex of another
 * CPU. → nanoseconds from SPIN_LEAST_NS to SPIN_MOST_NS; 0: there is one CPU only, or no thread to be had. Call it
 * before there are other threads or signals to care for. */
uint32_t spin_measure_ns(void);

/* Tells the CPU that this is a loop which waits. */
static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* yield does nothing on most of them */
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* And lets others run that wait for this very CPU: it may be who we wait for. A call of some hundred nanoseconds. */
static inline void spin_yield(void)
{
    (void)sched_yield();
}
