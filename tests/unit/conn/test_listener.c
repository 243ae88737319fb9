/* Where the daemon listens, what it finds there, and whether the process at the other end is alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/lingering_close.h"
#include "daemon/conn/listener.h"
#include "daemon/conn/peer.h"
#include "daemon/conn/shares.h"

static struct {
    struct loop loop;
    struct config config;
    struct descriptors descriptors;
    struct connections conns;
    char directory[64], path[80];
    bool peer_died;
    pid_t heir;        /* 0: none */
    int no_peer_pidfd; /* what the kernel says to SO_PEERPIDFD; 0: asks it */
} t;

/* Kernels before 6.5 do not know SO_PEERPIDFD. */
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    if (level == SOL_SOCKET && name == 77 && t.no_peer_pidfd) {
        errno = t.no_peer_pidfd;
        return -1;
    }
    return __real_getsockopt(fd, level, name, value, size);
}

static int on_open(struct service *service, struct conn *c)
{
    (void)service;
    (void)c;
    return 0;
}

static void ignore(struct conn *c)
{
    c->unidentified = false;
}

static const struct conn_handler handler = {.open = on_open, .identify = ignore, .idle = ignore, .has_room = ignore};

static void on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    snprintf(t.directory, sizeof t.directory, "/tmp/mpool-listener-XXXXXX");
    assert_non_null(mkdtemp(t.directory));
    snprintf(t.path, sizeof t.path, "%s/sock", t.directory);
    t.config = (struct config){.socket_path = t.path,
        .socket_mode = 0600,
        .socket_gid = (gid_t)-1,
        .max_message = 4096,
        .max_depth = 16,
        .max_in_flight = 100,
        .max_output_bytes = 64u << 10,
        .max_connections = 10,
        .max_user_share = 100,
        .stall_timeout_ms = 1000};
    t.loop.base = event_base_new();
    t.loop.housekeeping = evtimer_new(t.loop.base, on_housekeeping, NULL);
    loop_tick(&t.loop);
    t.descriptors.limit = RLIM_INFINITY;
    t.conns =
        (struct connections){.loop = &t.loop, .config = &t.config, .handler = &handler, .descriptors = &t.descriptors};
    TAILQ_INIT(&t.conns.all);
    TAILQ_INIT(&t.conns.dirty);
    TAILQ_INIT(&t.conns.blocked);
    t.conns.shares = shares_new(&t.config);
    t.conns.lingering_closes = lingering_closes_new(&t.conns);
    return 0;
}

static int tear_down(void **state)
{
    struct conn *c;
    char command[100];
    (void)state;
    if (t.heir > 0)
        kill(t.heir, SIGKILL);
    while ((c = TAILQ_FIRST(&t.conns.all)))
        conn_free(c);
    lingering_closes_free(t.conns.lingering_closes);
    shares_free(t.conns.shares);
    event_free(t.loop.housekeeping);
    event_base_free(t.loop.base);
    snprintf(command, sizeof command, "rm -rf %s", t.directory);
    return system(command);
}

/* → a connected socket, or -errno. */
static int reach(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* ---- the socket ---- */

static void the_socket_has_its_mode_and_goes_when_it_is_closed(void **state)
{
    struct listener *l;
    struct stat st;
    (void)state;
    t.config.socket_mode = 0666;
    assert_int_equal(listener_new(&l, &t.conns), 0);
    assert_int_equal(stat(t.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    assert_false(listener_is_private(l));
    assert_string_equal(listener_path(l), t.path);
    listener_start(l);
    int fd = reach(t.path);
    assert_true(fd >= 0);
    event_base_loop(t.loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_non_null(TAILQ_FIRST(&t.conns.all));
    close(fd);
    listener_close(l);
    listener_close(l);
    assert_int_equal(stat(t.path, &st), -1);
    listener_free(l);
}

static void the_place_is_the_users_runtime_directory(void **state)
{
    struct listener *l;
    char path[300];
    (void)state;
    t.config.socket_path = NULL;
    setenv("XDG_RUNTIME_DIR", t.directory, 1);
    assert_int_equal(listener_new(&l, &t.conns), 0);
    snprintf(path, sizeof path, "%s/mpoold/mpoold.sock", t.directory);
    assert_string_equal(listener_path(l), path);
    assert_true(listener_is_private(l));
    listener_free(l);
    setenv("XDG_RUNTIME_DIR", "/proc/nowhere", 1);
    assert_true(listener_new(&l, &t.conns) < 0);
    unsetenv("XDG_RUNTIME_DIR");
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct listener *l;
    static char path[200];
    (void)state;
    memset(path, 'x', sizeof path - 1);
    t.config.socket_path = path;
    assert_int_equal(listener_new(&l, &t.conns), -ENAMETOOLONG);
}

static void a_path_where_nothing_can_be_made_is_refused(void **state)
{
    struct listener *l;
    char path[] = "/proc/nowhere/sock";
    (void)state;
    t.config.socket_path = path;
    assert_int_equal(listener_new(&l, &t.conns), -ENOENT);
}

static void another_daemon_keeps_its_socket(void **state)
{
    struct listener *l, *second;
    (void)state;
    assert_int_equal(listener_new(&l, &t.conns), 0);
    assert_int_equal(listener_new(&second, &t.conns), -EADDRINUSE);
    int fd = reach(t.path);
    assert_true(fd >= 0);
    close(fd);
    listener_free(l);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct listener *l;
    struct stat st;
    (void)state;
    close(open(t.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(listener_new(&l, &t.conns), -EEXIST);
    assert_int_equal(stat(t.path, &st), 0);
}

static void another_kind_of_server_keeps_its_socket_and_a_stale_one_is_taken_over(void **state)
{
    struct listener *l;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    memcpy(address.sun_path, t.path, strlen(t.path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(listener_new(&l, &t.conns), -EADDRINUSE);
    close(fd);
    assert_int_equal(listener_new(&l, &t.conns), 0);
    listener_free(l);
}

static void a_group_that_may_not_be_given_is_an_error(void **state)
{
    struct listener *l;
    (void)state;
    t.config.socket_gid = getegid();
    assert_int_equal(listener_new(&l, &t.conns), 0);
    listener_free(l);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    struct listener *l;
    struct rlimit old, none;
    (void)state;
    assert_int_equal(listener_new(&l, &t.conns), 0);
    listener_start(l);
    int fd = reach(t.path);
    assert_true(fd >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    event_base_loop(t.loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_null(TAILQ_FIRST(&t.conns.all));
    event_base_loop(t.loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_null(TAILQ_FIRST(&t.conns.all)); /* it does not even look */
    listener_resume(l);
    event_base_loop(t.loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_non_null(TAILQ_FIRST(&t.conns.all));
    close(fd);
    listener_free(l);
    listener_resume(NULL);
    listener_free(NULL);
}

/* ---- the peer ---- */

static void on_peer_died(struct conn_closer *closer)
{
    (void)closer;
    t.peer_died = true;
}

static void nothing(struct conn_closer *closer)
{
    (void)closer;
}

static const struct conn_closer_ops watch_ops = {.close = nothing, .peer_died = on_peer_died};
static struct conn_closer closer;

/* A connection of a child's, and the child. An heir of it holds the connection open until the test has ended. */
static struct conn *of_child(struct listener *l, pid_t *ret_pid)
{
    int told[2];
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    *ret_pid = fork();
    assert_true(*ret_pid >= 0);
    if (*ret_pid == 0) {
        int fd = reach(listener_path(l));
        pid_t child = fd < 0 ? -1 : fork();
        if (child != 0)
            (void)!write(told[1], &child, sizeof child);
        for (;;)
            pause();
    }
    assert_int_equal(read(told[0], &t.heir, sizeof t.heir), sizeof t.heir);
    assert_true(t.heir > 0);
    close(told[0]);
    close(told[1]);
    event_base_loop(t.loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    struct conn *c = TAILQ_FIRST(&t.conns.all);
    assert_non_null(c);
    assert_int_equal(c->pid, *ret_pid);
    conn_on_close(c, &closer, &watch_ops);
    return c;
}

static void the_death_is_noticed(int kernel)
{
    struct listener *l;
    pid_t pid;
    assert_int_equal(listener_new(&l, &t.conns), 0);
    listener_start(l);
    struct conn *c = of_child(l, &pid);
    t.no_peer_pidfd = kernel;
    assert_int_equal(peer_watch(c), 0);
    assert_int_equal(peer_watch(c), 0);
    assert_false(t.peer_died);
    kill(pid, SIGKILL);
    for (int i = 0; i < 100 && !t.peer_died; i++)
        event_base_loop(t.loop.base, EVLOOP_ONCE);
    assert_true(t.peer_died);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(peer_watch(c), -ESRCH);
    listener_free(l);
}

static void the_death_of_a_peer_is_noticed(void **state)
{
    (void)state;
    the_death_is_noticed(0);
}

static void so_it_is_on_kernels_without_so_peerpidfd(void **state)
{
    (void)state;
    the_death_is_noticed(ENOPROTOOPT);
}

static void a_peer_that_is_gone_or_hidden_is_said_to_be_so(void **state)
{
    struct listener *l;
    pid_t pid;
    (void)state;
    assert_int_equal(listener_new(&l, &t.conns), 0);
    listener_start(l);
    struct conn *c = of_child(l, &pid);
    t.no_peer_pidfd = EIO;
    assert_int_equal(peer_watch(c), -EIO);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    t.no_peer_pidfd = ENOPROTOOPT; /* its pid names nobody, or somebody else */
    assert_int_equal(peer_watch(c), -ESRCH);
    c->peer_is_dead = false;
    t.no_peer_pidfd = EINVAL;
    assert_int_equal(peer_watch(c), -ESRCH);
    c->peer_is_dead = false;
    t.no_peer_pidfd = ENODATA; /* of another pid namespace: only the end of the connection counts */
    assert_int_equal(peer_watch(c), 0);
    assert_false(t.peer_died);
    listener_free(l);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_socket_has_its_mode_and_goes_when_it_is_closed),
        T(the_place_is_the_users_runtime_directory),
        T(a_path_that_is_too_long_is_refused),
        T(a_path_where_nothing_can_be_made_is_refused),
        T(another_daemon_keeps_its_socket),
        T(what_is_no_socket_is_left_alone),
        T(another_kind_of_server_keeps_its_socket_and_a_stale_one_is_taken_over),
        T(a_group_that_may_not_be_given_is_an_error),
        T(without_descriptors_accepting_pauses_and_goes_on),
        T(the_death_of_a_peer_is_noticed),
        T(so_it_is_on_kernels_without_so_peerpidfd),
        T(a_peer_that_is_gone_or_hidden_is_said_to_be_so),
    };
    return cmocka_run_group_tests_name("conn/listener", tests, NULL, NULL);
}
