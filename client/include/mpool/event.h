/* <mpool/event.h> — let a libevent loop drive a connection. Header only: compile with libevent's flags, link libevent.
 *
 *     struct mpool_event *attached;
 *     int r = mpool_event_attach(&attached, base, client, on_lost, NULL);
 *     mpool_call_start(client, …);             // at any time; what one turn of the loop starts goes out together
 *     event_base_dispatch(base);               // runs the callbacks
 *     mpool_event_detach(attached);            // before mpool_disconnect()
 *
 * While a connection is attached nobody else calls mpool_dispatch() or mpool_on_unsent() on it. Blocking calls work,
 * and keep the loop waiting meanwhile. For the thread that runs the base.
 */
#ifndef MPOOL_EVENT_H
#define MPOOL_EVENT_H

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <event2/event.h>
#include <mpool/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The connection is lost, and all its calls have completed; code as mpool_dispatch() says it. It may be detached and
 * disconnected here. */
typedef void mpool_event_lost_fn(void *userdata, int code);

struct mpool_event {
    mpool_client *client;
    struct event *readable; /* persistent */
    struct event *writable; /* added while something is unsent that the socket does not take */
    struct event *soon;     /* a timer; made active to process in this turn of the loop */
    mpool_event_lost_fn *on_lost;
    void *userdata;
    int busy; /* inside mpool_dispatch(): the callbacks may detach */
    int detached;
};

static inline void mpool_event_release_(struct mpool_event *e)
{
    if (e->readable)
        event_free(e->readable);
    if (e->writable)
        event_free(e->writable);
    if (e->soon)
        event_free(e->soon);
    free(e);
}

/* Watches for what the handle wants now. */
static inline void mpool_event_watch_(struct mpool_event *e)
{
    int timeout_ms = mpool_timeout_ms(e->client);
    if (mpool_events(e->client) & POLLOUT)
        event_add(e->writable, NULL);
    else
        event_del(e->writable);
    if (timeout_ms >= 0) {
        struct timeval timeout;
        timeout.tv_sec = timeout_ms / 1000;
        timeout.tv_usec = timeout_ms % 1000 * 1000;
        event_add(e->soon, &timeout);
    } else {
        event_del(e->soon);
    }
}

static inline void mpool_event_ready_(evutil_socket_t fd, short what, void *userdata)
{
    struct mpool_event *e = (struct mpool_event *)userdata;
    int r;
    (void)fd;
    (void)what;
    e->busy = 1;
    r = mpool_dispatch(e->client);
    if (r < 0 && !e->detached) {
        /* Lost, or disconnected by a callback, and then no longer ours to touch. */
        int gone = r == -ENOTCONN;
        event_del(e->readable);
        event_del(e->writable);
        event_del(e->soon);
        if (gone)
            e->client = NULL;
        else if (e->on_lost)
            e->on_lost(e->userdata, r);
    } else if (!e->detached) {
        mpool_event_watch_(e);
    }
    e->busy = 0;
    if (e->detached)
        mpool_event_release_(e);
}

static inline void mpool_event_unsent_(void *userdata)
{
    struct mpool_event *e = (struct mpool_event *)userdata;
    if (!e->busy)
        event_active(e->soon, EV_TIMEOUT, 0);
}

/* base and client: borrowed, outlive the attachment. on_lost may be NULL. *ret_attached: the caller's, to detach.
 * → 0; -EINVAL (the connection is lost already); -ENOMEM. */
static inline int mpool_event_attach(struct mpool_event **ret_attached, struct event_base *base, mpool_client *client,
    mpool_event_lost_fn *on_lost, void *userdata)
{
    int fd = mpool_fd(client);
    struct mpool_event *e;
    if (fd < 0)
        return -EINVAL;
    e = (struct mpool_event *)calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->client = client;
    e->on_lost = on_lost;
    e->userdata = userdata;
    e->readable = event_new(base, fd, EV_READ | EV_PERSIST, mpool_event_ready_, e);
    e->writable = event_new(base, fd, EV_WRITE, mpool_event_ready_, e);
    e->soon = event_new(base, -1, 0, mpool_event_ready_, e);
    if (!e->readable || !e->writable || !e->soon || event_add(e->readable, NULL) < 0) {
        mpool_event_release_(e);
        return -ENOMEM;
    }
    mpool_on_unsent(client, mpool_event_unsent_, e);
    event_active(e->soon, EV_TIMEOUT, 0);
    *ret_attached = e;
    return 0;
}

/* Ends the watching; the connection itself stays. NULL is allowed. Inside a callback of the connection the release is
 * deferred until it returns. */
static inline void mpool_event_detach(struct mpool_event *e)
{
    if (!e || e->detached)
        return;
    if (e->client)
        mpool_on_unsent(e->client, NULL, NULL);
    e->detached = 1;
    if (!e->busy) {
        mpool_event_release_(e);
        return;
    }
    event_del(e->readable);
    event_del(e->writable);
    event_del(e->soon);
}

#ifdef __cplusplus
}
#endif
#endif
