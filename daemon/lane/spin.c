#include "daemon/lane/spin.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/lane/futex.h"

#define ROUNDS       15
#define DOZE_NS      60000 /* after which a CPU with nothing to do has halted */
#define PARK_MOST_MS 20    /* a lost wake must not hold up the start */

struct pair {
    _Atomic uint32_t word; /* 0: asleep or about to be, else the number of the wake */
    _Atomic uint32_t round;
    _Atomic uint64_t woken_ns;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *sleeper(void *arg)
{
    struct pair *p = arg;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        while (atomic_load_explicit(&p->word, memory_order_seq_cst) != round) {
            struct futex_time deadline = futex_deadline(PARK_MOST_MS);
            (void)futex_wait(&p->word, round - 1, &deadline);
        }
        atomic_store_explicit(&p->woken_ns, now_ns(), memory_order_relaxed);
        atomic_store_explicit(&p->round, round, memory_order_release);
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The sleeper gets a CPU of its own: woken on the waker's CPU it would cost a fifth. */
static int start_elsewhere(pthread_t *ret, struct pair *p)
{
    cpu_set_t all, one;
    int here = sched_getcpu(), there = -1;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all) == 0)
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &all) && (int)cpu != here)
                there = (int)cpu;
    if (there < 0)
        return -1; /* or more CPUs than the set has room for */
    CPU_SET((unsigned)there, &one);
    if (pthread_create(ret, NULL, sleeper, p) != 0)
        return -1;
    (void)pthread_setaffinity_np(*ret, sizeof one, &one);
    return 0;
}

uint32_t spin_measure_ns(void)
{
    struct pair p = {0};
    uint64_t took[ROUNDS];
    pthread_t thread;
    if (start_elsewhere(&thread, &p) < 0)
        return 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct timespec doze = {.tv_nsec = DOZE_NS};
        nanosleep(&doze, NULL);
        uint64_t start = now_ns();
        atomic_store_explicit(&p.word, round, memory_order_seq_cst);
        futex_wake(&p.word);
        while (atomic_load_explicit(&p.round, memory_order_acquire) != round)
            spin_pause();
        uint64_t woken = atomic_load_explicit(&p.woken_ns, memory_order_relaxed);
        took[round - 1] = woken > start ? woken - start : 0;
    }
    pthread_join(thread, NULL);
    qsort(took, ROUNDS, sizeof took[0], by_size);
    uint64_t median = took[ROUNDS / 2];
    if (median < SPIN_LEAST_NS)
        return SPIN_LEAST_NS;
    return median > SPIN_MOST_NS ? SPIN_MOST_NS : (uint32_t)median;
}
