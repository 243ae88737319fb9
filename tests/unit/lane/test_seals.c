/* Can a worker change what the lane's files are: their size, their holes, S's bytes? It holds both descriptors. */
#include "tests/unit/lane/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/lane/shm.h"

static int setup(void **state)
{
    static struct ends ends;

    ends_open(&ends, false);
    *state = &ends;
    return 0;
}

static int teardown(void **state)
{
    ends_close(*state);
    return 0;
}

static void assert_size_is_fixed(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, st.st_size - 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, st.st_size + 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fallocate(fd, 0, st.st_size, 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(st.st_blocks * 512 >= st.st_size, 1); /* allocated, all of it */
}

static void assert_not_writable(int fd)
{
    struct stat st;
    char path[64];

    assert_int_equal(fstat(fd, &st), 0);
    assert_ptr_equal(mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(errno, EPERM);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    assert_int_equal(errno, EPERM);
    void *view = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(view, MAP_FAILED);
    assert_int_equal(mprotect(view, (size_t)st.st_size, PROT_READ | PROT_WRITE), -1);
    munmap(view, (size_t)st.st_size);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    if (again >= 0) {
        assert_ptr_equal(mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
        assert_int_equal(pwrite(again, "x", 1, 0), -1);
        close(again);
    }
}

static void size_of_every_file_is_fixed_and_allocated(void **state)
{
    struct ends *ends = *state;

    assert_size_is_fixed(lane_fd_s(ends->lane));
    assert_size_is_fixed(lane_fd_w(ends->lane));
    assert_size_is_fixed(sleep_word_fd(ends->sleep_word));
}

static void supervisors_memory_cannot_be_written_by_any_other_way(void **state)
{
    struct ends *ends = *state;

    assert_not_writable(lane_fd_s(ends->lane));
    assert_not_writable(sleep_word_fd(ends->sleep_word));
    /* And the supervisor itself still can. */
    ends_place(ends, 1, "x", 1);
    lane_post(ends->lane);
    sleep_word_declare(ends->sleep_word);
}

/* W may be punched: the hole reads as zeroes, which no honest worker leaves there. */
static void hole_in_the_workers_memory_is_a_violation_and_no_fault(void **state)
{
    struct ends *ends = *state;
    struct lane_result result;
    struct stat st;

    ends_place(ends, 1, "x", 1);
    lane_post(ends->lane);
    ends_work(ends, "y", 1);
    assert_int_equal(fstat(lane_fd_w(ends->lane), &st), 0);
    assert_int_equal(fallocate(lane_fd_w(ends->lane), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size), 0);
    assert_int_equal(lane_collect(ends->lane, &result), -EBADMSG);
}

/* → the signal that ended the child. */
static int write_in_child(volatile uint8_t *at)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL); /* the sanitizers' handlers would exit instead */
        *at = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void worker_that_writes_to_s_faults(void **state)
{
    struct ends *ends = *state;
    struct shm_map map;

    assert_int_equal(shm_map_lane(&map, lane_fd_s(ends->lane), sizeof(struct layout_s_head), false), 0);
    assert_int_equal(write_in_child(map.ring), SIGSEGV);
    assert_int_equal(write_in_child(map.head), SIGSEGV);
    shm_unmap(&map);
    assert_int_equal(shm_map_lane(&map, lane_fd_s(ends->lane), sizeof(struct layout_s_head), true), -EPERM);
}

static void file_of_another_size_is_not_mapped(void **state)
{
    struct ends *ends = *state, other = {.lane = ends->lane, .sleep_word = ends->sleep_word, .bells = {-1, -1}};
    int small;

    assert_int_equal(shm_create(&small, "test", 4096), 0);
    assert_int_equal(
        worker_lane_open(&other.worker, small, lane_fd_w(ends->lane), sleep_word_fd(ends->sleep_word), -1), -EINVAL);
    assert_int_equal(
        worker_lane_open(&other.worker, lane_fd_s(ends->lane), small, sleep_word_fd(ends->sleep_word), -1), -EINVAL);
    assert_int_equal(worker_lane_open(&other.worker, lane_fd_s(ends->lane), lane_fd_w(ends->lane), small, -1), -EINVAL);
    assert_null(other.worker);
    close(small);
}

static void descriptors_are_closed_on_exec_and_not_needed_any_more(void **state)
{
    struct ends *ends = *state;

    assert_int_equal(fcntl(lane_fd_s(ends->lane), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(lane_fd_w(ends->lane), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(sleep_word_fd(ends->sleep_word), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    lane_close_fds(ends->lane);
    assert_int_equal(lane_fd_s(ends->lane), -1);
    assert_int_equal(lane_fd_w(ends->lane), -1);
    ends_place(ends, 5, "x", 1);
    lane_post(ends->lane);
    ends_work(ends, "y", 1);
    assert_int_equal(ends_collect(ends).task_id, 5);
}

/* Each of the descriptors and mappings in turn cannot be had: an error, and nothing left open. */
static void shortage_of_descriptors_is_an_error(void **state)
{
    struct rlimit saved, tight;
    struct lane *lane = NULL;
    struct sleep_word *sleep_word = NULL;
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(first >= 0);
    close(first);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
    for (rlim_t more = 0; more < 2; more++) {
        tight = (struct rlimit){.rlim_cur = (rlim_t)first + more, .rlim_max = saved.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        int lane_error = lane_new(&lane, 1), sleep_word_error = more ? -EMFILE : sleep_word_new(&sleep_word);
        int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
        assert_int_equal(lane_error, -EMFILE);
        assert_int_equal(sleep_word_error, -EMFILE);
        assert_int_equal(next, more ? first : -1);
        if (next >= 0)
            close(next);
    }
    assert_null(lane);
    assert_null(sleep_word);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(size_of_every_file_is_fixed_and_allocated),
        TEST(supervisors_memory_cannot_be_written_by_any_other_way),
        TEST(hole_in_the_workers_memory_is_a_violation_and_no_fault),
        TEST(worker_that_writes_to_s_faults),
        TEST(file_of_another_size_is_not_mapped),
        TEST(descriptors_are_closed_on_exec_and_not_needed_any_more),
        TEST(shortage_of_descriptors_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
