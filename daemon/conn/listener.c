#include "daemon/conn/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/conn/conn.h"

#define ACCEPT_BUDGET 64 /* connections accepted in one pass */

struct listener {
    struct connections *connections;
    struct event *on_connect, *try_again;
    int fd, lock;
    bool locked;
    bool adopted; /* systemd's: we must not remove the file */
    bool private; /* only its owner, which is our user, and root can connect */
    bool paused, closed;
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
};

/* ---- the path ---- */

/* --socket, or the configuration; else where clients look: the user's runtime directory, or /run for root. */
static int choose_path(struct listener *l, const struct config *config)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX], directory[PATH_MAX];
    int n;
    if (config->socket_path)
        n = snprintf(path, sizeof path, "%s", config->socket_path);
    else if (runtime && runtime[0] == '/')
        n = snprintf(path, sizeof path, "%s/mpoold/mpoold.sock", runtime);
    else if (geteuid() == 0)
        n = snprintf(path, sizeof path, "/run/mpoold/mpoold.sock");
    else {
        log_error("no place for the socket: XDG_RUNTIME_DIR is not set; give one with --socket PATH");
        return -EINVAL;
    }
    if (n < 0 || (size_t)n >= sizeof l->path - 1) {
        log_error("socket path too long: %s has %d bytes, at most %zu are possible", path, n, sizeof l->path - 2);
        return -ENAMETOOLONG;
    }
    memcpy(l->path, path, (size_t)n + 1);
    if (config->socket_path)
        return 0;
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (mkdir(directory, 0755) < 0 && errno != EEXIST) {
        log_error("cannot make %s: %s; give another place with --socket PATH", directory, strerror(errno));
        return -errno;
    }
    return 0;
}

/* For a process that finds the lock taken. */
static void write_pid(int fd)
{
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        log_debug("the lock beside the socket does not say who has it: %s", strerror(errno));
}

/* → the pid stored there, or 0. */
static int read_pid(int fd)
{
    char text[16] = "";
    return pread(fd, text, sizeof text - 1, 0) > 0 ? atoi(text) : 0;
}

/* The holder of the lock beside the socket is its daemon. The lock is released when the process dies, so a stale socket
 * has no holder: there is no race between checking for staleness and taking over, even if several daemons start at
 * once. */
static int take_lock(struct listener *l)
{
    char path[sizeof l->path + 8];
    snprintf(path, sizeof path, "%s.lock", l->path);
    while (!l->locked) {
        struct stat ours, there;
        fd_close(&l->lock);
        l->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (l->lock < 0) {
            int error = errno;
            log_error("cannot open %s: %s", path, strerror(error));
            return -error;
        }
        if (flock(l->lock, LOCK_EX | LOCK_NB) < 0) {
            int pid = read_pid(l->lock);
            char who[24] = "";
            if (pid > 0)
                snprintf(who, sizeof who, " (pid %d)", pid);
            log_error(
                "another mpoold%s serves %s; stop it first, or give another place with --socket PATH", who, l->path);
            return -EADDRINUSE;
        }
        /* The previous holder may have removed the file between our open and our lock: then it locks nobody out. */
        l->locked = fstat(l->lock, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
                    ours.st_dev == there.st_dev;
    }
    write_pid(l->lock);
    return 0;
}

/* Gives the socket its group and mode. Anybody who can write to the directory could put something else in its place, so
 * the path is looked up once, links are not followed, and it must be a socket owned by us. */
static int open_to(const char *path, const struct config *config)
{
    char self[64];
    struct stat st;
    _cleanup_(fd_close) int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return -EBUSY;
    if (config->socket_gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, config->socket_gid, AT_EMPTY_PATH) < 0)
        return -errno;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* fchmod(2) does not accept an O_PATH descriptor */
    return chmod(self, config->socket_mode) < 0 ? -errno : 0;
}

static int make_socket(struct listener *l, const struct config *config)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    memcpy(address.sun_path, l->path, strlen(l->path) + 1);
    if (lstat(l->path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode)) {
            log_error("%s exists and is not a socket; it is left alone", l->path);
            return -EEXIST;
        }
        /* The lock makes it ours, but another kind of server could still listen there. */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool answered = probe >= 0 && connect(probe, (struct sockaddr *)&address, sizeof address) == 0;
        fd_close(&probe);
        if (answered) {
            log_error("somebody else listens on %s; it is left alone", l->path);
            return -EADDRINUSE;
        }
        log_info("taking over the stale socket %s", l->path);
        unlink(l->path);
    }
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Nobody may connect between bind and chmod: the umask makes it 0600 from the start. */
    mode_t old = umask(0177);
    int r = l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    umask(old);
    if (r == 0)
        r = open_to(l->path, config);
    if (r == 0 && listen(l->fd, 4096) < 0)
        r = -errno;
    if (r < 0)
        log_error("cannot make the socket %s: %s", l->path, strerror(-r));
    return r;
}

/* → 1 adopted, 0 none given, negative */
static int adopt(struct listener *l)
{
    int n = sd_listen_fds(1);
    if (n <= 0)
        return 0;
    struct sockaddr_un address;
    socklen_t size = sizeof address;
    if (n > 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 1) <= 0) {
        log_error("systemd handed over %d descriptors; expected one listening Unix stream socket", n);
        return -EINVAL;
    }
    l->fd = SD_LISTEN_FDS_START;
    l->adopted = true;
    int r = fd_set_nonblock(l->fd);
    memset(&address, 0, sizeof address);
    if (r == 0 && getsockname(l->fd, (struct sockaddr *)&address, &size) == 0)
        snprintf(l->path, sizeof l->path, "%s", address.sun_path);
    return r < 0 ? r : 1;
}

/* ---- accepting ---- */

/* Level-triggered readiness without a descriptor for accept() would spin: stop watching, and try again later. */
static void pause_accepting(struct listener *l, const char *why)
{
    struct timeval tv = {.tv_sec = 1};
    if (!l->paused)
        log_warning("accepting paused: %s; clients wait", why);
    l->paused = true;
    event_del(l->on_connect);
    event_add(l->try_again, &tv);
}

static void on_connect(evutil_socket_t listening, short what, void *arg)
{
    struct listener *l = arg;
    struct connections *conns = l->connections;
    (void)what;
    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                pause_accepting(l, strerror(errno));
            return;
        }
        conn_new(conns, fd);
        if (!descriptors_allow(conns->descriptors, fd, DESCRIPTOR_LASTING)) {
            pause_accepting(l, "descriptors run short");
            return;
        }
    }
}

void listener_resume(struct listener *l)
{
    if (!l || !l->paused || l->closed)
        return;
    l->paused = false;
    event_del(l->try_again);
    event_add(l->on_connect, NULL);
}

static void try_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    listener_resume(arg);
}

void listener_start(struct listener *l)
{
    event_add(l->on_connect, NULL);
}

bool listener_is_private(const struct listener *l)
{
    return l->private;
}

const char *listener_path(const struct listener *l)
{
    return l->path;
}

int listener_new(struct listener **ret, struct connections *conns)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->connections = conns;
    l->fd = l->lock = -1;
    int r = adopt(l);
    if (r == 0) {
        r = choose_path(l, conns->config);
        if (r == 0)
            r = take_lock(l);
        if (r == 0)
            r = make_socket(l, conns->config);
    }
    struct stat st;
    l->private = r >= 0 && stat(l->path, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0077) == 0;
    if (r >= 0) {
        l->on_connect = event_new(conns->loop->base, l->fd, EV_READ | EV_PERSIST, on_connect, l);
        l->try_again = evtimer_new(conns->loop->base, try_again, l);
        if (!l->on_connect || !l->try_again)
            r = -ENOMEM;
    }
    if (r < 0) {
        listener_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void listener_close(struct listener *l)
{
    if (!l || l->closed)
        return;
    l->closed = true;
    if (l->on_connect)
        event_del(l->on_connect);
    if (l->try_again)
        event_del(l->try_again);
    if (!l->adopted && l->lock >= 0 && l->fd >= 0)
        unlink(l->path);
    fd_close(&l->fd);
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    listener_close(l);
    if (l->on_connect)
        event_free(l->on_connect);
    if (l->try_again)
        event_free(l->try_again);
    if (l->locked) {
        char path[sizeof l->path + 8];
        snprintf(path, sizeof path, "%s.lock", l->path);
        unlink(path);
    }
    fd_close(&l->lock);
    free(l);
}
