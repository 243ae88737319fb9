/* How long is it worth spinning before sleeping?
 *
 * About as long as a park and a wake cost together: spinning that long and then sleeping costs at most twice the best
 * choice (the ski rental argument; Karlin et al., "Empirical Studies of Competitive Spinning for a Shared-Memory
 * Multiprocessor", 1991). The cost is measured, as it differs from 4 µs to 100 µs between machines with and without a
 * hypervisor, and half the right budget is worse than none.
 */
#pragma once

#include <sched.h>
#include <stdint.h>

#define SPIN_LEAST_NS 2000u
#define SPIN_USUAL_NS 20000u /* used where it cannot be measured because the machine is busy */
#define SPIN_MOST_NS  50000u
#define SPIN_VAIN_MAX 8u
#define SPIN_PAUSES   32u /* between two looks at the clock: about a microsecond */

/* If sched_yield() takes this long, another process needs this CPU. Spinning only delays it, and gets the CPU back
 * later than sleeping would. Then spinning is suspended for a while. */
#define SPIN_CROWDED_NS      100000u
#define SPIN_CROWDED_REST_NS 50000000u

/* Measures, in a few milliseconds, on a thread that it makes and joins: wakes a thread that sleeps on a futex on
 * another CPU. → nanoseconds from SPIN_LEAST_NS to SPIN_MOST_NS; 0: there is only one CPU, or no thread could be made.
 * Call it before there are other threads or signals to consider. */
uint32_t spin_measure_ns(void);

/* Tells the CPU that this is a spin loop. */
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

/* Also yields the CPU: the process we are waiting for may be queued on it. Takes some hundred nanoseconds. */
static inline void spin_yield(void)
{
    (void)sched_yield();
}
