/* What does a take and a release cost when nobody else wants it, and when others do, beside what glibc has? Prints;
 * judges nothing.
 *
 *     bench-sync [ROUNDS]      each line: name, ns per take and release (or operation)
 *
 * The peers lie in shared memory too and are made for processes (PTHREAD_PROCESS_SHARED; robust is the one that
 * survives its owner, as ours does). "2 processes": both take and release without a pause, the time is per take.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/object.h"

struct shared {
    alignas(4096) uint8_t lock[SYNC_BYTES], rlock[SYNC_BYTES], semaphore[SYNC_BYTES], value[SYNC_BYTES];
    alignas(64) pthread_mutex_t mutex;
    alignas(64) pthread_mutex_t robust;
    alignas(64) sem_t posix;
    alignas(64) _Atomic uint32_t ready;
};

static struct shared *shared;
static mpool_object lock, rlock, semaphore, value;

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void check(int r)
{
    if (r < 0) {
        fprintf(stderr, "bench-sync: %s\n", mpool_strerror(r));
        exit(1);
    }
}

static void take_lock(void)
{
    check(mpool_lock_acquire(&lock, -1, NULL));
    check(mpool_lock_release(&lock));
}

static void take_rlock(void)
{
    check(mpool_rlock_acquire(&rlock, -1, NULL));
    check(mpool_rlock_release(&rlock));
}

static void take_semaphore(void)
{
    check(mpool_semaphore_acquire(&semaphore, -1, NULL));
    check(mpool_semaphore_release(&semaphore));
}

static void take_mutex(void)
{
    check(-pthread_mutex_lock(&shared->mutex));
    check(-pthread_mutex_unlock(&shared->mutex));
}

static void take_robust(void)
{
    check(-pthread_mutex_lock(&shared->robust));
    check(-pthread_mutex_unlock(&shared->robust));
}

static void take_posix(void)
{
    check(sem_wait(&shared->posix) < 0 ? -errno : 0);
    check(sem_post(&shared->posix) < 0 ? -errno : 0);
}

static void add_value(void)
{
    check(mpool_value_add_i64(&value, 1));
}

static const struct {
    const char *name;
    void (*once)(void);
} measures[] = {
    {"mpool lock", take_lock},
    {"mpool rlock", take_rlock},
    {"mpool semaphore of 3", take_semaphore},
    {"pthread mutex", take_mutex},
    {"pthread mutex, robust", take_robust},
    {"sem_t", take_posix},
    {"mpool value add", add_value},
};

static mpool_object object(void *page, enum mpool_kind kind, uint32_t capacity, uint32_t client)
{
    if (client == 1)
        check(sync_page_init(page, kind, &(struct sync_setup){.capacity = capacity, .tokens = capacity}));
    return (mpool_object){
        .sync = {.area = page, .client = client, .capacity = capacity ? capacity : 1},
        .kind = kind,
        .element = MPOOL_ELEMENT_I64,
        .data = (uint8_t *)page + SYNC_CELL_OFFSET,
        .count = 1,
        .born = fork_guard_number(),
    };
}

static void open_all(uint32_t client)
{
    lock = object(shared->lock, MPOOL_KIND_LOCK, 0, client);
    rlock = object(shared->rlock, MPOOL_KIND_RLOCK, 0, client);
    semaphore = object(shared->semaphore, MPOOL_KIND_SEMAPHORE, 3, client);
    value = object(shared->value, MPOOL_KIND_VALUE, 0, client);
}

static void open_peers(void)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    check(-pthread_mutex_init(&shared->mutex, &attributes));
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    check(-pthread_mutex_init(&shared->robust, &attributes));
    pthread_mutexattr_destroy(&attributes);
    check(sem_init(&shared->posix, 1, 1) < 0 ? -errno : 0);
}

/* → ns for one. */
static double measure(void (*once)(void), unsigned long rounds)
{
    double start = now_ns();

    for (unsigned long i = 0; i < rounds; i++)
        once();
    return (now_ns() - start) / (double)rounds;
}

static double measure_contended(void (*once)(void), unsigned long rounds)
{
    atomic_store(&shared->ready, 0);
    pid_t pid = fork();
    check(pid < 0 ? -errno : 0);
    if (pid == 0)
        open_all(2);
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->ready) < 2)
        continue;
    double start = now_ns();
    (void)measure(once, rounds);
    if (pid == 0)
        _exit(0);
    check(waitpid(pid, NULL, 0) < 0 ? -errno : 0);
    return (now_ns() - start) / (double)(2 * rounds);
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000;

    if (rounds == 0) {
        fprintf(stderr, "usage: bench-sync [ROUNDS]\n");
        return 2;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        check(-errno);
    open_all(1);
    open_peers();
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        (void)measure(measures[i].once, rounds / 10 + 1); /* warm */
        printf("%-24s alone        %8.1f ns\n", measures[i].name, measure(measures[i].once, rounds));
        fflush(stdout);
        printf("%-24s 2 processes  %8.1f ns\n", measures[i].name, measure_contended(measures[i].once, rounds / 10 + 1));
        fflush(stdout);
    }
    return 0;
}
