#include "daemon/worker/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/worker/host_private.h"
#include "proto/message.h"

int host_new(struct host **ret, const struct host_config *config, const struct host_ops *ops, void *user)
{
    struct host *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->task.host = &host_calls;
    h->config = *config;
    if (h->config.max_depth == 0)
        h->config.max_depth = WIRE_MAX_DEPTH_DEFAULT;
    if (h->config.max_depth > WIRE_DEPTH_CAP)
        h->config.max_depth = WIRE_DEPTH_CAP;
    h->ops = *ops;
    h->user = user;
    h->result.memfd = -1;
    h->cancel_fd = -1;
    *ret = h;
    return 0;
}

void host_free(struct host *host)
{
    if (!host)
        return;
    arguments_deinit(&host->arguments);
    result_deinit(&host->result);
    arena_deinit(&host->arena);
    wire_buf_reset(&host->error);
    fd_close(&host->cancel_fd);
    free(host);
}

int host_vfail(struct host *host, enum mpool_error error, bool retryable, const char *format, va_list ap)
{
    if (host->failed)
        return -1;
    host->failed = true;
    host->retryable = retryable;
    host->failure_length = wire_error_words(host->failure, error, format, ap);
    return -1;
}

int host_fail(struct host *host, enum mpool_error error, bool retryable, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    host_vfail(host, error, retryable, format, ap);
    va_end(ap);
    return -1;
}
