/* See support.h. */
#include "tests/unit/lane/support.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/lane/control_protocol.h"

void ends_open_supervisor(struct ends *ends)
{
    *ends = (struct ends){.bells = {-1, -1}};
    assert_int_equal(sleep_word_new(&ends->sleep_word), 0);
    assert_int_equal(lane_new(&ends->lane, TEST_GENERATION), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->bells), 0);
}

int ends_open_worker(struct ends *ends)
{
    return worker_lane_open(
        &ends->worker, lane_fd_s(ends->lane), lane_fd_w(ends->lane), sleep_word_fd(ends->sleep_word), ends->bells[1]);
}

void ends_open(struct ends *ends, bool shared)
{
    ends_open_supervisor(ends);
    if (shared)
        assert_int_equal(worker_lane_attach(&ends->worker, lane_map_s(ends->lane), lane_map_w(ends->lane),
                             sleep_word_page(ends->sleep_word), ends->bells[1]),
            0);
    else
        assert_int_equal(ends_open_worker(ends), 0);
}

void ends_close(struct ends *ends)
{
    worker_lane_close(ends->worker);
    lane_free(ends->lane);
    sleep_word_free(ends->sleep_word);
    fd_close(&ends->bells[0]);
    fd_close(&ends->bells[1]);
}

struct layout_w_head *ends_w(const struct ends *ends)
{
    return lane_map_w(ends->lane)->head;
}

struct layout_result *ends_slot(const struct ends *ends, uint32_t position)
{
    return &ends_w(ends)->slots[layout_slot(position)];
}

struct lane_job test_job(uint64_t task_id)
{
    return (struct lane_job){.task_id = task_id, .attempt = 1, .max_result = LANE_BLOCK_MAX};
}

uint32_t ends_place(struct ends *ends, uint64_t task_id, const void *args, size_t length)
{
    struct lane_job job = test_job(task_id);
    struct iovec piece = {.iov_base = (void *)(uintptr_t)args, .iov_len = length};
    uint32_t position = 0;

    assert_int_equal(lane_place(ends->lane, &job, &piece, 1, &position), 0);
    return position;
}

uint32_t ends_claim(struct ends *ends)
{
    struct worker_job job;

    assert_int_equal(worker_lane_next(ends->worker, &job, 0), 1);
    return job.position;
}

bool ends_finish(struct ends *ends, const void *result, size_t length)
{
    struct worker_outcome outcome = {.outcome = LANE_OUTCOME_OK, .size = length};
    size_t room;

    if (length) {
        uint8_t *space = worker_lane_result_space(ends->worker, &room);
        assert_true(room >= length);
        memcpy(space, result, length);
    }
    return worker_lane_finish(ends->worker, &outcome);
}

uint32_t ends_work(struct ends *ends, const void *result, size_t length)
{
    uint32_t position = ends_claim(ends);

    assert_true(ends_finish(ends, result, length));
    return position;
}

struct lane_result ends_collect(struct ends *ends)
{
    struct lane_result result;

    assert_int_equal(lane_collect(ends->lane, &result), 1);
    return result;
}

unsigned ends_bells(struct ends *ends)
{
    struct control_head head;
    unsigned bells = 0;

    while (recv(ends->bells[0], &head, sizeof(head), MSG_DONTWAIT) == (ssize_t)sizeof(head)) {
        assert_int_equal(head.type, CONTROL_DOORBELL);
        assert_int_equal(head.size, 0);
        bells++;
    }
    return bells;
}

bool ends_sleep(struct ends *ends, int other)
{
    struct pollfd fds[2] = {{.fd = ends->bells[0], .events = POLLIN}, {.fd = other, .events = POLLIN}};
    struct lane_result result;
    bool ok = true;

    sleep_word_declare(ends->sleep_word);
    if (lane_collect(ends->lane, &result) == 0) {
        int n;
        do
            n = poll(fds, 2, 20000);
        while (n < 0 && errno == EINTR);
        ok = n > 0;
    }
    sleep_word_clear(ends->sleep_word);
    (void)ends_bells(ends);
    return ok;
}

void pattern_fill(uint8_t *to, size_t length, uint64_t task_id)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)(task_id * 31 + length * 7 + i);
}

bool pattern_check(const uint8_t *data, size_t length, uint64_t task_id)
{
    for (size_t i = 0; i < length; i++)
        if (data[i] != (uint8_t)(task_id * 31 + length * 7 + i))
            return false;
    return true;
}

uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}
