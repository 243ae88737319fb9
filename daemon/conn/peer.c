#include "daemon/conn/peer.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/log.h"
#include "daemon/base/procfs.h"
#include "daemon/conn/conn.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* since Linux 6.5 */
#endif

static bool is_dead(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* Did the process with this pid start after the connection? Compared in clock ticks of 10 ms: pids do not wrap around
 * that fast. → 1 or 0; -ENOENT: not visible, as it is hidden (hidepid=) or dead. */
static int is_younger(const struct conn *c)
{
    struct procfs_stat st;
    return procfs_stat(c->pid, &st) < 0 ? -ENOENT : st.start_ns > c->accepted_boot_ns;
}

/* The process that connected. Since Linux 6.5 the kernel hands out its pidfd. Before that there is only its pid, which
 * may have been reused: a /proc directory that is younger than the connection shows that, if it is visible. → a
 * descriptor; -ESRCH: it has died; -ENOENT: it cannot be watched from here; -errno. */
static int open_peer(const struct conn *c)
{
    int fd = -1, younger = 0;
    socklen_t size = sizeof fd;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) < 0) {
        if (errno == ESRCH || errno == EINVAL)
            return -ESRCH; /* reaped */
        if (errno == ENODATA)
            return -ENOENT;
        if (errno != ENOPROTOOPT)
            return -errno;
        if (c->pid <= 0)
            return -ENOENT;
        fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
        if (fd < 0)
            return errno == ENOSYS ? -ENOENT : -errno;
        younger = is_younger(c);
    }
    int r = younger > 0 || is_dead(fd) ? -ESRCH : younger;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static void on_death(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    (void)what;
    loop_tick(c->connections->loop);
    log_debug("conn=%llu pid=%d has died", (unsigned long long)c->number, (int)c->pid);
    c->peer_is_dead = true;
    peer_forget(c);
    struct conn_closer *closer, *next;
    for (closer = LIST_FIRST(&c->closers); closer; closer = next) {
        next = LIST_NEXT(closer, link);
        if (closer->ops->peer_died)
            closer->ops->peer_died(closer);
    }
    c->connections->loop->again = true;
}

int peer_watch(struct conn *c)
{
    const struct connections *conns = c->connections;
    if (c->peer_is_dead)
        return -ESRCH;
    if (c->peer_is_watched)
        return 0;
    int fd = open_peer(c);
    if (fd >= 0 && !descriptors_allow(conns->descriptors, fd, DESCRIPTOR_LASTING)) {
        close(fd);
        return -EMFILE;
    }
    if (fd == -ESRCH)
        c->peer_is_dead = true;
    if (fd < 0 && fd != -ENOENT)
        return fd;
    if (fd >= 0) {
        struct event *event = event_new(conns->loop->base, fd, EV_READ, on_death, c);
        if (!event || event_add(event, NULL) < 0) {
            if (event)
                event_free(event);
            close(fd);
            return -ENOMEM;
        }
        c->on_peer_death = event;
        c->peer_pidfd = fd;
    }
    c->peer_is_watched = true;
    return 0;
}

void peer_forget(struct conn *c)
{
    if (!c->on_peer_death)
        return;
    event_free(c->on_peer_death);
    c->on_peer_death = NULL;
    close(c->peer_pidfd);
}
