#include "daemon/base/deadline.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"

static void on_expired(evutil_socket_t fd, short what, void *arg)
{
    struct deadline *d = arg;
    uint64_t times;
    (void)what;
    /* EAGAIN: it was set again after it had expired. */
    if (read(fd, &times, sizeof times) == (ssize_t)sizeof times)
        d->set_ns = UINT64_MAX;
}

int deadline_init(struct deadline *d, struct event_base *base)
{
    *d = (struct deadline){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .set_ns = UINT64_MAX};
    if (d->fd < 0)
        return -errno;
    d->on_expired = event_new(base, d->fd, EV_READ | EV_PERSIST, on_expired, d);
    return !d->on_expired || event_add(d->on_expired, NULL) < 0 ? -ENOMEM : 0;
}

void deadline_deinit(struct deadline *d)
{
    if (d->on_expired)
        event_free(d->on_expired);
    d->on_expired = NULL;
    fd_close(&d->fd);
}

void deadline_set(struct deadline *d, uint64_t at_ns)
{
    if (at_ns >= d->set_ns)
        return;
    if (at_ns == 0)
        at_ns = 1; /* 0 would disarm it */
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)},
    };
    if (timerfd_settime(d->fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        log_error("timerfd_settime: %s", strerror(errno));
    else
        d->set_ns = at_ns;
}
