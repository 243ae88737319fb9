#include "daemon/lane/spin.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/base/clock.h"
#include "daemon/lane/futex.h"

#define ROUNDS       12
#define DOZE_NS      250000  /* after this time an idle CPU has halted; a guest polls for up to 200 µs before */
#define PATIENCE_NS  1000000 /* a wake that takes this long waits for a busy CPU: the sample is useless */
#define PARK_MOST_MS 20      /* a lost wake must not delay the start */
#define STOP         UINT32_MAX

struct pair {
    _Atomic uint32_t word;  /* the futex: the number of the wake, or STOP */
    _Atomic uint32_t round; /* the wake that was answered last */
    _Atomic uint64_t woken_ns;
};

static void *sleeper(void *arg)
{
    struct pair *p = arg;
    uint32_t seen = 0;
    for (;;) {
        uint32_t word = atomic_load_explicit(&p->word, memory_order_seq_cst);
        if (word == STOP)
            return NULL;
        if (word == seen) {
            struct futex_time deadline = futex_deadline(PARK_MOST_MS);
            (void)futex_wait(&p->word, seen, &deadline);
            continue;
        }
        seen = word;
        atomic_store_explicit(&p->woken_ns, clock_now_ns(), memory_order_relaxed);
        atomic_store_explicit(&p->round, seen, memory_order_release);
    }
}

static void wake(struct pair *p, uint32_t word)
{
    atomic_store_explicit(&p->word, word, memory_order_seq_cst);
    futex_wake(&p->word);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The sleeper gets a CPU of its own: woken on the waker's CPU it would cost a fifth. */
static bool pin_elsewhere(pthread_t thread, const cpu_set_t *all)
{
    cpu_set_t one;
    int here = sched_getcpu(), there = -1;
    CPU_ZERO(&one);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, all) && (int)cpu != here)
            there = (int)cpu;
    if (there < 0)
        return false;
    CPU_SET((unsigned)there, &one);
    return pthread_setaffinity_np(thread, sizeof one, &one) == 0;
}

/* → false: it did not respond in time. */
static bool measure_once(struct pair *p, uint32_t round, uint64_t *ret_ns)
{
    struct timespec doze = {.tv_nsec = DOZE_NS};
    nanosleep(&doze, NULL);
    uint64_t start = clock_now_ns();
    wake(p, round);
    while (atomic_load_explicit(&p->round, memory_order_acquire) != round) {
        if (clock_now_ns() - start > PATIENCE_NS)
            return false;
        spin_pause();
    }
    uint64_t woken = atomic_load_explicit(&p->woken_ns, memory_order_relaxed);
    *ret_ns = woken > start ? woken - start : 0;
    return true;
}

uint32_t spin_measure_ns(void)
{
    struct pair p = {0};
    uint64_t took[ROUNDS];
    uint32_t n = 0;
    cpu_set_t all;
    pthread_t thread;
    /* More CPUs than the set has room for, or only one. */
    if (sched_getaffinity(0, sizeof all, &all) < 0 || CPU_COUNT(&all) < 2 ||
        pthread_create(&thread, NULL, sleeper, &p) != 0)
        return 0;
    if (pin_elsewhere(thread, &all))
        for (uint32_t round = 1; round <= ROUNDS && measure_once(&p, round, &took[n]); round++)
            n++;
    /* Lets it run anywhere, so that it ends soon. */
    (void)pthread_setaffinity_np(thread, sizeof all, &all);
    wake(&p, STOP);
    pthread_join(thread, NULL);
    if (n < ROUNDS / 2)
        return SPIN_USUAL_NS;
    qsort(took, n, sizeof took[0], by_size);
    uint64_t cost = took[n / 2];
    if (cost < SPIN_LEAST_NS)
        return SPIN_LEAST_NS;
    return cost > SPIN_MOST_NS ? SPIN_MOST_NS : (uint32_t)cost;
}
