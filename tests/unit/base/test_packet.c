/* Packets with descriptors, and memfds: nothing is leaked, and what does not fit is said. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/memfd_fill.h"
#include "daemon/base/packet.h"

/* How many descriptors are open, by the lowest free one: these tests open them in order. */
static int lowest_free(void)
{
    int fd = dup(STDIN_FILENO);
    close(fd);
    return fd;
}

static int before;

static int remember(void **state)
{
    (void)state;
    before = lowest_free();
    return 0;
}

static int compare(void **state)
{
    (void)state;
    return lowest_free() == before ? 0 : -1;
}

static ssize_t send_fds(int socket, const char *text, size_t count)
{
    int fds[PACKET_FDS_MAX + 1];
    for (size_t i = 0; i < count; i++)
        fds[i] = STDIN_FILENO;
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    return packet_send(socket, &part, 1, fds, count);
}

static void descriptors_come_with_their_packet(void **state)
{
    int pair[2], fds[PACKET_FDS_MAX];
    size_t count = PACKET_FDS_MAX;
    char buffer[16];
    bool lost;
    (void)state;
    assert_int_equal(packet_pair(SOCK_NONBLOCK, pair), 0);
    assert_int_equal(send_fds(pair[0], "abc", PACKET_FDS_MAX), 3);
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, fds, &count, &lost), 3);
    assert_int_equal(count, PACKET_FDS_MAX);
    assert_false(lost);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fds[i]);
    }
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, fds, &count, NULL), -EAGAIN);
    close(pair[0]);
    close(pair[1]);
}

static void more_than_a_packet_can_carry_are_not_sent(void **state)
{
    int pair[2], fd;
    size_t count = 1;
    char buffer[16];
    (void)state;
    assert_int_equal(packet_pair(SOCK_NONBLOCK, pair), 0);
    assert_int_equal(send_fds(pair[0], "abc", PACKET_FDS_MAX + 1), -EINVAL);
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, &fd, &count, NULL), -EAGAIN);
    close(pair[0]);
    close(pair[1]);
}

static void more_than_the_receiver_has_room_for_are_closed_and_told(void **state)
{
    int pair[2], fds[PACKET_FDS_MAX];
    char buffer[16];
    bool lost;
    (void)state;
    assert_int_equal(packet_pair(SOCK_NONBLOCK, pair), 0);
    for (size_t room = 0; room < 6; room++) {
        size_t count = room;
        assert_int_equal(send_fds(pair[0], "abc", 6), 3);
        assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, fds, &count, &lost), 3);
        assert_int_equal(count, room);
        assert_true(lost);
        while (count > 0)
            close(fds[--count]);
    }
    close(pair[0]);
    close(pair[1]);
}

static void a_packet_that_is_too_long_is_refused_with_its_descriptors(void **state)
{
    int pair[2], fds[PACKET_FDS_MAX];
    size_t count = PACKET_FDS_MAX;
    char buffer[2];
    (void)state;
    assert_int_equal(packet_pair(SOCK_NONBLOCK, pair), 0);
    assert_int_equal(send_fds(pair[0], "abc", 3), 3);
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, fds, &count, NULL), -EMSGSIZE);
    close(pair[0]);
    close(pair[1]);
}

static void other_ancillary_data_is_passed_over(void **state)
{
    int pair[2], fds[PACKET_FDS_MAX], on = 1;
    size_t count = PACKET_FDS_MAX;
    char buffer[16];
    (void)state;
    assert_int_equal(packet_pair(SOCK_NONBLOCK, pair), 0);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    assert_int_equal(send_fds(pair[0], "abc", 1), 3);
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, fds, &count, NULL), 3);
    assert_int_equal(count, 1);
    close(fds[0]);
    close(pair[0]);
    close(pair[1]);
}

static void what_was_sent_before_a_reset_still_comes(void **state)
{
    int pair[2], fd;
    size_t count = 1;
    char buffer[16];
    (void)state;
    assert_int_equal(packet_pair(SOCK_NONBLOCK, pair), 0);
    assert_int_equal(send_fds(pair[0], "last", 0), 4);
    assert_int_equal(send_fds(pair[1], "never read", 0), 10);
    close(pair[0]);
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, &fd, &count, NULL), 4);
    count = 1;
    assert_int_equal(packet_receive(pair[1], buffer, sizeof buffer, &fd, &count, NULL), 0);
    assert_int_equal(send_fds(pair[1], "to nobody", 0), -EPIPE);
    close(pair[1]);
}

static void only_a_sealed_memfd_of_the_right_size_is_taken(void **state)
{
    uint8_t back[8];
    (void)state;
    int fd = memfd_of_bytes("test", "12345", 5);
    assert_true(fd >= 0);
    assert_int_equal(memfd_check(fd, 5), 0);
    assert_int_equal(memfd_check(fd, 6), -EMSGSIZE);
    assert_true(memfd_read(fd, back, 5));
    assert_memory_equal(back, "12345", 5);
    assert_false(memfd_read(fd, back, 6));
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    close(fd);
    fd = memfd_new("open");
    assert_int_equal(memfd_check(fd, 0), -EPERM);
    close(fd);
    assert_int_equal(memfd_check(STDIN_FILENO, 0), -EINVAL);
    assert_int_equal(fd_set_nonblock(-1), -EBADF);
}

/* The kernel would kill the process instead. */
static void a_memfd_beyond_the_file_limit_is_an_error(void **state)
{
    struct rlimit old, small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    struct memfd_fill m;
    char block[3000] = "";
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(memfd_fill_begin(&m, "test"), 0);
    int first = memfd_fill_add(&m, block, sizeof block), second = memfd_fill_add(&m, block, sizeof block);
    int whole = memfd_of_bytes("test", block, 0), too_large;
    char large[5000] = "";
    too_large = memfd_of_bytes("test", large, sizeof large);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(first, 0);
    assert_int_equal(second, -EFBIG);
    assert_false(memfd_fill_is_on(&m));
    assert_true(whole >= 0);
    assert_int_equal(too_large, -EFBIG);
    close(whole);
}

static void without_free_descriptors_there_is_none(void **state)
{
    struct rlimit old, small;
    struct memfd_fill m;
    int pair[2];
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    small = (struct rlimit){.rlim_cur = (rlim_t)lowest_free(), .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    int filled = memfd_fill_begin(&m, "test"), whole = memfd_of_bytes("test", "1", 1), socket = packet_pair(0, pair);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(filled, -EMFILE);
    assert_int_equal(whole, -EMFILE);
    assert_int_equal(socket, -EMFILE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, remember, compare)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(descriptors_come_with_their_packet),
        T(more_than_a_packet_can_carry_are_not_sent),
        T(more_than_the_receiver_has_room_for_are_closed_and_told),
        T(a_packet_that_is_too_long_is_refused_with_its_descriptors),
        T(other_ancillary_data_is_passed_over),
        T(what_was_sent_before_a_reset_still_comes),
        T(only_a_sealed_memfd_of_the_right_size_is_taken),
        T(a_memfd_beyond_the_file_limit_is_an_error),
        T(without_free_descriptors_there_is_none),
    };
    return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
