#include "daemon/supervisor/parties.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/supervisor/conn.h"
#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/objects.h"
#include "proto/sync.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* since Linux 6.5 */
#endif

struct parties {
    struct party *by_number;
    uint32_t last;
};

struct parties *parties_new(struct supervisor *s)
{
    (void)s;
    return calloc(1, sizeof(struct parties));
}

void parties_free(struct parties *all)
{
    free(all);
}

static struct party *find(const struct parties *all, uint32_t number)
{
    struct party *p;
    HASH_FIND(hh, all->by_number, &number, sizeof number, p);
    return p;
}

/* There are never as many parties as numbers, so one is free. */
static uint32_t new_number(struct parties *all)
{
    do
        all->last = all->last >= SYNC_PARTY_MAX ? 1 : all->last + 1;
    while (find(all, all->last));
    return all->last;
}

static bool is_dead(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* Did the process of this number begin after the connection? In ticks of the clock, which are 10 ms: nobody uses up all
 * numbers in that time. */
static bool is_younger(const struct conn *c)
{
    char path[64], text[1024];
    unsigned long long start = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)c->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *at = strrchr(text, ')'); /* the name before it may hold anything; the start is the 22nd field */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    long ticks = sysconf(_SC_CLK_TCK);
    if (!at || ticks <= 0 || sscanf(at, " %llu", &start) != 1)
        return true;
    return start / (unsigned long long)ticks * NS_PER_S +
               start % (unsigned long long)ticks * (NS_PER_S / (unsigned long long)ticks) >
           c->accepted_boot_ns;
}

/* The process that connected. From Linux 6.5 on the kernel hands out the very one. Before that there is its number,
 * which may be another process's by now: a directory of /proc that is younger than the connection tells.
 * → a descriptor; -ESRCH: it has died; -ENOENT: it cannot be watched from here; -errno. */
static int open_peer(const struct conn *c)
{
    int fd = -1;
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
        if (is_younger(c)) {
            close(fd);
            return -ESRCH;
        }
    }
    if (is_dead(fd)) {
        close(fd);
        return -ESRCH;
    }
    return fd;
}

static void on_death(evutil_socket_t fd, short what, void *arg)
{
    struct party *p = arg;
    (void)fd;
    (void)what;
    supervisor_tick(p->supervisor);
    log_debug("party=%u conn=%llu pid=%d has died", p->number, (unsigned long long)p->conn->number, (int)p->conn->pid);
    p->supervisor->again = true;
    party_free(p);
}

static int watch(struct party *p)
{
    if (p->pidfd < 0)
        return 0;
    p->on_death = event_new(p->supervisor->base, p->pidfd, EV_READ, on_death, p);
    return p->on_death && event_add(p->on_death, NULL) == 0 ? 0 : -ENOMEM;
}

struct party *party_of(struct conn *c, struct object_refusal *why)
{
    struct supervisor *s = c->supervisor;
    if (c->party)
        return c->party;
    int fd = open_peer(c);
    if (fd == -ESRCH) {
        object_refuse(why, MPOOL_E_DENIED,
            "the process that made this connection (pid %d) has died; another one has to connect for itself",
            (int)c->pid);
        return NULL;
    }
    if (fd >= 0 && s->hard_nofile != RLIM_INFINITY && (uint64_t)fd + LISTENER_FD_RESERVE >= s->hard_nofile) {
        close(fd);
        fd = -EMFILE;
    }
    if (fd < 0 && fd != -ENOENT) {
        object_refuse(why, fd == -EMFILE || fd == -ENFILE ? MPOOL_E_BUSY : MPOOL_E_INTERNAL,
            "the process that connected cannot be watched: %s", strerror(-fd));
        return NULL;
    }
    struct party *p = calloc(1, sizeof *p);
    if (!p) {
        if (fd >= 0)
            close(fd);
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        return NULL;
    }
    *p = (struct party){.supervisor = s, .conn = c, .pidfd = fd >= 0 ? fd : -1, .number = new_number(s->parties)};
    LIST_INIT(&p->uses);
    HASH_ADD(hh, s->parties->by_number, number, sizeof p->number, p);
    c->party = p;
    if (watch(p) < 0) {
        party_free(p);
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        return NULL;
    }
    return p;
}

void party_free(struct party *p)
{
    struct object_use *use;
    if (!p)
        return;
    while ((use = LIST_FIRST(&p->uses)))
        objects_close_use(use);
    HASH_DELETE(hh, p->supervisor->parties->by_number, p);
    if (p->on_death)
        event_free(p->on_death);
    fd_close(&p->pidfd);
    p->conn->party = NULL;
    free(p);
}
