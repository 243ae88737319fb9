/* <mpool/sd-event.h> — let an sd-event loop drive a connection. Header only: compile and link with libsystemd.
 *
 *     struct mpool_sd_event *attached;
 *     int r = mpool_sd_event_attach(&attached, event, client, on_lost, NULL);
 *     mpool_call_start(client, …);             // at any time; what one turn of the loop starts goes out together
 *     sd_event_loop(event);                    // runs the callbacks
 *     mpool_sd_event_detach(attached);         // before mpool_disconnect()
 *
 * While a connection is attached nobody else calls mpool_dispatch() on it. Blocking calls work, and keep the loop
 * waiting meanwhile. For the thread that runs the loop.
 */
#ifndef MPOOL_SD_EVENT_H
#define MPOOL_SD_EVENT_H

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include <mpool/client.h>
#include <systemd/sd-event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The connection is lost, and all its calls have completed; code as mpool_dispatch() says it. It may be detached and
 * disconnected here. */
typedef void mpool_sd_event_lost_fn(void *userdata, int code);

struct mpool_sd_event {
    mpool_client *client;
    sd_event_source *io;
    sd_event_source *timer;
    mpool_sd_event_lost_fn *on_lost;
    void *userdata;
    int busy; /* inside mpool_dispatch(): the callbacks may detach */
    int detached;
};

static inline void mpool_sd_event_stop_(struct mpool_sd_event *e)
{
    if (e->io)
        sd_event_source_set_enabled(e->io, SD_EVENT_OFF);
    if (e->timer)
        sd_event_source_set_enabled(e->timer, SD_EVENT_OFF);
}

static inline void mpool_sd_event_release_(struct mpool_sd_event *e)
{
    mpool_sd_event_stop_(e);
    sd_event_source_unref(e->io);
    sd_event_source_unref(e->timer);
    free(e);
}

static inline int mpool_sd_event_process_(struct mpool_sd_event *e)
{
    int r;
    if (!e->client)
        return 0;
    e->busy = 1;
    r = mpool_dispatch(e->client);
    if (r < 0 && !e->detached) {
        /* Lost, or disconnected by a callback, and then no longer ours to touch. */
        mpool_sd_event_stop_(e);
        if (r == -ENOTCONN)
            e->client = NULL;
        else if (e->on_lost)
            e->on_lost(e->userdata, r);
    }
    e->busy = 0;
    if (e->detached)
        mpool_sd_event_release_(e);
    return 0;
}

static inline int mpool_sd_event_io_(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)s;
    (void)fd;
    (void)revents;
    return mpool_sd_event_process_((struct mpool_sd_event *)userdata);
}

static inline int mpool_sd_event_timer_(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    return mpool_sd_event_process_((struct mpool_sd_event *)userdata);
}

/* Runs before the loop waits: sends what this turn has queued, and watches for what the handle wants now. */
static inline int mpool_sd_event_prepare_(sd_event_source *s, void *userdata)
{
    struct mpool_sd_event *e = (struct mpool_sd_event *)userdata;
    int timeout_ms, r;
    if (!e->client || mpool_fd(e->client) < 0)
        return 0;
    mpool_flush(e->client);
    /* poll's and epoll's bits are the same two numbers on Linux. */
    r = sd_event_source_set_io_events(s, (uint32_t)mpool_events(e->client));
    if (r < 0)
        return r;
    timeout_ms = mpool_timeout_ms(e->client);
    if (timeout_ms < 0)
        return sd_event_source_set_enabled(e->timer, SD_EVENT_OFF);
    r = sd_event_source_set_time_relative(e->timer, (uint64_t)timeout_ms * 1000);
    return r < 0 ? r : sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
}

/* event and client: borrowed, outlive the attachment. on_lost may be NULL. *ret_attached: the caller's, to detach.
 * → 0; -EINVAL (the connection is lost already); -ENOMEM; what sd-event returns. */
static inline int mpool_sd_event_attach(struct mpool_sd_event **ret_attached, sd_event *event, mpool_client *client,
    mpool_sd_event_lost_fn *on_lost, void *userdata)
{
    int fd = mpool_fd(client), r;
    struct mpool_sd_event *e;
    if (fd < 0)
        return -EINVAL;
    e = (struct mpool_sd_event *)calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->client = client;
    e->on_lost = on_lost;
    e->userdata = userdata;
    r = sd_event_add_time_relative(event, &e->timer, CLOCK_MONOTONIC, 0, 1000, mpool_sd_event_timer_, e);
    if (r >= 0)
        r = sd_event_add_io(event, &e->io, fd, (uint32_t)mpool_events(client), mpool_sd_event_io_, e);
    if (r >= 0)
        r = sd_event_source_set_prepare(e->io, mpool_sd_event_prepare_);
    if (r < 0) {
        mpool_sd_event_release_(e);
        return r;
    }
    *ret_attached = e;
    return 0;
}

/* Ends the watching; the connection itself stays. NULL is allowed. Inside a callback of the connection the release is
 * deferred until it returns. */
static inline void mpool_sd_event_detach(struct mpool_sd_event *e)
{
    if (!e || e->detached)
        return;
    e->detached = 1;
    if (e->busy)
        mpool_sd_event_stop_(e);
    else
        mpool_sd_event_release_(e);
}

#ifdef __cplusplus
}
#endif
#endif
