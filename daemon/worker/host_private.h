/* The task that is running. The inside of struct host: shared by host.c (its life), calls.c (the calls of
 * <mpool/module.h>) and run.c (from job to outcome) only. */
#pragma once

#include "daemon/worker/arena.h"
#include "daemon/worker/arguments.h"
#include "daemon/worker/host.h"
#include "daemon/worker/reply.h"
#include "proto/buf.h"
#include "proto/errors.h"

struct host {
    struct mpool_task task; /* what functions are passed */
    struct host_config config;
    struct host_ops ops;
    void *user;

    const struct worker_job *job;
    struct arguments arguments;
    struct result result;
    struct reply reply;
    struct arena arena;
    struct wire_buf error; /* where error values are packed */

    bool failed; /* the first failure that was reported, in `failure` */
    bool retryable;
    size_t failure_length;
    char failure[HOST_TEXT_MAX + 1];

    int cancel_fd;       /* signalfd on CONTROL_CANCEL_SIGNAL, made when first asked for; -1 before */
    bool cancel_watched; /* the running function has asked for it: the signal is blocked */
};

/* The calls that functions may use. */
extern const struct mpool_host host_calls;

/* Reports a failure for the running function; the first one counts. → -1. */
int host_fail(struct host *host, enum mpool_error error, bool retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int host_vfail(struct host *host, enum mpool_error error, bool retryable, const char *format, va_list ap)
    __attribute__((format(printf, 4, 0)));

/* The function that watched for a cancel has ended. */
void host_watch_no_cancel(struct host *host);

/* Reports the result of a reply call (0 or negative). → 0 or -1. */
int host_reply_result(struct host *host, int error);
