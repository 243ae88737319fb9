/* How fast is a lane, each end on a CPU of its own? Not a test: prints figures.
 *
 * Two processes, 64 bytes each way. The worker either sleeps on the futex whenever it is idle or never (it looks
 * without end), and so does the supervisor. depth: tasks in the lane at once. */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/lane/lane.h"
#include "daemon/lane/worker_lane.h"

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void pin(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        die("sched_setaffinity");
}

static _Noreturn void work(struct lane *lane, struct sleep_word *sleep_word, int bell, bool spin)
{
    struct worker_lane *worker;
    struct worker_job job;
    size_t room;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(1);
    if (worker_lane_open(&worker, lane_fd_s(lane), lane_fd_w(lane), sleep_word_fd(sleep_word), bell) < 0)
        exit(1);
    for (;;) {
        if (worker_lane_next(worker, &job, spin ? 0 : -1) != 1)
            continue;
        memcpy(worker_lane_result_space(worker, &room), job.args, job.args_length);
        worker_lane_finish(worker, &(struct worker_outcome){.size = job.args_length});
    }
}

static void measure(uint32_t depth, size_t size, bool spin, uint64_t tasks)
{
    struct lane *lane;
    struct sleep_word *sleep_word;
    int bells[2], n;
    static char bytes[65536];
    struct iovec args = {bytes, size};
    struct lane_job job = {.max_result = sizeof(bytes)};
    uint64_t placed = 0, collected = 0, sleeps = 0;

    if (lane_new(&lane, 1) < 0 || sleep_word_new(&sleep_word) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, bells) < 0)
        die("setup");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        work(lane, sleep_word, bells[1], spin);

    uint64_t start = clock_now_ns();
    while (collected < tasks) {
        struct lane_result result;
        uint32_t position;
        uint64_t before = collected;

        while (placed < tasks && lane_outstanding(lane) < depth && !lane_place(lane, &job, &args, 1, &position))
            placed++;
        lane_post(lane);
        while ((n = lane_collect(lane, &result)) == 1) {
            memcpy(bytes, result.data, result.size);
            lane_release(lane);
            collected++;
        }
        if (n < 0)
            die("lane_collect");
        if (collected != before || spin)
            continue;
        sleeps++;
        sleep_word_declare(sleep_word);
        if (lane_collect(lane, &result) == 0) {
            struct pollfd p = {.fd = bells[0], .events = POLLIN};
            char message[64];
            poll(&p, 1, 10000);
            while (recv(bells[0], message, sizeof(message), MSG_DONTWAIT) > 0)
                continue;
        }
        sleep_word_clear(sleep_word);
    }
    double ns = (double)(clock_now_ns() - start);
    printf("depth %2u, %5zu bytes, %-8s %10.0f tasks/s, %8.0f ns a task, %llu sleeps\n", depth, size,
        spin ? "spinning" : "sleeping", (double)tasks * 1e9 / ns, ns / (double)tasks, (unsigned long long)sleeps);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(bells[0]);
    close(bells[1]);
    lane_free(lane);
    sleep_word_free(sleep_word);
}

int main(void)
{
    static const uint32_t depths[] = {1, 2, 4, 16, LANE_SLOTS};

    setvbuf(stdout, NULL, _IOLBF, 0);
    pin(0);
    for (unsigned spin = 0; spin < 2; spin++)
        for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++)
            measure(depths[i], 64, spin, depths[i] == 1 && !spin ? 20000 : spin ? 3000000 : 1000000);
    for (unsigned spin = 0; spin < 2; spin++)
        measure(LANE_SLOTS, 32768, spin, 50000);

    uint64_t start = clock_now_ns();
    enum { LANES = 200 };
    for (unsigned i = 0; i < LANES; i++) {
        struct lane *lane;
        if (lane_new(&lane, i) < 0)
            die("lane_new");
        lane_free(lane);
    }
    printf("a lane made and freed: %.0f us\n", (double)(clock_now_ns() - start) / 1000 / LANES);
    return 0;
}
