/* What can three processes do at best that pass a task on as mpool's do, but have nothing to do?
 *
 *     floor LAYOUT MODE     LAYOUT: one | apart | free     MODE: parked | spin
 *
 * The hops are mpool's: client → daemon by a Unix stream socket, daemon → worker by a ring in shared memory with a
 * futex, worker → daemon by a ring and an eventfd that is watched edge-triggered and rung only for a daemon that has
 * declared sleep, daemon → client by the socket. Requests have 24 bytes and answers 8, as a no-op's. No MessagePack, no
 * queue, no checks, no clock in the daemon, one worker. `one`: all on one CPU; `apart`: the worker on another;
 * `free`: wherever the kernel wants. `spin`: daemon (while a task is under way) and worker wait awake before they
 * sleep.
 *
 * Verbs: `round`, `flow` (DEPTH tasks in flight), `futex` (a park and a wake, there and back, between two processes).
 */
#include "ask.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS      1024u /* more than the greatest depth */
#define REQUEST    24u
#define ANSWER     8u
#define SPIN_NS    100000u /* about a park and a wake on a virtual machine */
#define DEPTH_MAX  512u
#define AFTER_VAIN 16u /* waits that are slept after one awake in vain */

struct end { /* one writer */
    _Alignas(128) _Atomic uint32_t tail;
    _Alignas(128) _Atomic uint32_t need_wake; /* set by the reader, cleared by either */
    _Alignas(128) char slots[SLOTS][64];
};

struct lane {
    struct end down, up;
    _Alignas(128) _Atomic uint32_t ping, pong; /* of the verb futex */
};

struct floor {
    int socket;
    struct lane *lane;
};

static void park(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Waits awake until the ring has more than `seen`. → whether it has. Two that share a CPU wait for each other in vain:
 * after that some waits are slept through, in which the kernel may move them apart. */
static bool awake(struct end *ring, uint32_t seen)
{
    static unsigned asleep;
    if (asleep > 0) {
        asleep--;
        return false;
    }
    uint64_t until = ask_now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&ring->tail, memory_order_acquire) != seen)
                return true;
            relax();
        }
    } while (ask_now_ns() < until);
    asleep = AFTER_VAIN;
    return false;
}

static _Noreturn void worker(struct lane *lane, int doorbell, bool spin)
{
    uint32_t head = 0;
    for (;;) {
        uint32_t tail = atomic_load_explicit(&lane->down.tail, memory_order_acquire);
        if (tail == head) {
            if (spin && awake(&lane->down, head))
                continue;
            atomic_store(&lane->down.need_wake, 1);
            if (atomic_load(&lane->down.tail) == head)
                park(&lane->down.need_wake, 1);
            atomic_store(&lane->down.need_wake, 0);
            continue;
        }
        for (; head != tail; head++)
            memcpy(lane->up.slots[head % SLOTS], lane->down.slots[head % SLOTS], ANSWER);
        atomic_store(&lane->up.tail, head);
        if (atomic_load(&lane->up.need_wake) && atomic_exchange(&lane->up.need_wake, 0)) {
            uint64_t one = 1;
            if (write(doorbell, &one, sizeof one) < 0)
                ask_fail("doorbell", errno);
        }
    }
}

struct daemon {
    struct lane *lane;
    int socket, loop;
    uint32_t tail, head; /* sent to the worker; had back */
    char in[SLOTS * REQUEST], out[SLOTS * ANSWER];
    size_t have;
};

/* What the client has sent goes to the worker. */
static void take(struct daemon *d)
{
    ssize_t n = recv(d->socket, d->in + d->have, sizeof d->in - d->have, MSG_DONTWAIT);
    if (n == 0)
        _exit(0);
    if (n < 0)
        return;
    d->have += (size_t)n;
    size_t at = 0;
    for (; d->have - at >= REQUEST; at += REQUEST)
        memcpy(d->lane->down.slots[d->tail++ % SLOTS], d->in + at, REQUEST);
    memmove(d->in, d->in + at, d->have -= at);
    atomic_store(&d->lane->down.tail, d->tail);
    if (atomic_load(&d->lane->down.need_wake) && atomic_exchange(&d->lane->down.need_wake, 0))
        wake(&d->lane->down.need_wake);
}

/* What the worker has done goes to the client. → whether there was any. */
static bool give(struct daemon *d)
{
    uint32_t tail = atomic_load_explicit(&d->lane->up.tail, memory_order_acquire);
    size_t length = 0;
    for (; d->head != tail; d->head++, length += ANSWER)
        memcpy(d->out + length, d->lane->up.slots[d->head % SLOTS], ANSWER);
    if (length)
        ask_send(d->socket, d->out, length);
    return length > 0;
}

static _Noreturn void daemon_run(struct lane *lane, int socket, int doorbell, bool spin)
{
    static struct daemon d;
    struct epoll_event client = {.events = EPOLLIN}, bell = {.events = EPOLLIN | EPOLLET, .data.u32 = 1}, events[2];
    d = (struct daemon){.lane = lane, .socket = socket, .loop = epoll_create1(EPOLL_CLOEXEC)};
    if (epoll_ctl(d.loop, EPOLL_CTL_ADD, socket, &client) < 0 || epoll_ctl(d.loop, EPOLL_CTL_ADD, doorbell, &bell) < 0)
        ask_fail("epoll", errno);
    for (;;) {
        bool ready = false;
        if (spin && d.tail != d.head && awake(&lane->up, d.head)) {
            give(&d);
            ready = d.tail != d.head; /* who waits for an answer has nothing to send */
        } else {
            atomic_store(&lane->up.need_wake, 1);
            int n = epoll_wait(d.loop, events, 2, atomic_load(&lane->up.tail) == d.head ? -1 : 0);
            atomic_store(&lane->up.need_wake, 0);
            for (int i = 0; i < n; i++)
                ready |= events[i].data.u32 == 0;
            give(&d);
        }
        if (ready)
            take(&d);
    }
}

static void one(void *self, uint64_t i)
{
    struct floor *f = self;
    char request[REQUEST] = {0};
    uint64_t answer;
    memcpy(request, &i, sizeof i);
    ask_send(f->socket, request, sizeof request);
    ask_receive(f->socket, &answer, sizeof answer);
    if (answer != i)
        ask_fail("a wrong answer", 0);
}

static struct ask_answer run_round(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return ask_each(self, count, one);
}

static struct ask_answer run_flow(void *self, uint64_t count, uint64_t depth)
{
    struct floor *f = self;
    static char out[DEPTH_MAX][REQUEST];
    static uint64_t in[DEPTH_MAX];
    uint64_t sent = 0, done = 0, start = ask_now_ns();
    size_t part = 0; /* bytes of an answer that has not come whole */
    if (depth == 0 || depth > DEPTH_MAX)
        ask_fail("depth", ERANGE);
    while (done < count) {
        size_t batch = 0;
        for (; sent < count && sent - done < depth; sent++)
            memcpy(out[batch++], &sent, sizeof sent);
        if (batch)
            ask_send(f->socket, out, batch * REQUEST);
        ssize_t n = recv(f->socket, (char *)in + part, sizeof in - part, 0);
        if (n <= 0)
            ask_fail("receive", n < 0 ? errno : ECONNRESET);
        part += (size_t)n;
        for (size_t i = 0; i < part / ANSWER; i++) {
            if (in[i] != done++)
                ask_fail("a wrong answer", 0);
        }
        memmove(in, (char *)in + part / ANSWER * ANSWER, part % ANSWER);
        part %= ANSWER;
    }
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

static void ping(void *self, uint64_t i)
{
    struct floor *f = self;
    uint32_t turn = (uint32_t)i + 1;
    atomic_store(&f->lane->ping, turn);
    wake(&f->lane->ping);
    while (atomic_load(&f->lane->pong) != turn)
        park(&f->lane->pong, turn - 1);
}

static struct ask_answer run_futex(void *self, uint64_t count, uint64_t depth)
{
    struct floor *f = self;
    (void)depth;
    atomic_store(&f->lane->ping, 0);
    atomic_store(&f->lane->pong, 0);
    if (ask_fork() == 0) {
        for (uint32_t turn = 0; turn < count; turn++) {
            while (atomic_load(&f->lane->ping) == turn)
                park(&f->lane->ping, turn);
            atomic_store(&f->lane->pong, turn + 1);
            wake(&f->lane->pong);
        }
        _exit(0);
    }
    return ask_each(self, count, ping);
}

int main(int argc, char **argv)
{
    static const struct ask_verb verbs[] = {{"round", run_round}, {"flow", run_flow}, {"futex", run_futex}, {0}};
    if (argc != 3)
        ask_fail("floor one|apart|free parked|spin", 0);
    bool spin = strcmp(argv[2], "spin") == 0;
    struct floor f = {0};
    bool pinned = strcmp(argv[1], "free") != 0;
    int cpu = pinned ? 0 : -1, workers_cpu = strcmp(argv[1], "apart") == 0 ? 1 : cpu;
    f.lane = mmap(NULL, sizeof *f.lane, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    int pair[2], doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f.lane == MAP_FAILED || doorbell < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        ask_fail("set-up", errno);
    if (ask_fork() == 0) {
        ask_pin(workers_cpu);
        worker(f.lane, doorbell, spin);
    }
    if (ask_fork() == 0) {
        close(pair[0]);
        ask_pin(cpu);
        daemon_run(f.lane, pair[1], doorbell, spin);
    }
    close(pair[1]);
    f.socket = pair[0];
    ask_pin(cpu);
    ask_serve(&f, verbs);
    return 0;
}
