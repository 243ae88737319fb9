#include "daemon/conn/connections.h"
#include "daemon/conn/lingering_close.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S  2            /* from the last message to the close */
#define DROP_BUDGET (256u << 10) /* bytes dropped per event */

struct lingering_close {
    TAILQ_ENTRY(lingering_close) link;
    struct lingering_closes *all;
    struct event *on_readable, *on_late;
    int fd;
};

struct lingering_closes {
    struct connections *connections;
    TAILQ_HEAD(, lingering_close) list; /* the oldest first */
    unsigned count;
};

static void end(struct lingering_close *p)
{
    TAILQ_REMOVE(&p->all->list, p, link);
    p->all->count--;
    if (p->on_readable)
        event_free(p->on_readable);
    if (p->on_late)
        event_free(p->on_late);
    close(p->fd);
    free(p);
}

static void late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    end(arg);
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
    static char dropped[64u << 10];
    (void)what;
    for (size_t budget = DROP_BUDGET; budget > 0;) {
        ssize_t n = recv(fd, dropped, sizeof dropped, 0); /* the kernel closes descriptors that are not received */
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            end(arg);
            return;
        }
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
}

struct lingering_closes *lingering_closes_new(struct connections *conns)
{
    struct lingering_closes *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->connections = conns;
    TAILQ_INIT(&l->list);
    return l;
}

void lingering_closes_free(struct lingering_closes *l)
{
    struct lingering_close *p;
    if (!l)
        return;
    while ((p = TAILQ_FIRST(&l->list)))
        end(p);
    free(l);
}

void lingering_close_begin(struct lingering_closes *l, int fd)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct lingering_close *p = calloc(1, sizeof *p);
    if (!p || shutdown(fd, SHUT_WR) < 0) {
        free(p);
        close(fd); /* without memory, or without a peer, there is nothing to wait for */
        return;
    }
    if (l->count == LINGERING_MAX)
        end(TAILQ_FIRST(&l->list));
    p->all = l;
    p->fd = fd;
    TAILQ_INSERT_TAIL(&l->list, p, link);
    l->count++;
    p->on_readable = event_new(l->connections->loop->base, fd, EV_READ | EV_PERSIST, readable, p);
    p->on_late = evtimer_new(l->connections->loop->base, late, p);
    if (!p->on_readable || !p->on_late || event_add(p->on_readable, NULL) < 0 || event_add(p->on_late, &patience) < 0)
        end(p);
}
